"""What the cgroups of pods hold at present, whoever wrote it."""

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.target import PERIOD, UNLIMITED, Knob, Value
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import EFFECTIVE_CPUS, file_of, parse, render, same
from webhook.cpuset.cpulist import parse_cpulist


class Present:
    """The cgroups of one machine; what is not there, or cannot be read, is None."""

    def __init__(self, hierarchy: Hierarchy, files: CgroupFiles) -> None:
        """Take where cgroups are, and their files."""
        self._hierarchy, self._files = hierarchy, files

    def group(self, pod: AgentPod) -> str:
        """Return the group of a pod."""
        return self._hierarchy.pod(pod.kube_qos, pod.uid)

    def groups(self, pod: AgentPod) -> list[str]:
        """Return the groups of a pod's containers, or its own where it has none."""
        group = self.group(pod)
        below = self._hierarchy.containers(group)
        return [each for number, each in below.items() if number in pod.containers] or [group]

    def value(self, knob: Knob, group: str) -> Value | None:
        """Return what the file of a setting says."""
        file = file_of(knob, self._hierarchy.version)
        if file is None:
            return None
        try:
            return parse(knob, self._read(file.controller, group, file.name), self._hierarchy.version)
        except (OSError, ValueError):
            return None

    def cpus(self, group: str) -> frozenset[int] | None:
        """Return on which CPUs a group may run: in version 2 also by the groups above it."""
        name = "cpuset.cpus" if self._hierarchy.version == 1 else EFFECTIVE_CPUS
        try:
            return parse_cpulist(self._read("cpuset", group, name))
        except (OSError, ValueError):
            return None

    def quota(self, group: str) -> int | None:
        """Return a group's quota in microseconds of ``PERIOD``, whatever its period; or UNLIMITED."""
        quota = self.value(Knob.QUOTA, group)
        if not isinstance(quota, int) or quota == UNLIMITED or self._hierarchy.version != 1:
            return quota if isinstance(quota, int) else None
        period = self.value(Knob.PERIOD, group)
        return quota * PERIOD // period if isinstance(period, int) and period > 0 else None

    def has_quota(self, group: str, quota: int) -> bool:
        """Whether just this quota, of ``PERIOD``, stands there."""
        version = self._hierarchy.version
        file = file_of(Knob.QUOTA, version)
        if file is None or (version == 1 and self.value(Knob.PERIOD, group) != PERIOD):
            return False
        try:
            text = self._read(file.controller, group, file.name)
        except OSError:
            return False
        return same(Knob.QUOTA, text, render(Knob.QUOTA, quota, version), version)

    def _read(self, controller: str, group: str, name: str) -> str:
        path = self._hierarchy.file(controller, group, name)
        if path is None:
            raise FileNotFoundError(f"there is no hierarchy of {controller}")
        return self._files.read(path).strip()
