"""On which CPUs each pod of a node runs, and by which rule.

LSE and LSR pods run on the set that their annotation names, where class, size and node allow it; a set
that is not allowed counts for nobody, and its pod runs on the share pool. The pools are those of
``webhook.cpuset.sharing``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.settings import CPUManager
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.pod import containers
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.requests import pod_request
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, believed_cpus, excess, numa_nodes
from webhook.protocol import (
    ANNOTATION_RESOURCE_STATUS,
    ANNOTATION_SYSTEM_QOS,
    CPU,
    KubeQoS,
    QoSClass,
)

OWN_CPUS: Final = "own-cpus"
SHARE_POOL: Final = "share-pool"
BE_POOL: Final = "be-pool"
SYSTEM_CPUS: Final = "system-cpus"

_UNKNOWN: Final = (
    "the kubelet's CPU policy is unknown: Guaranteed pods without a class that request whole CPUs are left "
    "as they are, and CPUs that seem to be pinned to them are in no pool: set agent.kubeletDir"
)
_CPU: Final = 1000  # milli-cores


class Placement(NamedTuple):
    """Where a pod runs.

    Attributes:
        rule: by which.
        cpus: never empty.
        inputs: what the rule was given.
    """

    rule: str
    cpus: frozenset[int]
    inputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CPUSets:
    """The CPUs of a node, shared out.

    Attributes:
        state: the node with all holders of CPU sets: the pools are read from it.
        placements: by uid; a pod that is left alone has none.
        findings: what could not be done as it was asked, and why.
    """

    state: NodeState
    placements: Mapping[str, Placement]
    findings: tuple[str, ...]


def cpu_sets(
    pods: Sequence[AgentPod], node: NodeTopology, *, cpu_manager: CPUManager = CPUManager.NONE
) -> CPUSets:
    """Share out the CPUs of a node.

    Args:
        pods: of the node, that have not finished.
        node: its CPUs, reservations and policies.
        cpu_manager: the policy of the kubelet, which places pods without a class itself under some.
    """
    findings: list[str] = []
    own = own_sets(pods, node, findings)
    state = NodeState(node.cpu_topology, node.reservations)
    state.hold(
        (Pod(pod.uid, QoS.LSE if pod.qos == QoSClass.LSE else QoS.LSR, len(cpus) * 1000), cpus)
        for pod, cpus in own.values()
    )
    pools = _Pools(state, node, cpu_manager)
    placements = {}
    for pod in pods:
        if pod.uid in own:
            cpus = own[pod.uid][1]
            placements[pod.uid] = Placement(
                OWN_CPUS, cpus, {"annotation": format_cpulist(cpus), "class": pod.qos or "none"}
            )
        elif placement := pools.place(pod, findings):
            placements[pod.uid] = placement
    return CPUSets(state, placements, tuple(findings))


def whole_cpus(pod: AgentPod) -> Mapping[str, int]:
    """Return how many CPUs a kubelet of the policy static gives each container of a pod for itself alone.

    None of a pod that is not Guaranteed, and none to a container that requests a part of a CPU.
    """
    if pod.kube_qos is not KubeQoS.GUARANTEED:
        return {}
    found = {}
    for each in containers(pod.value):
        stated = each.quantities("requests").get(CPU, each.quantities("limits").get(CPU))
        try:
            amount = milli(text_of(stated)) if stated is not None else 0
        except QuantityError:
            continue
        if amount > 0 and amount % _CPU == 0:
            found[each.name] = amount // _CPU
    return found


def own_sets(
    pods: Iterable[AgentPod], node: NodeTopology, findings: list[str]
) -> dict[str, tuple[AgentPod, frozenset[int]]]:
    """Return the pods that run on CPUs of their own, and these CPUs; of two that name one, the older one."""
    own: dict[str, tuple[AgentPod, frozenset[int]]] = {}
    owner: dict[int, str] = {}
    given = node.reservations
    closed = given.reserved | given.kubelet_pinned | given.kubelet_reserved
    closed |= given.system if given.system_exclusive else frozenset()
    for pod in sorted(pods, key=lambda each: (each.created, each.uid)):
        try:
            cpus = believed_cpus(pod.value)
            if not cpus:
                continue
            problem = _forbidden(pod, node)
            if trimmed := excess(pod.value):
                findings.append(f"{pod.name}: {trimmed}")
        except (StatusError, QuantityError, ResourceSpecError) as error:
            findings.append(f"{pod.name}: {error}")
            continue
        here = cpus.intersection(node.cpu_topology.position)
        if not problem and here != cpus:
            text = f"{pod.name}: CPUs {format_cpulist(cpus - here)} of its set are not online"
            findings.append(f"{text}: it runs on {format_cpulist(here)}" if here else text)
        if not problem and (taken := here & closed):
            problem = f"CPUs {format_cpulist(taken)} of its set are reserved"
        if not problem and (taken := here & owner.keys()):
            holder = owner[min(taken)]
            problem = f"CPUs {format_cpulist(taken)} of its set are {holder}'s, which is older"
        if problem:
            findings.append(f"{pod.name}: {problem}: it gets no CPUs of its own")
        elif here:
            own[pod.uid] = pod, here
            owner.update(dict.fromkeys(here, pod.name))
    return own


def _forbidden(pod: AgentPod, node: NodeTopology) -> str:
    """Say why class or node give a pod no CPUs of its own, or ""; raises as ``read_resource_spec``."""
    if read_resource_spec(pod.value) is not None:
        return ""
    # By a node's policy, every pod that requests CPU gets a set.
    if node.bind_policy is not BindPolicy.NONE and pod_request(pod.value, CPU) > 0:
        return ""
    kind = f"class {pod.qos}" if pod.qos else "no class"
    return (
        f"annotation {ANNOTATION_RESOURCE_STATUS} names CPUs, but a pod of {kind}, this priority and these "
        "requests runs on a pool"
    )


class _Pools:
    """The CPUs of pods that have none of their own."""

    def __init__(self, state: NodeState, node: NodeTopology, cpu_manager: CPUManager) -> None:
        self._topology = node.cpu_topology
        self._system = node.reservations.system
        self._manager = cpu_manager
        self._shared = state.shared_pool()
        self._be = state.be_pool()

    def place(self, pod: AgentPod, findings: list[str]) -> Placement | None:
        """Return where a pod runs; None: it is left as it is."""
        best_effort = pod.kube_qos == KubeQoS.BEST_EFFORT
        if pod.qos == QoSClass.SYSTEM:
            inputs = {ANNOTATION_SYSTEM_QOS: format_cpulist(self._system)}
            return Placement(SYSTEM_CPUS, self._system, inputs) if self._system else None
        if pod.qos == QoSClass.BE or (not pod.qos and best_effort):
            return self._found(pod, BE_POOL, self._be, findings)
        if not pod.qos and self._manager is CPUManager.STATIC:
            return None
        if not pod.qos and self._manager is CPUManager.UNKNOWN and whole_cpus(pod):
            if _UNKNOWN not in findings:
                findings.append(_UNKNOWN)
            return None
        return self._found(pod, SHARE_POOL, self._near(pod, findings), findings)

    def _found(self, pod: AgentPod, rule: str, cpus: frozenset[int], findings: list[str]) -> Placement | None:
        if not cpus:
            findings.append(f"{pod.name}: the {rule} is empty: its CPUs are left as they are")
            return None
        return Placement(rule, cpus, {"class": pod.qos or f"none, {pod.kube_qos}"})

    def _near(self, pod: AgentPod, findings: list[str]) -> frozenset[int]:
        """The share pool, or the part of it on the NUMA nodes that give the pod CPU by its annotation."""
        try:
            numbers = frozenset(numa_nodes(pod.value, CPU))
        except StatusError as error:
            findings.append(f"{pod.name}: {error}")
            return self._shared
        if not numbers:
            return self._shared
        near = frozenset(
            place.cpu
            for place in self._topology.places
            if place.node in numbers and place.cpu in self._shared
        )
        if not near:
            listed = ", ".join(map(str, sorted(numbers)))
            findings.append(
                f"{pod.name}: the share pool has no CPU on NUMA nodes {listed}: it runs on all of it"
            )
        return near or self._shared
