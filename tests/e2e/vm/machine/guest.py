"""A node in a virtual machine: containerd and kubelet under systemd, of the control plane on this machine."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine import configuration, images
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.machine.registration import Registration
from tests.e2e.vm.machine import qemu
from tests.e2e.vm.machine.qemu import HOST, Qemu
from tests.e2e.vm.machine.shape import Shape
from tests.ports import free_ports

NGINX: Final = "release.daocloud.io/kpanda/nginx:1.25.3-alpine"
"""The image that the seed's deployments name; here it only waits."""
SSH: Final = 22
KUBECONFIG: Final = "/var/lib/kubeconfig"
"""On the node: the kubelet's, who is the administrator."""
SECONDS: Final = 600.0
"""Within which whatever happens in the machine has happened, on a busy machine, too."""


class Guest:
    """Starts on entering, from a snapshot of the same machine if there is one; ends on leaving."""

    def __init__(self, folder: Path, root: Path, kubectl: Kubectl, shape: Shape, image: Path) -> None:
        """Run nothing yet.

        Args:
            folder: keeps the logs.
            root: the folder that build.sh made.
            kubectl: the administrator's, of the control plane on this machine.
            shape: of the machine.
            image: the archive of the project's own one.
        """
        self.folder = folder
        self.kubectl = kubectl
        self.name = NAME
        self.shape = shape
        self.seconds: dict[str, float] = {}
        """How long its parts took to start."""
        self._root = root
        self._port, self._kubelet_port = free_ports(2)
        leading = {self._port: SSH, self._kubelet_port: self._kubelet_port}
        self._qemu = Qemu(folder, root, shape, leading)
        self._connections = tempfile.TemporaryDirectory(prefix="ssh-")
        self._archives: list[Path] = []
        self._image = image
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start it, and wait until the Node is Ready."""
        with ExitStack() as stack:
            stack.callback(self._connections.cleanup)
            stack.callback(self._leave)
            stack.enter_context(self._qemu)
            stack.callback(self._disconnect)
            self._archives = images.build(self.folder)
            booted = self._snapshot()
            if not booted.exists():
                self._make(booted)
            # One above the other: with each commit only the image is another.
            snapshot = booted / _digest(self._image)
            if not snapshot.exists():
                self._restore(booted)
                self._add_image(snapshot)
            with self.timed("restored"):
                self._restore(snapshot)
                # It went on where it was, and so did its clock.
                self.run("date", "--utc", f"--set=@{time.time():.3f}")
            self.configure_kubelet()
            with self.timed("kubelet"):
                self.start_kubelet()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stack.close()

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run a command on the node to its end; a failing one is an AssertionError with what it said."""
        done = subprocess.run(  # noqa: S603 — the tests' own command lines
            [*self._ssh(), shlex.join(command)],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise AssertionError(f"{shlex.join(command)}: {said}")
        return done.stdout.decode(errors="replace")

    def write(self, path: str, text: str) -> None:
        """Write a file on the node, and the folders that it is in."""
        self.run("install", "-D", "-m", "644", "/dev/stdin", path, stdin=text.encode())

    def ctr(self, *arguments: str) -> str:
        """Ask containerd, in the kubelet's namespace of it."""
        return self.run("ctr", "--address", configuration.SOCKET, "--namespace", "k8s.io", *arguments)

    def load(self, archive: Path) -> None:
        """Give the node an image: by a disk, for emulated encryption is slow."""
        self.ctr("images", "import", self._qemu.show(archive))

    def start_kubelet(self) -> None:
        """Start the kubelet, on the same folders each time, and wait until the Node is Ready again."""
        registration = Registration(self.kubectl, self.name)
        registration.register()
        since = registration.heartbeat()
        self.run("systemctl", "start", "kubelet")
        registration.wait_until_ready(since, self._kubelet_works, seconds=SECONDS)

    def restart_kubelet(self, **settings: object) -> None:
        """Start the kubelet anew, with further settings, and without what its CPU manager remembers."""
        self.run("systemctl", "stop", "kubelet")
        self.run("rm", "-f", f"{_KUBELET_FOLDER}/cpu_manager_state")
        self.configure_kubelet(**settings)
        self.start_kubelet()

    def log(self, name: str) -> str:
        """What kubelet or containerd has written."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={name}")

    def _make(self, snapshot: Path) -> None:
        """Boot it, give it what stays the same, and keep it as it is then; it does not run any more."""
        with self.timed("booted"):
            self._qemu.boot()
            self._wait()
        with self.timed("containerd"):
            for path, text in self._given().items():
                self.write(path, text)
            self.run("systemctl", "daemon-reload")
            self.run("systemctl", "restart", "systemd-sysctl")
            self.run("systemctl", "start", "containerd")
            for archive in self._archives:
                self.load(archive)
            self.ctr("images", "tag", images.BURNER, NGINX)
        for old in snapshot.parent.glob(f"booted-{self.shape.name}-*"):
            shutil.rmtree(old)
        self._save(snapshot)

    def _add_image(self, snapshot: Path) -> None:
        """Give the project's own image to the machine that runs, keep it so; it does not run any more."""
        with self.timed("own image"):
            self.load(self._image)
        for old in snapshot.parent.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        self._save(snapshot)

    def _save(self, snapshot: Path) -> None:
        self.run("sync")
        self._disconnect()
        self._qemu.save(snapshot)

    def _restore(self, snapshot: Path) -> None:
        self._qemu.restore(snapshot)
        self._wait()

    def configure_kubelet(self, **settings: object) -> None:
        """Write what the kubelet reads when it starts, with further settings."""
        port = self._kubelet_port
        told = configuration.kubelet(port, 10248, address="0.0.0.0", driver=configuration.SYSTEMD)  # noqa: S104 — in the machine
        told["kubeReserved"] = {"cpu": "500m"}  # as on any node of a cluster: suppression counts it
        # JSON is YAML, and this is where kubeadm has it.
        self.write(f"{_KUBELET_FOLDER}/config.yaml", json.dumps(told | settings))
        config = json.loads(self.kubectl.run("config", "view", "--raw", "--flatten", "-o", "json").stdout)
        cluster = config["clusters"][0]["cluster"]
        cluster["server"] = f"https://{HOST}:{urlsplit(cluster['server']).port}"
        self.write(KUBECONFIG, json.dumps(config))

    def _snapshot(self) -> Path:
        """Where the snapshot of such a machine is, or is to be: named by all that went into it."""
        parts = (self.shape.flags(), self.shape.kernel(), self._given(), qemu.version())
        told = hashlib.sha256(repr(parts).encode())
        for each in (Path(qemu.__file__), *self._archives):
            told.update(each.read_bytes())
        return self._root / f"booted-{self.shape.name}-{told.hexdigest()[:12]}"

    def _given(self) -> dict[str, str]:
        """The files that it is given before it is kept."""
        return {
            "/etc/containerd/config.toml": configuration.containerd(configuration.SYSTEMD),
            f"{configuration.NETWORKS}/10-pods.conflist": configuration.POD_NETWORK,
            # QEMU's network asks for who has the address of a pod.
            "/etc/sysctl.d/pods.conf": "net.ipv4.conf.eth0.proxy_arp = 1\n",
            "/etc/systemd/system/kubelet.service": _KUBELET,
        }

    def _leave(self) -> None:
        """Take the Node and its pods away, which nobody runs any more: another machine may have this name."""
        self.kubectl.run("delete", "node", self.name, "--ignore-not-found")
        here = f"--field-selector=spec.nodeName={self.name}"
        self.kubectl.run("delete", "pods", "--all-namespaces", here, "--force", "--grace-period=0")

    def _wait(self) -> None:
        def answers() -> bool:
            self._qemu.require_running()
            return self.run("true") == ""

        eventually(answers, seconds=SECONDS, what=f"the virtual machine, {self.folder / 'console.log'}")

    def _kubelet_works(self) -> None:
        self._qemu.require_running()
        state = self.run("systemctl", "show", "--property=ActiveState", "--value", "kubelet").strip()
        if state != "active":
            raise RuntimeError(f"the kubelet is {state}:\n{self.log('kubelet')[-4000:]}")

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "ControlMaster": "auto",
            "ControlPath": f"{self._connections.name}/%p",
            "ControlPersist": "yes",
            "LogLevel": "ERROR",
            "ServerAliveInterval": "15",
            # It is the one behind this port, and nobody else's.
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        told = [f"-o{name}={value}" for name, value in options.items()]
        return [
            "ssh",
            "-F",
            "none",
            "-i",
            str(self._root / "id"),
            "-p",
            str(self._port),
            *told,
            "root@127.0.0.1",
        ]

    def _disconnect(self) -> None:
        """End the connection that all commands have shared."""
        subprocess.run([*self._ssh(), "-O", "exit"], capture_output=True, check=False)  # noqa: S603 — our own

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long a part of it takes to start."""
        began = time.monotonic()
        yield
        self.seconds[what] = round(time.monotonic() - began, 1)


def _digest(image: Path) -> str:
    """What names the content of an archive; its own bytes have the time at which it was written."""
    with tarfile.open(image) as archive:
        index = archive.extractfile("index.json")
        assert index is not None, image
        return hashlib.sha256(index.read()).hexdigest()[:12]


_KUBELET_FOLDER = "/var/lib/kubelet"
_KUBELET = f"""\
[Unit]
Description=kubelet
After=containerd.service

[Service]
ExecStart=/usr/local/bin/kubelet --config={_KUBELET_FOLDER}/config.yaml --kubeconfig={KUBECONFIG} \\
  --hostname-override={NAME} --housekeeping-interval=1m
"""
