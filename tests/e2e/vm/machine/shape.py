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
        cgroups: the version of its cgroups, 1 or 2.
    """

    name: str
    sockets: int = 1
    cores: int = 16
    threads: int = 1
    cgroups: int = 2

    def __str__(self) -> str:
        """Return its name."""
        return self.name

    @property
    def cpus(self) -> int:
        """Return how many CPUs it has."""
        return self.sockets * self.cores * self.threads

    def flags(self) -> list[str]:
        """Return what QEMU is told of CPUs and memory."""
        found = ["-smp", f"{self.cpus},sockets={self.sockets},cores={self.cores},threads={self.threads}"]
        # An Intel one, for of AMD's the kernel would not believe the threads; and without AVX, unneeded here.
        found += ["-cpu", "Westmere"]
        found += ["-m", str(MEMORY_MIB)]
        if self.sockets > 1:
            for each in range(self.sockets):
                found += ["-object", f"memory-backend-ram,id=m{each},size={MEMORY_MIB // self.sockets}M"]
                found += ["-numa", f"node,nodeid={each},memdev=m{each}"]
                found += ["-numa", f"cpu,node-id={each},socket-id={each}"]
        return found

    def kernel(self) -> list[str]:
        """Return what its kernel's command line has besides."""
        legacy = ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        return legacy if self.cgroups == 1 else []


PLAIN: Final = Shape("plain")
"""16 CPUs, each a core of its own; cgroup version 2."""

VERSION_1: Final = Shape("version-1", cgroups=1)
"""The same with cgroup version 1."""

NUMA: Final = Shape("numa", sockets=2, cores=4, threads=2)
"""16 CPUs again: two sockets, each a NUMA node, and two threads a core."""
