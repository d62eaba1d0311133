"""A server process under measurement: started on one core, asked for its CPU time and memory, stopped."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.tree import environment

SERVER_CORE = 0
_START_SECONDS = 60.0


class Server:
    """A gunicorn master and its workers."""

    def __init__(self, master: int) -> None:
        self._master = master

    def processes(self) -> list[int]:
        """Process ids of the master and of all its descendants."""
        found = [self._master]
        for process in found:
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all processes, all threads."""
        return sum(map(_cpu_seconds, self.processes()))

    def proportional_mib(self) -> float:
        """Proportional set size (PSS) of all processes: a page that n processes share counts 1/n in each."""
        return sum(map(_proportional_kib, self.processes())) / 1024


def _cpu_seconds(process: int) -> float:
    # The clock that clock_getcpuclockid(3) names: exact, where /proc/PID/stat counts in 10 ms.
    return time.clock_gettime(~process << 3 | 2)


def _proportional_kib(process: int) -> int:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError(process)


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


def on_server_core(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` on the server's core."""
    return ["taskset", "--cpu-list", str(SERVER_CORE), *command]


@contextlib.contextmanager
def spawned(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` on the server's core until the block ends, its output in ``log``."""
    with (
        log.open("wb") as output,
        subprocess.Popen(on_server_core(command), stdout=output, stderr=output, env=environment()) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def started(command: Sequence[str], port: int, log: Path) -> Iterator[Server]:
    """Run a server until the block ends, which begins once it listens; raises RuntimeError with its log."""
    with spawned(command, log) as process:
        _wait(process, port, log)
        yield Server(process.pid)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.5)  # The worker is there; let it finish what it does at the start.
            return
        time.sleep(0.1)
    raise RuntimeError(log.read_text())
