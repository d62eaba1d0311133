"""A node's NodeResourceTopology in Koordinator's protocol: CPUs, share pools, what the kubelet does; pure.

Source: Koordinator's agent (its NodeResourceTopology reporter). What it writes and this does not:
``cpu-basic-info``, and huge pages and GPUs of zones. A NUMA node without a CPU in a pool has no entry there.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from webhook.agent.machine.hardware import Hardware
from webhook.agent.machine.kubelet import UNKNOWN, Kubelet
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.placement import cpu_sets
from webhook.agent.pods import NodePod
from webhook.cpuset.allocation import Pool, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.discovery import topology_annotation
from webhook.cpuset.qos import QoS
from webhook.cpuset.topology import Place, Topology
from webhook.kube.ownerreferences import owned_by_node
from webhook.pods.nodes.nodetopology import NodeTopology, read_node_topology
from webhook.pods.pod import annotations
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.protocol import (
    ANNOTATION_BE_CPU_SHARED_POOLS,
    ANNOTATION_CPU_MANAGER_POLICY,
    ANNOTATION_CPU_SHARED_POOLS,
    ANNOTATION_CPU_TOPOLOGY,
    ANNOTATION_L3_CACHES,
    ANNOTATION_NODE_RESERVATION,
    ANNOTATION_POD_CPU_ALLOCS,
    ANNOTATION_SYSTEM_QOS,
    CPU,
    MEMORY,
    POLICY_NONE,
    TOPOLOGY_API_VERSION,
    TOPOLOGY_KIND,
    USER_AGENT,
)

_NOTHING: Final[Mapping[str, frozenset[int]]] = MappingProxyType({})
_OWNED: Final = frozenset({QoS.LS, QoS.BE})
"""Labels of pods that the kubelet may have pinned, and that an agent puts into pools nevertheless."""


class Described(NamedTuple):
    """A NodeResourceTopology to apply, and what of its sources could not be read."""

    body: dict[str, Any]
    findings: tuple[str, ...]


def read_node(
    node: Mapping[str, Any], cpus: Topology, kubelet: Kubelet | None, pods: Sequence[AgentPod]
) -> NodeTopology:
    """Return what binding reads of a node, by what ``describe`` publishes of it."""
    return read_node_topology(node, _machine(cpus, kubelet, pods))


def describe(
    node: Mapping[str, Any],
    hardware: Hardware,
    kubelet: Kubelet | None,
    pods: Sequence[NodePod],
    pinned: Mapping[str, frozenset[int]] = _NOTHING,
) -> Described:
    """Return the NodeResourceTopology of a node.

    Args:
        node: the v1 Node: name, uid and annotations are read.
        hardware: of the machine.
        kubelet: None where its files are not to be read; nothing is said of it then, or if its policy is
            unknown.
        pods: of the node.
        pinned: what the kubelet seems to have given to pods, by uid, where it is not to be read or does
            not say its policy.
    """
    cpus = hardware.cpus
    planned = [pod.planned for pod in pods]
    machine = _machine(cpus, kubelet, planned, pinned)
    read = read_node_topology(node, machine)
    stated = machine["metadata"]["annotations"]
    # What is not allowed there, the agent that places pods by it says.
    state = cpu_sets([pod for pod in planned if not pod.finished], read).state
    stated |= {
        ANNOTATION_CPU_SHARED_POOLS: _pools(cpus, state.shared_pool()),
        ANNOTATION_BE_CPU_SHARED_POOLS: _pools(cpus, state.be_pool()),
    }
    if hardware.caches:
        caches = [{"id": each.number, "cpuset": format_cpulist(each.cpus)} for each in hardware.caches]
        stated[ANNOTATION_L3_CACHES] = _json(caches)
    own = annotations(node)
    if system := own.get(ANNOTATION_SYSTEM_QOS):
        stated[ANNOTATION_SYSTEM_QOS] = system
    if own.get(ANNOTATION_NODE_RESERVATION):
        reserved = format_cpulist(read.reservations.reserved)
        stated[ANNOTATION_NODE_RESERVATION] = _json(
            _object(own[ANNOTATION_NODE_RESERVATION]) | {"reservedCPUs": reserved}
        )
    metadata = node.get("metadata") or {}
    name, uid = metadata.get("name", ""), metadata.get("uid", "")
    body = {
        "apiVersion": TOPOLOGY_API_VERSION,
        "kind": TOPOLOGY_KIND,
        **machine,
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": USER_AGENT},
            "annotations": dict(sorted(stated.items())),
            "ownerReferences": owned_by_node(name, uid),
        },
        "zones": [_zone(number, hardware) for number in cpus.nodes],
    }
    return Described(body, (*(kubelet.findings if kubelet is not None else ()), *read.problems))


def _machine(
    cpus: Topology,
    kubelet: Kubelet | None,
    pods: Iterable[AgentPod],
    pinned: Mapping[str, frozenset[int]] = _NOTHING,
) -> dict[str, Any]:
    """Return of a NodeResourceTopology what machine and kubelet say, from which the rest of it follows."""
    stated = {}
    if kubelet is not None and kubelet.policy != UNKNOWN:
        stated = _of_kubelet(kubelet, cpus, pods)
    elif pinned:
        stated = {ANNOTATION_POD_CPU_ALLOCS: _allocations(pinned, pods)}
    stated[ANNOTATION_CPU_TOPOLOGY] = topology_annotation(cpus)
    return {
        "metadata": {"annotations": stated},
        "topologyPolicies": [kubelet.topology_policy if kubelet is not None else POLICY_NONE],
    }


def _of_kubelet(kubelet: Kubelet, cpus: Topology, pods: Iterable[AgentPod]) -> dict[str, str]:
    """Return the annotations about the kubelet's policy and the pods that it has pinned."""
    reserved = kubelet.reserved_cpus
    if not reserved and kubelet.reserved_count:
        # It takes them as for a pod, first of all.
        everything = [place.cpu for place in cpus.places]
        count = min(kubelet.reserved_count, len(everything))
        reserved = Pool(cpus, everything).allocate(Request(count)).cpus
    policy: dict[str, Any] = {"policy": kubelet.policy}
    if kubelet.options:
        policy["options"] = dict(kubelet.options)
    if reserved:
        policy["reservedCPUs"] = format_cpulist(reserved)
    return {
        ANNOTATION_CPU_MANAGER_POLICY: _json(policy),
        ANNOTATION_POD_CPU_ALLOCS: _allocations(kubelet.pinned, pods),
    }


