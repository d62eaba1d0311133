"""The counters of one cgroup, read from its files, which stay open."""

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.counters import Memory, Pressure, cpu_stat, memory_stat, number, pressure
from webhook.agent.measuring.keptfile import GoneError, KeptFile

PRESSURES = ("cpu", "memory", "io")


class GroupFiles:
    """One group's files; not for use from several threads.

    Attributes:
        group: its path in each hierarchy.
    """

    __slots__ = ("_cpu", "_memory", "_pressure", "_version", "group")

    def __init__(self, hierarchy: Hierarchy, group: str) -> None:
        """Say which files; none is opened yet."""
        self.group = group
        self._version = hierarchy.version
        cpu = (
            hierarchy.file("cpuacct", group, "cpuacct.usage")
            if hierarchy.version == 1
            else hierarchy.file("cpuacct", group, "cpu.stat")
        )
        self._cpu = KeptFile(cpu or f"no hierarchy of cpuacct: {group}")
        self._memory = KeptFile(
            hierarchy.file("memory", group, "memory.stat") or f"no hierarchy of memory: {group}"
        )
        paths = {each: hierarchy.unified_file(group, f"{each}.pressure") for each in PRESSURES}
        self._pressure = {each: KeptFile(path) for each, path in paths.items() if path is not None}

    def cpu(self) -> int:
        """Return the CPU time in nanoseconds; raises CounterError and OSError (GoneError: it is removed)."""
        text = self._cpu.read()
        return number(text, self._cpu.path) if self._version == 1 else cpu_stat(text, self._cpu.path)

    def memory(self) -> Memory:
        """Return what it uses; raises as ``cpu``."""
        return memory_stat(self._memory.read(), self._memory.path, version=self._version)

    def pressure(self) -> dict[str, Pressure]:
        """Return how long its tasks waited, as far as the kernel counts it; raises as ``cpu``."""
        found = {}
        for resource, file in self._pressure.items():
            try:
                found[resource] = pressure(file.read(), file.path)
            except GoneError:
                continue
        return found

    def close(self) -> None:
        """Let go of the descriptors."""
        for file in (self._cpu, self._memory, *self._pressure.values()):
            file.close()
