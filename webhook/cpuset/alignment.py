"""NUMA alignment: choose a pod's NUMA nodes first, then its CPUs on them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from webhook.cpuset.allocation import Allocation, BindPolicy, Request
from webhook.cpuset.errors import NotEnoughCpusError
from webhook.cpuset.hints import Affinity, Amount, NodeUse, NumaPolicy, best_nodes
from webhook.cpuset.qos import BOUND
from webhook.cpuset.sharing import NodeState


class Aligned(NamedTuple):
    """The NUMA nodes of a pod, and its CPUs there (None: the pod is not admitted)."""

    affinity: Affinity
    allocation: Allocation | None


def node_uses(state: NodeState) -> tuple[NodeUse, ...]:
    """Return how LSE and LSR pods use each NUMA node, in the order of the nodes."""
    uses = [NodeUse.IDLE] * len(state.topology.nodes)
    for uid, pod in state.pods().items():
        if pod.qos not in BOUND:
            continue
        mask = state.topology.mask(state.cpus_of(uid))
        touched = [rank for rank, node in enumerate(state.topology.node_masks) if node & mask]
        for rank in touched:
            if len(touched) > 1:
                uses[rank] = NodeUse.SHARED
            elif uses[rank] is NodeUse.IDLE:
                uses[rank] = NodeUse.SINGLE
    return tuple(uses)


def cpu_amount(state: NodeState, request: Request) -> Amount:
    """Return the number of requested CPUs, and how many each NUMA node can provide.

    Under a required policy a node provides what the policy can use: whole cores, which are
    its pieces (FullPCPUs), one CPU of each core (SpreadByPCPUs).
    """
    topology = state.topology
    available = state.available_mask()
    free: list[int] = []
    pieces: list[Mapping[int, int]] = []
    for node in topology.node_masks:
        here = [core for core in topology.core_masks if core & node & available]
        if request.required and request.bind_policy is BindPolicy.FULL_PCPUS:
            pieces.append(Counter(core.bit_count() for core in here if core & available == core))
            free.append(sum(size * count for size, count in pieces[-1].items()))
        elif request.required and request.bind_policy is BindPolicy.SPREAD_BY_PCPUS:
            free.append(len(here))
        else:
            free.append((node & available).bit_count())
    want = min(request.count, topology.size + 1)  # any larger count gives the same result
    return Amount(want, free, [node.bit_count() for node in topology.node_masks], pieces)


def align(
    state: NodeState,
    request: Request,
    policy: NumaPolicy,
    *,
    others: Mapping[str, Amount] | None = None,
    exclusive: bool = False,
) -> Aligned:
    """Return the NUMA nodes that a policy chooses for a request, and the best CPUs there.

    ``others`` are the pod's other resources by NUMA node; ``exclusive`` as in
    merge_hints. Nothing is assigned: assign the pod with the request restricted to the
    nodes. A pod that BestEffort admits without nodes gets the best CPUs of all nodes.
    """
    affinity = Affinity(0, preferred=True)
    if policy is not NumaPolicy.NONE:  # else the amounts would not be looked at
        affinity = best_nodes(
            {"cpu": cpu_amount(state, request), **(others or {})},
            nodes=len(state.topology.nodes),
            policy=policy,
            strategy=request.strategy,
            exclusive=exclusive,
            uses=node_uses(state),
        )
    if not affinity.admit:
        return Aligned(affinity, None)
    nodes = state.topology.nodes
    chosen = frozenset(nodes[rank] for rank in affinity.nodes) or None
    try:
        return Aligned(affinity, state.allocate(replace(request, numa_nodes=chosen)))
    except NotEnoughCpusError:
        return Aligned(affinity._replace(admit=False), None)
