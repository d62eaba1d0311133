"""What becomes of the CPU set of a pod that is bound: pure.

What a pod runs on is a fact, and stays held until the pod has got something else. A resize keeps the
set: a grown one contains the old one, a smaller one is part of it (KEP-5554). Where CPUs were taken
away from under a pod, it keeps as many of the others as it can, and is moved otherwise.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from webhook.binding.grant import Claim, Grant, Refusal, Room, agreed_terms, grant, too_amplified
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.recovery import unheld
from webhook.cpuset.allocation import Exclusive, Holder, Pool, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import NotEnoughCpusError
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.topology import Topology
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.requests import pod_request
from webhook.protocol import CPU


class Adjustment(NamedTuple):
    """What a bound pod is to hold.

    Attributes:
        entry: for the ledger; None: nothing.
        why: the set differs from what the pod's annotation names for this reason; "" where it has none.
        problem: what cannot be put right; "" where nothing is wrong.
    """

    entry: Entry | None
    why: str = ""
    problem: str = ""


def adjust(
    claim: Claim,
    given: Entry | None,
    node: NodeTopology,
    ledger: Ledger,
    *,
    wrong: str,
    now: dt.datetime,
) -> Adjustment:
    """Decide what a bound pod is to hold, whose CPUs are ours to give.

    Args:
        claim: what it asks for now.
        given: the entry that its annotation stands for; None: it names no set.
        node: where it is bound.
        ledger: the node's.
        wrong: why it cannot stay on the CPUs of its entry; "": it can.
        now: the time of day.
    """
    held = ledger.entries.get(claim.uid)
    rest = ledger.without([claim.uid])
    if held is None:
        return _first(claim, given, node, rest, now)
    why = ""
    if given is not None and given.cpus != held.cpus:
        edited = grant(claim._replace(carried=given.cpus), node, rest, now=now)
        if isinstance(edited, Grant) and edited.entry.cpus == given.cpus:
            return Adjustment(edited.entry._replace(allocated_at=held.allocated_at))
        why = _not_given(given, node)
    if not wrong and len(held.cpus) == claim.request.cpus:
        return Adjustment(held, why=why)
    found = resized(claim, held, node, rest)
    if wrong and isinstance(found, Refusal):
        moved = grant(claim, node, rest, now=now)
        found = moved if isinstance(moved, Refusal) else moved.entry
    if isinstance(found, Refusal):
        return Adjustment(held, problem=f"{wrong}: {found.message}" if wrong else found.message)
    return Adjustment(found, why=wrong or f"it was resized from {len(held.cpus)} CPUs to {len(found.cpus)}")


def _first(
    claim: Claim, given: Entry | None, node: NodeTopology, rest: Ledger, now: dt.datetime
) -> Adjustment:
    """What a pod without an entry is to hold: what it has, if the rules give it that, or else others."""
    carried = given.cpus if given is not None else None
    found = grant(claim._replace(carried=carried), node, rest, now=now)
    if isinstance(found, Grant):
        kept = given is None or found.entry.cpus == given.cpus
        return Adjustment(found.entry, why="" if kept or given is None else _not_given(given, node))
    if given is None:
        return Adjustment(None, problem=found.message)
    return Adjustment(given, problem=f"{_not_given(given, node)}: {found.message}")


def _not_given(given: Entry, node: NodeTopology) -> str:
    return f"{node.name} does not give the CPUs {format_cpulist(given.cpus)} that its annotation names"


def resized(claim: Claim, held: Entry, node: NodeTopology, rest: Ledger) -> Entry | Refusal:
    """Return the best set of the size asked for that contains a pod's CPUs, or is part of them.

    CPUs of the pod that do not exist, are reserved or are held by others do not count.

    Args:
        claim: the pod, and what it asks for now.
        held: its entry.
        node: where it is bound.
        rest: the node's ledger, without the entry.
    """
    terms = agreed_terms(claim.request, node)
    if isinstance(terms, Refusal):
        return terms
    asked, numa = terms
    grows = asked.count > len(held.cpus)
    if grows and (refused := too_amplified(claim.request, node, rest)) is not None:
        return refused
    room = Room(claim, node, rest, asked, numa)
    free = room.state.available()
    kept = held.cpus & free
    for cpus in _sets(kept, free, asked, node.cpu_topology, rest) if kept else ():
        if room.kept(cpus) is not None:
            return held._replace(
                cpus=cpus, policy=asked.bind_policy, required=asked.required, exclusive=asked.exclusive
            )
    return Refusal("Resize", _why_not(held, asked, numa, node, len(free - kept)))


def _sets(
    kept: frozenset[int], free: frozenset[int], asked: Request, topology: Topology, rest: Ledger
) -> Iterator[frozenset[int]]:
    """The best sets that contain the kept CPUs, or are part of them: those on the same NUMA nodes first."""
    near = topology.ids(_mask_of_nodes(topology, kept)) & free
    places = [kept] if asked.count <= len(kept) else [near, free]
    exist = topology.position.keys()
    holders = [Holder(entry.cpus & exist, entry.exclusive) for entry in rest.entries.values()]
    # Where exclusivity, a preference, would lead elsewhere, what the pod has counts more.
    for request in dict.fromkeys((asked, replace(asked, exclusive=Exclusive.NONE))):
        for available in places:
            try:
                cpus = Pool(topology, available, preferred=kept, holders=holders).allocate(request).cpus
            except NotEnoughCpusError:
                continue
            if cpus >= kept or cpus <= kept:
                yield cpus


def _mask_of_nodes(topology: Topology, cpus: frozenset[int]) -> int:
    """All CPUs of the NUMA nodes that a set lies on, by position."""
    mask, found = topology.mask(cpus), 0
    for node in topology.node_masks:
        if node & mask:
            found |= node
    return found


def _why_not(held: Entry, asked: Request, numa: NumaPolicy, node: NodeTopology, free: int) -> str:
    smaller = asked.count <= len(held.cpus)
    like = f" {asked.bind_policy}" if asked.required else ""
    like += f" under {numa}" if numa is not NumaPolicy.NONE else ""
    return (
        f"needs {asked.count} CPUs {'of' if smaller else 'that contain'} its CPU set "
        f"{format_cpulist(held.cpus)}; {node.name} has no such set{like}"
        + ("" if smaller else f": {free} of its other CPUs are free, the share pool's last ones included")
    )


def both(
    wanted: Entry | None,
    stated: frozenset[int] | None,
    before: Entry | None,
    node: NodeTopology,
    ledger: Ledger,
) -> Entry | None:
    """Return the entry with what a pod runs on and with what it is to have, but for what others hold.

    All that its annotation names counts, also what is more than its request: it may have become smaller
    between the answer that chose the set and its binding.
    """
    if wanted is None:
        return None
    cpus = wanted.cpus | (before.cpus if before is not None else frozenset())
    if stated is not None and not stated <= cpus:
        cpus |= unheld(stated, ledger, node, but=wanted.uid)
    return wanted._replace(cpus=cpus)


def as_it_is(
    pod: Mapping[str, Any],
    stated: frozenset[int] | None,
    given: Entry | None,
    before: Entry | None,
    problem: str,
) -> Adjustment:
    """Return what a pod holds whose CPUs are not ours to give: what its annotation names, whatever that is.

    Args:
        pod: it.
        stated: all that its annotation names; None: nothing, or nothing that can be read.
        given: the entry that its annotation stands for, with what of it is believed.
        before: its entry: of more CPUs than are believed, those that the pod had already stay its own.
        problem: what is wrong with its annotation or request; "": nothing.
    """
    entry = before
    if given is not None:
        had = before.cpus & (stated or frozenset()) if before is not None else frozenset()
        entry = (before or given)._replace(cpus=given.cpus | had)
    if entry is not None and not problem:
        listed, milli = format_cpulist(entry.cpus), pod_request(pod, CPU)
        if given is None:
            problem = f"its annotation names no CPUs; the ledger has {listed} for it"
        elif len(entry.cpus) * 1000 != milli:
            problem = f"it has {len(entry.cpus)} CPUs, {listed}, and requests {milli}m"
    return Adjustment(entry, problem=problem)
