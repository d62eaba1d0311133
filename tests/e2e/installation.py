"""The chart, installed, and the webhook as a process beside it, by the README's own commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.binaries import ROOT, find
from tests.e2e.controlplane import ControlPlane
from tests.e2e.processes import free_ports
from tests.e2e.readme import install
from tests.e2e.replicas import Replica

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
        folder.mkdir()
        (folder / "charts").symlink_to(ROOT / "charts")
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
        self._served: Replica | None = None

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

    def replica(self, name: str, port: int, admin_port: int) -> Replica:
        """A replica of the webhook by the README's command, with the chart's account; it does not run yet."""
        env = {**self.env, "PORT": str(port), "ADMIN_PORT": str(admin_port)}
        return Replica(name, install().serving, port, admin_port, env=env, folder=self.folder)

    def serve(self) -> None:
        """Start the one replica that the configurations name and wait until it is ready."""
        self._served = self.replica("webhook", self.port, self.admin_port)
        self._served.start()
        self._served.wait_until_ready()

    def stop(self) -> None:
        """End the webhook."""
        if self._served is not None:
            self._served.stop()
            self._served = None

    def readiness(self) -> dict[str, Any]:
        """What the webhook says of itself."""
        assert self._served is not None, "nothing is served"
        return self._served.readiness()
