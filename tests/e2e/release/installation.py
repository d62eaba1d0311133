"""The chart, installed, and the webhook as a process beside it, by the README's own commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.cluster.binaries import ROOT, find
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.release.readme import install
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports

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
        self._served: Replica | None = None

    def shell(self, script: str) -> str:
        """Run commands as they stand; a failing one is an AssertionError with what it said."""
        return self._run("/bin/bash", "-euo", "pipefail", "-c", script)

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace."""
        return self._run(str(self.helm_binary), "-n", NAMESPACE, *arguments)

    def replica(
        self, name: str, port: int, admin_port: int, *, clock: Path | None = None, command: str = ""
    ) -> Replica:
        """A replica of the webhook; it does not run yet.

        ``clock``: a file that moves its clock (`tests.e2e.release.movedclock`). ``command``: the README's,
        with the chart's account, unless another is given.
        """
        env = {**self.env, "PORT": str(port), "ADMIN_PORT": str(admin_port), "PYTHONPATH": str(ROOT)}
        command = command or install().serving.strip()
        if clock is not None:
            assert command.startswith("colocation-webhook serve ")
            launcher = f"{sys.executable} -m tests.e2e.release.movedclock {clock}"
            command = command.replace("colocation-webhook", launcher, 1)
        return Replica(name, command, port, admin_port, env=env, folder=self.folder)

    def serve(self, *flags: str, command: str = "") -> None:
        """Start the one replica that the configurations name, until it is ready; see ``replica``.

        ``flags``: further ones.
        """
        self._served = self.replica("webhook", self.port, self.admin_port, command=command)
        self._served.start(*flags)
        self._served.wait_until_ready()

    def stop(self) -> None:
        """End the webhook."""
        if self._served is not None:
            self._served.stop()
            self._served = None

    def kill(self) -> None:
        """End the webhook at once, in the middle of whatever it does."""
        assert self._served is not None, "nothing is served"
        self._served.kill()

    def readiness(self) -> dict[str, Any]:
        """What the webhook says of itself."""
        assert self._served is not None, "nothing is served"
        return self._served.readiness()

    def _run(self, *command: str) -> str:
        done = subprocess.run(  # noqa: S603 — the README's own commands, and the tests'
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=180
        )
        if done.returncode:
            said = f"{done.stdout}\n{done.stderr}"
            raise AssertionError(f"{' '.join(command)}\nended with {done.returncode}:\n{said}")
        return done.stdout
