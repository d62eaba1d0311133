"""Pods, and nodes as recorded trees, for tests of the agent."""

from pathlib import Path
from typing import Any

from tests.agent.tree import write
from webhook.agent.machine.hierarchy import Hierarchy, find_hierarchy
from webhook.agent.pods import NodePod, read_pod

MI = 2**20
GI = 2**30


def pod(name: str = "web", qos: str = "Burstable", **over: Any) -> dict[str, Any]:
    """Return a v1 Pod of namespace shop; ``over`` adds to metadata, spec or status."""
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": f"uid-{name}"} | over.get("metadata", {}),
        "spec": {"nodeName": "n1", "containers": [{"name": "main"}]} | over.get("spec", {}),
        "status": {"phase": "Running", "qosClass": qos} | over.get("status", {}),
    }


def node_pod(name: str = "web", qos: str = "Burstable", **over: Any) -> NodePod:
    """Return the same, read."""
    return read_pod(pod(name, qos, **over))


class Tree:
    """A node of recorded files whose counters a test moves.

    Attributes:
        root: of it.
        now: seconds of its clock.
    """

    def __init__(self, root: Path, *, version: int = 1, cpus: int = 4) -> None:
        self.root = root
        self.now = 1000.0
        self.cpus = cpus
        self.version = version
        self._busy = 0.0
        self._used: dict[str, float] = {}
        top = "sys/fs/cgroup"
        if version == 2:
            write(root, {f"{top}/cgroup.controllers": "cpuset cpu memory\n"})
        else:
            write(root, {f"{top}/unified/cgroup.controllers": "hugetlb\n", f"{top}/cpu/kubepods/tasks": ""})
        self.machine(0.0, 8 * GI)
        for name in ("kubepods", "kubepods/burstable", "kubepods/besteffort"):
            self.group(name, 0.0, 0)

    @property
    def hierarchy(self) -> Hierarchy:
        """Return where its cgroups are."""
        return find_hierarchy(self.root)

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def machine(self, seconds: float, used: int, total: int = 32 * GI) -> None:
        """Let the machine work for so many CPU seconds more, and use so many bytes."""
        self._busy += seconds
        lines = [f"cpu  {int(self._busy * 100)} 0 0 1000 0 0 0 0 0 0"]
        lines += [f"cpu{i} 0 0 0 0 0 0 0 0 0 0" for i in range(self.cpus)]
        free = (total - used) // 1024
        meminfo = f"MemTotal: {total // 1024} kB\nMemFree: {free // 2} kB\nMemAvailable: {free} kB\n"
        write(self.root, {"proc/stat": "\n".join(lines) + "\n", "proc/meminfo": meminfo})

    def group(self, name: str, seconds: float, memory: int, cache: int = 0) -> None:
        """Let a group work for so many CPU seconds more, and use so many bytes."""
        used = self._used[name] = self._used.get(name, 0.0) + seconds
        stat = f"inactive_anon 0\nactive_anon {memory}\nactive_file {cache}\n"
        top = "sys/fs/cgroup"
        if self.version == 2:
            files = {f"{name}/cpu.stat": f"usage_usec {int(used * 10**6)}\n", f"{name}/memory.stat": stat}
        else:
            total = "".join(f"total_{line}\n" for line in stat.splitlines())
            files = {
                f"cpuacct/{name}/cpuacct.usage": f"{int(used * 10**9)}\n",
                f"memory/{name}/memory.stat": total,
                f"cpu/{name}/cpu.shares": "2\n",
            }
        write(self.root, {f"{top}/{file}": text for file, text in files.items()})
