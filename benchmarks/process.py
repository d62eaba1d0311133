"""A server process under measurement: started on one core, asked for its CPU time and memory, stopped."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SERVER_CORE = 0
_START_SECONDS = 60.0


class Server:
    """A gunicorn master and its only worker."""

    def __init__(self, master: int) -> None:
        self._master = master

    @property
    def worker(self) -> int:
        """The worker's process id."""
        children = Path(f"/proc/{self._master}/task/{self._master}/children").read_text().split()
        return int(children[0])

    def cpu_seconds(self) -> float:
        """User and system time of the worker, all threads."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory of the worker, shared pages included."""
        for line in Path(f"/proc/{self.worker}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise LookupError(self.worker)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on at the moment.

    Not one of those that the kernel gives to clients (from 32768 on): a client of an earlier run may get it
    before the server does.
    """
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def started(arguments: Sequence[str], port: int, log: Path) -> Iterator[Server]:
    """Run ``python ARGUMENTS`` on the server's core until the block ends; it must listen on ``port``."""
    command = ["taskset", "--cpu-list", str(SERVER_CORE), sys.executable, *arguments]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait(process, port, log)
            yield Server(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.5)  # The worker is there; let it finish what it does at the start.
            return
        time.sleep(0.1)
    raise RuntimeError(log.read_text())
