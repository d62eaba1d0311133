"""CPUs that a kubelet of the policy static seems to have given to containers, where nobody says its policy.

Such a kubelet gives a container of a Guaranteed pod as many CPUs as it requests, for itself alone. So a set
of such a container is taken for the kubelet's if it is narrower than what the container would have by itself,
no larger than its request, and not in the agent's ledger.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.placement import whole_cpus
from webhook.agent.plan.settings import CPUManager, Settings
from webhook.agent.plan.target import Knob
from webhook.agent.writing.begun import known
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of
from webhook.agent.writing.ledger import ActionLedger
from webhook.agent.writing.present import Present
from webhook.pods.nodetopology import NodeTopology

_AGAIN_SECONDS: Final = 5.0


class _Looked(NamedTuple):
    """What was found of a pod, until when it holds, and of which containers."""

    cpus: frozenset[int]
    until: float
    containers: Mapping[str, str]


@dataclass(eq=False)
class Pinned:
    """Looks at the sets of such containers; not for use from several threads."""

    _hierarchy: Hierarchy
    _files: CgroupFiles
    _ledger: ActionLedger | None = None
    _clock: Callable[[], float] = time.monotonic
    _looked: dict[str, _Looked] = field(default_factory=dict, init=False)
    _made: tuple[NodeTopology, frozenset[int], NodeTopology] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._present = Present(self._hierarchy, self._files)

    def on(self, node: NodeTopology, pods: Sequence[AgentPod], settings: Settings) -> NodeTopology:
        """Return the node with these CPUs as the kubelet's; the same object as long as nothing changes."""
        if settings.cpu_manager is not CPUManager.UNKNOWN:
            self._looked.clear()
            return node
        now = self._clock()
        looked = {}
        for pod in pods:
            if pod.finished or not pod.has_cgroup or pod.qos:
                continue
            if requested := whole_cpus(pod):
                looked[pod.uid] = self._look(pod, requested, now)
        self._looked = looked
        found = frozenset[int]().union(*(each.cpus for each in looked.values()))
        found &= node.cpu_topology.position.keys()
        if not found:
            return node
        if self._made is None or self._made[0] is not node or self._made[1] != found:
            given = node.reservations
            given = replace(given, kubelet_pinned=given.kubelet_pinned | found)
            self._made = node, found, replace(node, reservations=given)
        return self._made[2]

    def _look(self, pod: AgentPod, requested: Mapping[str, int], now: float) -> _Looked:
        before = self._looked.get(pod.uid)
        if before is not None and now < before.until and before.containers == pod.containers:
            return before
        cpus = frozenset[int]().union(*self._sets(pod, requested))
        return _Looked(cpus, now + _AGAIN_SECONDS, pod.containers)

    def _sets(self, pod: AgentPod, requested: Mapping[str, int]) -> Iterator[frozenset[int]]:
        group = self._present.group(pod)
        default = self._cpus(group)
        for number, below in self._hierarchy.containers(group).items():
            most = requested.get(pod.containers.get(number, ""), 0)
            cpus = self._cpus(below)
            # In version 2 a container has no set of its own by itself, in version 1 that of its pod.
            narrower = self._hierarchy.version != 1 or cpus < default
            if 0 < len(cpus) <= most and narrower and not self._is_ours(below):
                yield cpus

    def _cpus(self, group: str) -> frozenset[int]:
        found = self._present.value(Knob.CPUS, group)
        return found if isinstance(found, frozenset) else frozenset()

    def _is_ours(self, group: str) -> bool:
        file = file_of(Knob.CPUS, self._hierarchy.version)
        path = self._hierarchy.file(file.controller, group, file.name) if file is not None else None
        originals = self._ledger.originals if self._ledger is not None else {}
        return path is not None and known(path, originals, self._files)
