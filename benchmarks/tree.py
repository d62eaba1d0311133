"""A checkout of this project with its virtual environment: what is measured, and with which Python."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]

_FACTS: Final = """
import json, platform, re, sysconfig
from importlib import metadata
import webhook
options = sysconfig.get_config_var("CONFIG_ARGS") or ""
levels = re.findall(r"-O\\w+", sysconfig.get_config_var("CFLAGS") or "")
words = [
    f"{platform.python_implementation()} {platform.python_version()}",
    platform.python_compiler(),
    *levels[-1:],
    "PGO" if "--enable-optimizations" in options else "no PGO",
    "LTO" if "--with-lto" in options else "no LTO",
    *["shared library"] * ("--enable-shared" in options),
    *[f"{name} {metadata.version(name)}" for name in ("gunicorn", "uvloop")],
]
print(json.dumps({"package": webhook.__file__, "build": ", ".join(words)}))
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """Its name in a table, its folder, its Python, and in one line how that Python was built.

    ``build`` is the implementation, version and compiler, the level of optimisation, whether
    ``--enable-optimizations`` (PGO) and ``--with-lto`` (LTO) were given to ``configure``, and the
    versions of gunicorn and uvloop.
    """

    name: str
    folder: Path
    python: Path
    build: str

    @classmethod
    def here(cls, name: str = "this tree") -> Tree:
        """The tree that this file belongs to, with the Python that runs it."""
        return cls._with(name, ROOT, Path(sys.executable))

    @classmethod
    def at(cls, folder: Path, name: str) -> Tree:
        """Another checkout, with the Python of its ``.venv``; leaves with a message where it has none."""
        folder = folder.resolve()
        return cls._with(name, folder, folder / ".venv" / "bin" / "python")

    @classmethod
    def _with(cls, name: str, folder: Path, python: Path) -> Tree:
        # -I: neither the current folder nor PYTHONPATH decides which tree's package is imported.
        try:
            done = subprocess.run([python, "-I", "-c", _FACTS], check=True, capture_output=True, text=True)
        except OSError as error:
            _leave(folder, f"{error.filename}: {error.strerror}")
        except subprocess.CalledProcessError as error:
            _leave(folder, error.stderr.strip().rpartition("\n")[2])
        facts = json.loads(done.stdout)
        package = Path(facts["package"]).resolve()
        if not package.is_relative_to(folder):
            _leave(folder, f"{python} imports webhook from {package.parent}")
        return cls(name, folder, python, facts["build"])

    @property
    def command(self) -> str:
        """The console script ``colocation-webhook``: no module path, so that any version can be started."""
        return str(self.python.parent / "colocation-webhook")


def environment() -> dict[str, str]:
    """The environment of every measured process: without PYTHONPATH, which would mix two trees."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _leave(folder: Path, reason: str) -> NoReturn:
    sys.exit(f"{folder} cannot be measured: {reason}. Run `make .venv/installed` in it.")
