"""The CPU sets of pods as the kernel has them, next to what annotations say and what should stand there.

What should stand there follows from the plan of an agent, whoever writes it. A container is judged by the
CPUs on which the kernel lets it run: its own set, in version 2 also those of the groups above it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from webhook.agent.inputs import inputs_of
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.machine.kubelet import Kubelet
from webhook.agent.plan.agentpod import AgentPod, Mode, read_agent_pod
from webhook.agent.plan.plan import Plan, make_plan
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob
from webhook.agent.suppression.overlay import SUPPRESSION, suppressible
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.pinned import Pinned
from webhook.agent.writing.present import Present
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.topology import Topology
from webhook.pods.pod import mappings
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.slo.keys import CPUSET
from webhook.slo.nodeslo import read_nodeslo

KUBELET: Final = "kubelet"
"""The rule: the kubelet's CPU manager chose them."""

_RUNNING: Final = "Running"
CPUs = frozenset[int]


class Owed(NamedTuple):
    """What should stand there.

    Attributes:
        rule: by which; why nothing is owed where there are no CPUs.
        cpus: which; None: nothing is said of them.
        less: whether a part of them is right, too.
    """

    rule: str
    cpus: CPUs | None = None
    less: bool = False

    def is_met_by(self, cpus: CPUs | None) -> bool | None:
        """Whether a container may run on these and no others; None: nothing is owed."""
        if self.cpus is None:
            return None
        return cpus == self.cpus or (self.less and cpus is not None and frozenset() < cpus < self.cpus)


class Group(NamedTuple):
    """A cgroup.

    Attributes:
        folder: its directory, in version 1 that of the controller cpuset.
        cpus: what its ``cpuset.cpus`` says; None: there is no such file.
        on: where its processes may run; None: as above.
    """

    folder: str
    cpus: CPUs | None
    on: CPUs | None


@dataclass(frozen=True, slots=True)
class PodSets:
    """The CPU sets of one pod.

    Attributes:
        pod: the pod.
        given: what its annotation names; None: no CPUs, or it cannot be read.
        owed: what should stand in the groups of its containers.
        group: its own; None: it has none.
        containers: by name; those that have a group.
        runs: whether one of its containers does, as its kubelet says.
    """

    pod: AgentPod
    given: CPUs | None
    owed: Owed
    group: Group | None
    containers: Sequence[tuple[str, Group]]
    runs: bool

    @property
    def agrees(self) -> bool | None:
        """Whether all containers run where they should; None: nothing is owed, or none runs now."""
        if self.owed.cpus is None:
            return None
        if not self.containers:
            return False if self.runs else None
        return all(self.owed.is_met_by(group.on) for _, group in self.containers)


class Report(NamedTuple):
    """What was found.

    Attributes:
        cgroups: version and driver, as text.
        pods: by name.
        findings: about node and NodeSLO, and about the annotations of these pods.
    """

    cgroups: str
    pods: Sequence[PodSets]
    findings: Sequence[str]

    @property
    def differing(self) -> int:
        """Return how many pods do not run where they should."""
        return sum(each.agrees is False for each in self.pods)


def verify(  # noqa: PLR0913 — as of a dry run
    hierarchy: Hierarchy,
    files: CgroupFiles,
    cpus: Topology,
    pods: Sequence[Mapping[str, Any]],
    node: Mapping[str, Any],
    *,
    kubelet: Kubelet | None = None,
    slo: Mapping[str, Any] | None = None,
    named: str | None = None,
) -> Report:
    """Read the CPU sets of a node's pods.

    Args:
        hierarchy: where cgroups are.
        files: of them.
        cpus: of the machine.
        pods: all v1 Pods of the node, for one's CPUs are not another's.
        node: the v1 Node, or {"metadata": {}} where none is known.
        kubelet: what its files say; None where they are not to be read.
        slo: the spec of the node's NodeSLO.
        named: only of this pod: namespace/name, name, or uid.
    """
    read = [read_agent_pod(pod) for pod in pods]
    topology, settings = inputs_of(node, cpus, kubelet, read, Settings(slo=read_nodeslo(slo)))
    plan = make_plan(read, Pinned(hierarchy, files).on(topology, read, settings), settings)
    threshold = settings.slo.threshold
    may_have_less = threshold.enable and threshold.cpu_suppress_policy == CPUSET
    suppressed = suppressible(plan, CPUSET) if may_have_less else frozenset[str]()
    present = Present(hierarchy, files)
    running = {pod.uid for pod, raw in zip(read, pods, strict=True) if _runs(raw)}
    found = [
        _pod_sets(
            each.pod,
            _owed(each.pod, plan, suppressed, kubelet),
            hierarchy,
            present,
            runs=each.pod.uid in running,
        )
        for each in sorted(plan.all_pods, key=lambda each: (each.pod.name, each.pod.uid))
        if named is None or named in (each.pod.name, each.pod.name.rpartition("/")[2], each.pod.uid)
    ]
    names = tuple(f"{each.pod.name}: " for each in found)
    return Report(
        f"cgroup v{hierarchy.version}, driver {hierarchy.driver}",
        found,
        [
            *topology.problems,
            *(f"NodeSLO: {each}" for each in settings.slo.findings),
            *(each for each in plan.cpus.findings if each.startswith(names)),
        ],
    )


