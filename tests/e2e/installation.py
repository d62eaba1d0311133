"""The chart, installed, and the webhook as a process beside it, by the README's own commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.binaries import ROOT, find
from tests.e2e.controlplane import ControlPlane
from tests.e2e.processes import Process, eventually, free_ports
from tests.e2e.readme import install

NAMESPACE = "colocation-system"
RELEASE = "colocation-webhook"
CHART = ROOT / "charts" / "colocation-webhook"


class Installation:
    """A folder that looks like a clone to the commands, a shell in it, and the webhook's process."""

    def __init__(self, control_plane: ControlPlane, cache: Path, folder: Path) -> None:
        self.kubectl = control_plane.kubectl
        self.folder = folder
        self.port, self.admin_port = free_ports(2)
        self.helm_binary = find("helm", cache)
        (folder / "certs").mkdir(parents=True)
        (folder / "charts").symlink_to(ROOT / "charts")
        shutil.copy(ROOT / "certs" / "cert-manager.yaml", folder / "certs")
        path = [Path(sys.executable).parent, control_plane.kubectl.binary.parent, self.helm_binary.parent]
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]]),
            "KUBECONFIG": str(control_plane.kubeconfig),
            "PORT": str(self.port),
            "ADMIN_PORT": str(self.admin_port),
            # Nothing of whoever runs the tests.
            **{f"HELM_{kind}_HOME": str(folder / "helm") for kind in ("CONFIG", "CACHE", "DATA")},
        }
        self.process: Process | None = None

    def shell(self, script: str) -> str:
        """Run commands as they stand; a failing one is an AssertionError with what it said."""
        done = subprocess.run(  # noqa: S603 — the README's own commands
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            raise AssertionError(f"{script}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace."""
        done = subprocess.run(  # noqa: S603 — the tests' own command lines
            [self.helm_binary, "-n", NAMESPACE, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            raise AssertionError(f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def serve(self, script: str | None = None) -> None:
        """Start the webhook by the README's command and wait until it is ready."""
        command = script or install().serving
        log = self.folder / "webhook.log"
        self.process = Process(
            "webhook", ["/bin/bash", "-c", f"exec {command}"], log, env=self.env, cwd=self.folder
        )
        eventually(self.ready, seconds=60, what="webhook ready")

    def stop(self) -> None:
        """End the webhook."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def ready(self) -> bool:
        """Whether the webhook says so."""
        if self.process is not None:
            self.process.require_running()
        return self.admin("/readyz")[0] == 200

    def admin(self, path: str) -> tuple[int, str]:
        """Status and body of a path of the admin port."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def readiness(self) -> dict[str, Any]:
        """What the webhook says of itself."""
        result: dict[str, Any] = json.loads(self.admin("/readyz")[1])
        return result