def _allocations(pinned: Mapping[str, frozenset[int]], pods: Iterable[AgentPod]) -> str:
    """Return what a kubelet has given to pods, but for those that are placed by a label or a set."""
    by_uid = {pod.uid: pod for pod in pods}
    given = []
    for uid, cpus in sorted(pinned.items()):
        pod = by_uid.get(uid)
        if pod is None or (pod.qos not in _OWNED and not _has_set(pod)):
            namespace, _, name = pod.name.partition("/") if pod is not None else ("", "", "")
            named = {"namespace": namespace, "name": name} if pod is not None else {}
            given.append(named | {"uid": uid, "cpuset": format_cpulist(cpus), "managedByKubelet": True})
    return _json(given or None)


def _has_set(pod: AgentPod) -> bool:
    try:
        return given_cpus(pod.value) is not None
    except StatusError:  # a finding of whoever read it
        return False


def _pools(cpus: Topology, pool: frozenset[int]) -> str:
    """Return a share pool, by socket and NUMA node."""

    def where(place: Place) -> tuple[int, int]:
        return place.socket, place.node

    inside = sorted((place for place in cpus.places if place.cpu in pool), key=where)
    return _json(
        [
            {"socket": socket, "node": node, "cpuset": format_cpulist(place.cpu for place in places)}
            for (socket, node), places in groupby(inside, key=where)
        ]
    )


def _zone(number: int, hardware: Hardware) -> dict[str, Any]:
    amounts = {CPU: str(sum(place.node == number for place in hardware.cpus.places))}
    if number in hardware.memory:
        amounts[MEMORY] = str(hardware.memory[number])
    resources = [
        {"name": name, "capacity": amount, "allocatable": amount, "available": amount}
        for name, amount in amounts.items()
    ]
    return {"name": f"node-{number}", "type": "Node", "resources": resources}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
