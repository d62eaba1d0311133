"""Where the binaries are: in KUBEBUILDER_ASSETS, the cache of ``make control-plane``, or on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
_SCRIPTS = ROOT / "tests" / "e2e" / "control-plane"
CONTROL_PLANE = _SCRIPTS / "build.sh"
CERT_MANAGER = _SCRIPTS / "cert-manager.sh"
KWOK = _SCRIPTS / "kwok.sh"


def built(script: Path = CONTROL_PLANE) -> Path:
    """Build what is missing (nothing, after ``make control-plane``) and return the folder it is in."""
    done = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 — our own script
    return Path(done.stdout.strip())


def find(name: str, cache: Path) -> Path:
    """A binary by its name; a missing one is an error, never a reason to skip."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for folder in ([Path(assets)] if assets else []) + [cache]:
        if os.access(folder / name, os.X_OK):
            return folder / name
    on_path = shutil.which(name)
    if on_path is None:
        raise FileNotFoundError(f"{name}: not in {cache}: run 'make control-plane'")
    return Path(on_path)