def _owed(pod: AgentPod, plan: Plan, suppressed: frozenset[str], kubelet: Kubelet | None) -> Owed:
    if pod.mode is not Mode.ENFORCE:
        return Owed(f"left alone, {pod.mode}")
    placement = plan.cpus.placements.get(pod.uid)
    if placement is not None:
        less = pod.uid in suppressed
        return Owed(f"{placement.rule}, {SUPPRESSION}" if less else placement.rule, placement.cpus, less)
    pinned = kubelet.pinned.get(pod.uid) if kubelet is not None else None
    if pinned and len(pod.containers) == 1:  # of several the kubelet may have left some on its share pool
        return Owed(KUBELET, pinned)
    return Owed("left alone")


def _runs(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a v1 Pod runs; one that crashes again and again does not while it waits."""
    status = pod.get("status") or {}
    states = [each.get("state") or {} for each in mappings(status.get("containerStatuses"))]
    stopped = bool(states) and all(each.keys() & {"waiting", "terminated"} for each in states)
    return status.get("phase") == _RUNNING and not stopped


def _pod_sets(pod: AgentPod, owed: Owed, hierarchy: Hierarchy, present: Present, *, runs: bool) -> PodSets:
    try:
        given = given_cpus(pod.value)
    except StatusError:  # a finding of the plan
        given = None
    group = present.group(pod)
    own = _group(group, hierarchy, present) if pod.has_cgroup else None
    below = hierarchy.containers(group) if own is not None else {}
    containers = [
        (pod.containers[number], found)
        for number, each in below.items()
        if number in pod.containers and (found := _group(each, hierarchy, present)) is not None
    ]
    return PodSets(pod, given, owed, own, sorted(containers), runs)


def _group(group: str, hierarchy: Hierarchy, present: Present) -> Group | None:
    folder = hierarchy.folder("cpuset", group)
    if folder is None:
        return None
    cpus = present.value(Knob.CPUS, group)
    return Group(folder, cpus if isinstance(cpus, frozenset) else None, present.cpus(group))


def data_of(found: Report) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "cgroups": found.cgroups,
        "pods": [_pod_data(each) for each in found.pods],
        "findings": list(found.findings),
    }


def _pod_data(each: PodSets) -> dict[str, Any]:
    return {
        "pod": each.pod.name,
        "uid": each.pod.uid,
        "qos": each.pod.qos,
        "kubeQoS": str(each.pod.kube_qos),
        "annotation": _text(each.given),
        "rule": each.owed.rule,
        "wanted": _text(each.owed.cpus),
        "lessIsRight": each.owed.less,
        "agrees": each.agrees,
        "group": None if each.group is None else _group_data(each.group),
        "containers": [
            {"container": name, **_group_data(group), "agrees": each.owed.is_met_by(group.on)}
            for name, group in each.containers
        ],
    }


def _group_data(group: Group) -> dict[str, Any]:
    return {"cgroup": group.folder, "cpuset": _text(group.cpus), "runsOn": _text(group.on)}


def _text(cpus: CPUs | None) -> str | None:
    return None if cpus is None else format_cpulist(cpus)
