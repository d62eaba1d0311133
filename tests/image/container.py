"""A running container, and its network entered from here."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.e2e.cluster.processes import eventually

_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
_RUNC = shutil.which("runc") or "/usr/sbin/runc"
_LIBC = ctypes.CDLL(None, use_errno=True)


class Container:
    """Runs a bundle from entering to leaving."""

    def __init__(self, name: str, bundle: Path, state: Path) -> None:
        self._name = name
        self._bundle = bundle
        self._runc = [_RUNC, "--root", str(state)]
        self._pid_file = bundle / "pid"
        self._log = bundle / "log"

    def __enter__(self) -> Self:
        """Start it and wait until it has a process."""
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 — the tests' own command line
                [*self._runc, "run", "--bundle", self._bundle, "--pid-file", self._pid_file, self._name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self._pid_file.exists() and self.pid, what="a process in the container")
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever it does."""
        if self._child.poll() is None:
            self.signal(signal.SIGKILL)
            self._child.wait(20)
        subprocess.run([*self._runc, "delete", "--force", self._name], check=False)  # noqa: S603 — as above

    @property
    def pid(self) -> int:
        """Its first process, as this machine numbers it."""
        if self._child.poll() is not None:
            raise RuntimeError(f"the container ended with {self._child.returncode}: {self.log()}")
        return int(self._pid_file.read_text())

    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to its first process."""
        subprocess.run([*self._runc, "kill", self._name, signum.name], check=True)  # noqa: S603 — as above

    def ended(self, seconds: float) -> int:
        """Wait for its end, and return its exit status."""
        return self._child.wait(seconds)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one more command in it, as its user, with its environment."""
        return subprocess.run(  # noqa: S603 — as above
            [*self._runc, "exec", self._name, *command], capture_output=True, text=True, check=False
        )

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Have the sockets that this thread makes in the block be in the container's network."""
        own = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net").open("rb")  # noqa: SIM115
        with own, Path(f"/proc/{self.pid}/ns/net").open("rb") as its:
            _enter(its.fileno())
            try:
                yield
            finally:
                _enter(own.fileno())

    def connect(
        self, port: int, trust: ssl.SSLContext | None = None, name: str = "localhost"
    ) -> http.client.HTTPConnection:
        """An open connection to a port of its loopback address; with ``trust`` by TLS, to ``name``."""
        connection = http.client.HTTPConnection(name, port, timeout=10)
        with self.network():
            connection.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        if trust is not None:
            connection.sock = trust.wrap_socket(connection.sock, server_hostname=name)
        return connection

    def status(self, port: int, path: str) -> int:
        """The status of a path."""
        with contextlib.closing(self.connect(port)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
