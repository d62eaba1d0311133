"""What the processes of a replica hold: memory, threads, descriptors, connections, as /proc tells."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple, Self

from tests.e2e.cluster.processes import Process
from tests.e2e.release.replicas import Replica

_ESTABLISHED = "01"


class Usage(NamedTuple):
    """Sums over the processes of one replica.

    ``files`` are the open descriptors that are no connections at the port of reviews: those come and go with
    the API server's.
    """

    resident_mib: float
    threads: int
    files: int
    connections: int

    @classmethod
    def of(cls, replica: Replica) -> Self:
        """Look now."""
        processes = [Path("/proc") / str(pid) for pid in _tree(replica.process.pid)]
        sockets = _connections(replica.port)
        held = [link for process in processes for link in _links(process / "fd")]
        connections = sum(link in sockets for link in held)
        return cls(
            resident_mib=round(sum(_memory(process, "VmRSS:") for process in processes) / 1024, 1),
            threads=sum(len(list((process / "task").iterdir())) for process in processes),
            files=len(held) - connections,
            connections=connections,
        )


def peak_mib(replica: Replica) -> float:
    """The most that each process of a replica ever held, summed up: what a container's limit has to cover."""
    processes = [Path("/proc") / str(pid) for pid in _tree(replica.process.pid)]
    return round(sum(_memory(process, "VmHWM:") for process in processes) / 1024, 1)


def cpu_seconds(process: Process) -> float:
    """The time of a CPU that a process and its children have used so far."""
    ticks = 0
    for pid in _tree(process.pid):
        # Behind the name, which is in brackets, user and system time are the 12th and 13th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _memory(process: Path, name: str) -> int:
    lines = (process / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _links(folder: Path) -> list[str]:
    found = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(entry))  # noqa: PTH115 — sockets and pipes are no paths
    return found


def _connections(port: int) -> set[str]:
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _ESTABLISHED:
                found.add(f"socket:[{fields[9]}]")
    return found
