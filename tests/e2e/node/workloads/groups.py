"""The cgroups of a pod on the real node, as files and as the kernel's counters."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster.kubectl import Object
from tests.e2e.node.machine.node import Node
from tests.e2e.node.workloads.pods import container
from webhook.agent.machine.hierarchy import Hierarchy, find_hierarchy
from webhook.protocol import KubeQoS


def hierarchy(node: Node) -> Hierarchy:
    """Where the cgroups of this node's pods are."""
    return find_hierarchy(kubepods=f"{node.cgroup}/kubepods")


class PodGroups:
    """The cgroup of a running pod, and those of its one container and of its sandbox."""

    def __init__(self, node: Node, stored: Object) -> None:
        """Find them."""
        self._hierarchy = hierarchy(node)
        qos = KubeQoS(stored["status"]["qosClass"])
        self.pod = self._hierarchy.pod(qos, stored["metadata"]["uid"])
        below = self._hierarchy.containers(self.pod)
        self.container = below.pop(container(stored))
        (self.sandbox,) = below.values()

    def file(self, group: str, name: str) -> Path:
        """The path of a file of one of them; its name begins with that of its controller."""
        path = self._hierarchy.file(name.partition(".")[0], group, name)
        assert path is not None, name
        return Path(path)

    def text(self, group: str, name: str) -> str:
        """What it holds."""
        return self.file(group, name).read_text().strip()

    def used(self, group: str = "") -> int:
        """Nanoseconds of CPU time of the container, or of another of them."""
        return int(self.text(group or self.container, "cpuacct.usage"))

    def scheduled(self, group: str, name: str) -> int:
        """A figure of what the scheduler counts of one of them: ``nr_periods``, ``nr_throttled``."""
        return int(self.text(group, "cpu.stat").split(name)[1].split()[0])

    def processes(self) -> list[str]:
        """The ids of the container's processes."""
        return self._processes(self.container)

    def allowed(self, *groups: str) -> set[str]:
        """Where the processes of container and sandbox, or of one, may run: the kernel's word of each."""
        found = set()
        for group in groups or (self.container, self.sandbox):
            for process in self._processes(group):
                status = Path(f"/proc/{process}/status").read_text()
                found.add(status.split("Cpus_allowed_list:")[1].split()[0])
        return found

    def _processes(self, group: str) -> list[str]:
        return self.file(group, "cpuset.cpus").with_name("cgroup.procs").read_text().split()
