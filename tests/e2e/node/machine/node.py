"""A real node on this machine: kubelet, containerd, runc; cgroups, mounts and process ids are its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.e2e.cluster.binaries import ROOT, find
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.node.machine import configuration, images
from tests.e2e.node.machine.needs import HERE
from tests.e2e.node.machine.registration import Registration
from tests.ports import free_ports

FIGURES: Final = ROOT / "build" / "node.jsonl"
"""What tests of a node have measured."""
NAME: Final = "localhost"
"""A Node of this name is one whose kubelet the API server reaches: by its host name, over loopback."""


class Node:
    """Starts on entering; on leaving ends every process of it and leaves nothing.

    Also when this process is killed: the first process of the node reads from a pipe of ours, and the kernel
    ends the others with it.
    """

    def __init__(self, folder: Path, kubectl: Kubectl, cache: Path, name: str = NAME) -> None:
        """Run nothing yet; ``folder`` keeps the logs."""
        self.folder = folder
        self.kubectl = kubectl
        self.name = name
        self.cgroup = f"colocation-node-{secrets.token_hex(4)}"
        """Its cgroup in each hierarchy, which is the root for everything on the node."""
        self._cache = cache
        self._first = ""
        self._processes: dict[str, Process] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start everything, and wait until the Node is Ready."""
        with ExitStack() as stack:
            self._write_files()
            stack.callback(_Keeper(self.folder, self.cgroup).end)
            first = self.folder / "first"
            eventually(first.exists, what=f"the node's namespaces, {self.folder / 'keeper.log'}")
            self._first = first.read_text().strip()
            self.start("containerd", "containerd", "--config=/var/lib/containerd.toml")
            stack.callback(self.stop, "containerd")
            eventually(lambda: self.ctr("version"), what="containerd")
            for archive in images.build(self.folder):
                self.load(archive)
            self.start_kubelet()
            stack.callback(self.stop, "kubelet")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stack.close()

    def start(self, name: str, *command: str) -> None:
        """Start a process on the node, logged in ``NAME.log``."""
        log = self.folder / f"{name}.log"
        self._processes[name] = Process(
            name, [*self._enter(), *command], log, env=os.environ, cwd=self.folder
        )

    def stop(self, name: str) -> None:
        """End one of its processes, if it runs; containers stay when containerd or the kubelet end."""
        if name in self._processes:
            self._processes.pop(name).stop()

    def start_kubelet(self) -> None:
        """Start the kubelet, on the same folders each time, and wait until the Node is Ready again."""
        registration = Registration(self.kubectl, self.name)
        since = registration.heartbeat()
        self.start(
            "kubelet",
            str(find("kubelet", self._cache)),
            "--config=/var/lib/kubelet.json",
            "--kubeconfig=/var/lib/kubeconfig",
            f"--hostname-override={self.name}",
        )
        registration.wait_until_ready(since, self._processes["kubelet"].require_running)

    def run(self, *command: str) -> str:
        """Run a command on the node to its end; a failing one is an AssertionError with what it said."""
        done = subprocess.run(  # noqa: S603 — the tests' own command lines
            [*self._enter(), *command], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def ctr(self, *arguments: str) -> str:
        """Ask containerd, in the kubelet's namespace of it."""
        return self.run("ctr", "--address", configuration.SOCKET, "--namespace", "k8s.io", *arguments)

    def load(self, archive: Path) -> None:
        """Give the node an image."""
        self.ctr("images", "import", str(archive))

    def log(self, name: str) -> str:
        """What a process of the node has written since the node was started."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _enter(self) -> list[str]:
        return [str(HERE / "enter.sh"), self.cgroup, self._first]

    def _write_files(self) -> None:
        """Write what is read on the node below /var, which is a folder of ours there."""
        place = self.folder / "var" / "lib"
        (place / "cni" / "net.d").mkdir(parents=True)
        (place / "cni" / "net.d" / "10-nobody.conflist").write_text(configuration.NETWORK)
        (place / "containerd.toml").write_text(configuration.containerd())
        (place / "kubelet.json").write_text(json.dumps(configuration.kubelet(*free_ports(2))))
        flat = self.kubectl.run("config", "view", "--raw", "--flatten").stdout
        (place / "kubeconfig").write_text(flat)


class _Keeper:
    """keeper.sh, which keeps the node's namespaces until its input ends."""

    def __init__(self, folder: Path, cgroup: str) -> None:
        with (folder / "keeper.log").open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 — our own script
                [HERE / "keeper.sh", folder, cgroup],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self) -> None:
        """Let it end the node and clean up; not killed, for nobody else would."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(60)
