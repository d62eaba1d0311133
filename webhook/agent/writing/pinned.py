"""CPUs that a kubelet of the policy static seems to have given to containers, where nobody says its policy.

Such a kubelet gives a container of a Guaranteed pod as many CPUs as it requests, for itself alone. So a set
of such a container is taken for the kubelet's if it is narrower than what the container would have by itself,
no larger than its request, not in the agent's ledger, and nobody else's: no CPU of it is granted to a pod, or
in another container's own set. It stays the container's while that waits to start again.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.placement import own_sets, whole_cpus
from webhook.agent.plan.settings import CPUManager, Settings
from webhook.agent.plan.target import Knob
from webhook.agent.writing.begun import known
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of, parse
from webhook.agent.writing.ledger import ActionLedger
from webhook.agent.writing.present import Present
from webhook.cpuset.cpulist import format_cpulist
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.pod import containers
from webhook.pods.quantities import QuantityError
from webhook.pods.resourcestatus import StatusError, believed_cpus

_AGAIN_SECONDS: Final = 5.0
CPUs = frozenset[int]


class _Looked(NamedTuple):
    """What may be the kubelet's, by a container's name, with its group; until when it holds, and of which."""

    sets: Mapping[str, tuple[str, CPUs]]
    until: float
    containers: Mapping[str, str]


class _Found(NamedTuple):
    """Sets of which nobody else has a part, by uid, and problems; until when, and of what they were made."""

    sets: Mapping[str, CPUs]
    problems: tuple[str, ...]
    until: float
    of: tuple[object, ...]


@dataclass(eq=False)
class Pinned:
    """Looks at the sets of such containers; not for use from several threads."""

    _hierarchy: Hierarchy
    _files: CgroupFiles
    _ledger: ActionLedger | None = None
    _clock: Callable[[], float] = time.monotonic
    _looked: dict[str, _Looked] = field(default_factory=dict, init=False)
    _found: _Found | None = field(default=None, init=False)
    _made: tuple[NodeTopology, CPUs, NodeTopology] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._present = Present(self._hierarchy, self._files)

    @property
    def sets(self) -> Mapping[str, CPUs]:
        """These CPUs, by the pod's uid; a mapping that is replaced, never changed: any thread may read it."""
        found = self._found
        return found.sets if found is not None else {}

    @property
    def problems(self) -> tuple[str, ...]:
        """CPUs that seem to be the kubelet's, and are granted to another pod."""
        return self._found.problems if self._found is not None else ()

    def on(self, node: NodeTopology, pods: Sequence[AgentPod], settings: Settings) -> NodeTopology:
        """Return the node with these CPUs as the kubelet's; the same object as long as nothing changes."""
        if settings.cpu_manager is not CPUManager.UNKNOWN:
            self._looked.clear()
            self._found = None
            return node
        now = self._clock()
        looked = {}
        for pod in pods:
            if pod.finished or not pod.has_cgroup or pod.qos or _names_cpus(pod):
                continue
            if requested := whole_cpus(pod):
                looked[pod.uid] = self._look(pod, requested, now)
        self._looked = looked
        self._found = self._judged(node, pods, now)
        found = frozenset[int]().union(*self.sets.values())
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
        sets = dict(before.sets) if before is not None else {}
        for each in containers(pod.value):
            if each.kind == "initContainers" and not each.sidecar:
                sets.pop(each.name, None)  # it does not start again
        for name, group, cpus, narrower in self._containers(pod):
            sets.pop(name, None)
            if narrower and len(cpus) <= requested.get(name, 0) and self._before(group) is None:
                sets[name] = group, cpus
        return _Looked(sets, now + _AGAIN_SECONDS, pod.containers)

    def _judged(self, node: NodeTopology, pods: Sequence[AgentPod], now: float) -> _Found | None:
        """Judge the sets that were looked at; None: there is none."""
        sets = dict(found for each in self._looked.values() for found in each.sets.values())
        if not sets:
            return None
        of, before = (sets, node, tuple(pods)), self._found
        if before is not None and now < before.until and before.of == of:
            return before
        there = [pod for pod in pods if not pod.finished]
        others = list(self._own(there, sets.values()))
        given = [(pod.name, cpus) for pod, cpus in own_sets(there, node, []).values()]
        found: dict[str, CPUs] = {}
        problems = []
        for pod in there:
            looked = self._looked.get(pod.uid)
            for group, cpus in looked.sets.values() if looked is not None else ():
                if any(cpus & each for other, each in others if other != group):
                    continue
                if granted := [(holder, cpus & each) for holder, each in given if cpus & each]:
                    problems += [_granted(pod.name, *each) for each in granted]
                elif here := cpus & node.cpu_topology.position.keys():
                    found[pod.uid] = found.get(pod.uid, frozenset()) | here
        return _Found(found, tuple(problems), now + _AGAIN_SECONDS, of)

    def _own(self, pods: Sequence[AgentPod], sets: Collection[CPUs]) -> Iterator[tuple[str, CPUs]]:
        """Return the containers' own sets; of those that the agent wrote, what was there before.

        That only where it is one of ``sets``: somebody had written a pool to both.
        """
        for pod in pods:
            for _, group, cpus, narrower in self._containers(pod) if pod.has_cgroup else ():
                before = self._before(group)
                if before is None and narrower:
                    yield group, cpus
                elif before is not None and before in sets:
                    yield group, before

    def _containers(self, pod: AgentPod) -> Iterator[tuple[str, str, CPUs, bool]]:
        """Return names, groups and sets of a pod's containers, and which have fewer CPUs than by themselves.

        One that has just begun and is in no status yet is passed over. A recording may lack what a pod has.
        """
        above = self._present.group(pod)
        default = self._present.cpus(above)
        for number, group in self._hierarchy.containers(above).items():
            cpus = self._present.value(Knob.CPUS, group)
            if isinstance(cpus, frozenset) and number in pod.containers:
                narrower = bool(cpus) and (default is None or cpus < default)
                yield pod.containers[number], group, cpus, narrower

    def _before(self, group: str) -> CPUs | None:
        """Return what a container's set held before the agent; None where the agent has not written it."""
        file = file_of(Knob.CPUS, self._hierarchy.version)
        path = self._hierarchy.file(file.controller, group, file.name) if file is not None else None
        originals = self._ledger.originals if self._ledger is not None else {}
        if path is None or not known(path, originals, self._files):
            return None
        value = parse(Knob.CPUS, originals[path].old, self._hierarchy.version)
        return value if isinstance(value, frozenset) else None


def _granted(pod: str, holder: str, cpus: CPUs) -> str:
    return (
        f"{pod}: CPUs {format_cpulist(cpus)} of its set are granted to {holder}: a kubelet of the policy "
        "static may have given them to it alone: set agent.kubeletDir, and start one of the two again"
    )


def _names_cpus(pod: AgentPod) -> bool:
    """Whether a pod's annotation names CPUs: an agent wrote its set, whether a ledger is here or not."""
    try:
        return bool(believed_cpus(pod.value))
    except (StatusError, QuantityError):
        return False
