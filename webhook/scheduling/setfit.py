"""Whether a pod would get a CPU set on a node, and how good a one: by the code that gives it at binding."""

import datetime as dt
from collections.abc import Iterable
from typing import Final, NamedTuple

from webhook.binding.grant import Claim, Grant, Refusal, agreed_terms, grant
from webhook.binding.ledger import Entry, Ledger
from webhook.cpuset.allocation import BindPolicy, Strategy
from webhook.cpuset.hints import NumaPolicy
from webhook.pods.nodes.nodetopology import NodeTopology

NO_TOPOLOGY: Final = "no NodeResourceTopology"
UNREADABLE: Final = "CPU set request of the pod cannot be read"

_NUMA_POINTS: Final = 50
_WHOLE_CORES_POINTS: Final = 30
_FIT_POINTS: Final = 20
_NO_SUCH_SET: Final = {
    BindPolicy.FULL_PCPUS: "too few whole CPU cores for FullPCPUs",
    BindPolicy.SPREAD_BY_PCPUS: "too few CPU cores for SpreadByPCPUs",
}
_SHORT: Final = {
    "SharePool": "too few CPUs left for pods without CPU sets",
    "UnderWay": "a binding of the pod with other CPUs may be under way",
}


class Fit(NamedTuple):
    """What a pod would get.

    Attributes:
        reason: why nothing, in words that are the same wherever the cause is; "": it would get a set.
        message: what was asked and what is free.
        score: of the set, 0 to 100.
        entry: the set; None where there is a reason.
    """

    reason: str
    message: str
    score: int = 0
    entry: Entry | None = None


def fit(claim: Claim, node: NodeTopology, ledger: Ledger, *, now: dt.datetime) -> Fit:
    """Say what a pod would get of a node.

    Args:
        claim: the pod.
        node: its topology, reservations and policies.
        ledger: with all that holds CPUs there.
        now: the time of day.
    """
    decided = grant(claim, node, ledger, now=now)
    if isinstance(decided, Refusal):
        return Fit(_reason(decided, claim, node), decided.message)
    others = ledger.without([claim.uid])
    return Fit("", "", _score(decided, others), decided.entry)


def holding(ledger: Ledger, node: NodeTopology, claims: Iterable[Claim], *, now: dt.datetime) -> Ledger:
    """Return the ledger with what other pods would get that go first, as far as they would get anything."""
    for claim in claims:
        decided = grant(claim, node, ledger, now=now)
        if isinstance(decided, Grant):
            ledger = decided.ledger
    return ledger


def _reason(refusal: Refusal, claim: Claim, node: NodeTopology) -> str:
    """Shorten binding's message: no figures and no names, and the same words for the same cause."""
    if refusal.reason != "NoSuchSet":
        return _SHORT.get(refusal.reason) or refusal.message.partition(":")[0]
    terms = agreed_terms(claim.request, node)
    if isinstance(terms, Refusal):
        return terms.message.partition(":")[0]
    agreed, numa = terms
    text = _NO_SUCH_SET.get(agreed.bind_policy) if agreed.required else None
    where = " on one NUMA node" if numa is NumaPolicy.SINGLE_NUMA_NODE else ""
    return f"{text or 'too few free CPUs for a CPU set'}{where}"


def _score(granted: Grant, others: Ledger) -> int:
    """Score a set: few NUMA nodes, no whole core broken, and as full as the node's strategy wants them."""
    topology = granted.node.cpu_topology
    given = topology.mask(granted.entry.cpus)
    held = 0
    for entry in others.entries.values():
        held |= topology.mask(cpu for cpu in entry.cpus if cpu in topology.position)
    nodes = [mask for mask in topology.node_masks if mask & given]
    cores = [mask for mask in topology.core_masks if mask & given]
    broken = sum(mask & given != mask and not mask & held for mask in cores)
    size = sum(mask.bit_count() for mask in nodes)
    used = sum((mask & (given | held)).bit_count() for mask in nodes)
    if granted.node.strategy is Strategy.LEAST_ALLOCATED:
        used = size - used
    return (
        _NUMA_POINTS // len(nodes)
        + _WHOLE_CORES_POINTS * (len(cores) - broken) // len(cores)
        + _FIT_POINTS * used // size
    )
