"""What a virtual machine looks like from inside: its CPUs and its memory."""

from __future__ import annotations

from typing import Final, NamedTuple

MEMORY_MIB: Final = 4096


class Shape(NamedTuple):
    """One kind of machine.

    Attributes:
        name: for people, and in the names of files.
        sockets: each is a NUMA node if there are several.
        cores: of a socket.
        threads: of a core.
    """

    name: str
    sockets: int = 1
    cores: int = 16
    threads: int = 1

    @property
    def cpus(self) -> int:
        """Return how many CPUs it has."""
        return self.sockets * self.cores * self.threads

    def flags(self) -> list[str]:
        """Return what QEMU is told of CPUs and memory."""
        found = ["-smp", f"{self.cpus},sockets={self.sockets},cores={self.cores},threads={self.threads}"]
        # Of an AMD processor, as which QEMU introduces itself, the kernel would not believe the threads.
        found += ["-cpu", "max,vendor=GenuineIntel" if self.threads > 1 else "max"]
        found += ["-m", str(MEMORY_MIB)]
        if self.sockets > 1:
            for each in range(self.sockets):
                found += ["-object", f"memory-backend-ram,id=m{each},size={MEMORY_MIB // self.sockets}M"]
                found += ["-numa", f"node,nodeid={each},memdev=m{each}"]
                found += ["-numa", f"cpu,node-id={each},socket-id={each}"]
        return found


PLAIN: Final = Shape("plain")
"""16 CPUs, each a core of its own."""

NUMA: Final = Shape("numa", sockets=2, cores=4, threads=2)
"""16 CPUs again: two sockets, each a NUMA node, and two threads a core."""
