"""What a plan is made of besides pods: the CPUs of a node, and settings with what the node is like."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from webhook.agent.machine.kubelet import STATIC, UNKNOWN, Kubelet
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.settings import CPUManager, Settings
from webhook.agent.publishing.topology import read_node
from webhook.cpuset.topology import Topology
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.nodes.normalization import normalization_ratio
from webhook.pods.pod import annotations, mapping
from webhook.pods.quantities import QuantityError, milli, text_of, units
from webhook.protocol import CPU, MEMORY

_VERSION: Final = re.compile(r"v(\d{1,4})\.(\d{1,4})", re.ASCII)
_COUNTED: Final = (1, 36)


class Inputs(NamedTuple):
    """A node, as a plan needs it.

    Attributes:
        node: its CPUs, reservations and policies.
        settings: what is switched on, and what the node is like.
    """

    node: NodeTopology
    settings: Settings


def inputs_of(
    node: Mapping[str, Any],
    cpus: Topology,
    kubelet: Kubelet | None,
    pods: Sequence[AgentPod],
    settings: Settings,
) -> Inputs:
    """Return what a plan is made of.

    Args:
        node: the v1 Node.
        cpus: of the machine.
        kubelet: what its files say; None where they are not to be read.
        pods: of the node.
        settings: what is switched on, and what the NodeSLO asks for.
    """
    topology = read_node(node, cpus, kubelet, pods)
    findings: list[str] = []
    ratio = normalization_ratio(annotations(node), findings)
    return Inputs(
        replace(topology, problems=(*topology.problems, *findings)) if findings else topology,
        replace(
            settings,
            cpu_manager=cpu_manager(kubelet),
            pinned=frozenset(kubelet.pinned if kubelet is not None else ()),
            shares_counted=counts_shares(node),
            ratio=ratio,
            memory=memory_for_pods(node),
            reserved=reserved_cpu(node, topology),
        ),
    )


def cpu_manager(kubelet: Kubelet | None) -> CPUManager:
    """Return the policy of the kubelet's CPU manager, by what its files say; None where they are not read."""
    if kubelet is None or kubelet.policy == UNKNOWN:
        return CPUManager.UNKNOWN
    return CPUManager.STATIC if kubelet.policy == STATIC else CPUManager.NONE


def counts_shares(node: Mapping[str, Any]) -> bool:
    """Return whether shares of a pod's cgroup on a v1 Node count as CPU that the pod requests.

    From Kubernetes 1.36 on a kubelet reports them in ``status.resources`` of the pod, and scheduler and
    kubelet count the most of what is asked for, allocated and reported (component-helpers, ``PodRequests``).
    """
    info = mapping(mapping(node.get("status")).get("nodeInfo"))
    version = _VERSION.match(text) if isinstance(text := info.get("kubeletVersion"), str) else None
    return version is not None and (int(version[1]), int(version[2])) >= _COUNTED


def memory_for_pods(node: Mapping[str, Any]) -> int | None:
    """Return how many bytes a v1 Node has for pods; None where it does not say."""
    try:
        return units(_amount(node, "allocatable", MEMORY))
    except (KeyError, QuantityError):
        return None


def reserved_cpu(node: Mapping[str, Any], topology: NodeTopology) -> int:
    """Return the milli-cores that are kept from pods: by the kubelet, or by the node's reservation."""
    annotated = len(topology.reservations.reserved) * 1000
    try:
        capacity, allocatable = (milli(_amount(node, each, CPU)) for each in ("capacity", "allocatable"))
    except (KeyError, QuantityError):
        return annotated
    return max(capacity - allocatable, annotated)


def _amount(node: Mapping[str, Any], kind: str, resource: str) -> str:
    return text_of(mapping(mapping(node.get("status")).get(kind))[resource])
