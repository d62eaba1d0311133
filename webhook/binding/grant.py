"""The decision: a pod, a machine and its ledger in; CPUs and the next ledger out, or why not.

Pure. Every set that anybody holds is entered first, whatever the rules say of it; a new one is
given by the rules, exactly (``webhook.cpuset``). A pod that has an entry keeps its set.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from webhook.binding.ledger import Counts, Entry, Ledger
from webhook.binding.nodetopology import NodeTopology
from webhook.cpuset import (
    BindPolicy,
    Exclusive,
    NodeState,
    NumaPolicy,
    Pod,
    QoS,
    Request,
    SharingError,
    align,
    cpu_amount,
)
from webhook.pods.resourcespec import CPUSetRequest


class Claim(NamedTuple):
    """A pod that asks for CPUs of its own.

    Attributes:
        brought: a set that the pod names already, as one that koord-scheduler places does; None: none.
    """

    uid: str
    namespace: str
    name: str
    wish: CPUSetRequest
    brought: frozenset[int] | None = None


class Grant(NamedTuple):
    """CPUs for a pod, and the ledger that says so.

    Attributes:
        again: the pod had them already.
        counts: what is then left of the machine.
    """

    entry: Entry
    ledger: Ledger
    counts: Counts
    again: bool


class Refusal(NamedTuple):
    """Why a pod gets no CPUs on a machine.

    Attributes:
        reason: one of few words, for metrics and Events.
        message: what was asked and what is free.
    """

    reason: str
    message: str


def grant(claim: Claim, machine: NodeTopology, ledger: Ledger, *, now: dt.datetime) -> Grant | Refusal:
    """Give a pod CPUs of a machine.

    Args:
        claim: the pod.
        machine: the node.
        ledger: the node's, with everybody who holds CPUs there.
        now: when it is done.
    """
    moment = now.replace(microsecond=0)
    wish = claim.wish
    held = ledger.entries.get(claim.uid)
    if held is not None:
        entry = held._replace(allocated_at=moment)
        after = ledger.with_entries(entry)
        return Grant(entry, after, counts_of(machine, after), again=True)
    agreed = _agreed(wish, machine)
    if isinstance(agreed, Refusal):
        return agreed
    request, numa = agreed
    state = state_of(machine, ledger.entries.values())
    cpus = _amplified(wish, machine, ledger) or _chosen(claim, machine, state, request, numa)
    if isinstance(cpus, Refusal):
        return cpus
    entry = Entry(
        uid=claim.uid,
        namespace=claim.namespace,
        name=claim.name,
        qos=str(wish.qos),
        cpus=cpus,
        policy=request.bind_policy,
        required=request.required,
        exclusive=request.exclusive,
        allocated_at=moment,
    )
    after = ledger.with_entries(entry)
    return Grant(entry, after, _counts(machine, state, after), again=False)


def _chosen(
    claim: Claim, machine: NodeTopology, state: NodeState, request: Request, numa: NumaPolicy
) -> frozenset[int] | Refusal:
    """The best CPUs that the rules allow, taken in the state."""
    wish = claim.wish
    pod = Pod(claim.uid, wish.qos, wish.cpus * 1000, request)
    kept = _kept(state, pod, claim.brought)
    if kept is not None:
        return kept
    aligned = align(state, request, numa, exclusive=wish.numa_exclusive)
    if aligned.allocation is None:
        return _short(wish, machine, state, request, numa)
    nodes = frozenset(aligned.allocation.numa_nodes)
    try:
        return state.assign(replace(pod, request=replace(request, numa_nodes=nodes)))
    except SharingError:
        return Refusal(
            "SharePool",
            f"needs {_cpus(wish.cpus)}; {machine.name} has {len(state.available())}, of which one has to "
            "stay for pods without CPUs of their own",
        )


def _amplified(wish: CPUSetRequest, machine: NodeTopology, ledger: Ledger) -> Refusal | None:
    """Bound CPUs are real: no more can be bound than there are, whatever the node advertises."""
    bound = sum(len(entry.cpus) for entry in ledger.entries.values())
    if machine.most is None or bound + wish.cpus <= machine.most:
        return None
    return Refusal(
        "Amplified",
        f"Insufficient amplified cpu: needs {_cpus(wish.cpus)}; {machine.name} has {machine.most} real "
        f"ones for pods, of which {bound} are bound",
    )


def state_of(machine: NodeTopology, entries: Iterable[Entry]) -> NodeState:
    """Return the sharing rules' picture of a machine with these holders.

    A set of a pod that is neither LSE nor LSR (only koord-scheduler gives such) is kept out of the
    share pool like one of an LSR pod.
    """
    state = NodeState(machine.topology, machine.reservations)
    state.hold(
        (_holder(entry.uid, entry.qos, len(entry.cpus), entry.policy, entry.exclusive), entry.cpus)
        for entry in entries
    )
    return state


@lru_cache(maxsize=16_384)
def _holder(uid: str, qos: str, cpus: int, policy: BindPolicy, exclusive: Exclusive) -> Pod:
    """The same pods hold CPUs at each decision about their node."""
    kind = QoS.LSE if qos == QoS.LSE else QoS.LSR
    return Pod(uid, kind, max(1, cpus) * 1000, Request(0, policy, exclusive=exclusive))


def counts_of(machine: NodeTopology, ledger: Ledger) -> Counts:
    """Return what a ledger leaves of a machine."""
    return _counts(machine, state_of(machine, ledger.entries.values()), ledger)


def _counts(machine: NodeTopology, state: NodeState, ledger: Ledger) -> Counts:
    topology = machine.topology
    free = topology.mask(state.available())
    held: set[int] = set()
    for entry in ledger.entries.values():
        held.update(cpu for cpu in entry.cpus if cpu in topology.position)
    return Counts(
        cpus=topology.size,
        allocated=len(held),
        free=free.bit_count(),
        whole_cores_free=sum(core & free == core for core in topology.core_masks),
        pods=len(ledger.entries),
    )


def _agreed(wish: CPUSetRequest, machine: NodeTopology) -> tuple[Request, NumaPolicy] | Refusal:
    """What pod and node want together: a node's policies bind, and a pod may not contradict them."""
    policy, required = wish.policy, wish.required
    if machine.bind_policy is not BindPolicy.NONE:
        if required and policy is not machine.bind_policy:
            return Refusal(
                "PolicyConflict",
                "node(s) cpu bind policy conflicts with pod's required cpu bind policy: "
                f"the pod requires {policy}, {machine.name} demands {machine.bind_policy}",
            )
        policy, required = machine.bind_policy, True
    numa = machine.numa_policy if machine.numa_policy is not NumaPolicy.NONE else wish.numa_policy
    if wish.numa_policy not in (NumaPolicy.NONE, numa):
        return Refusal(
            "PolicyConflict",
            f"node(s) NUMA Topology policy not match: the pod asks for {wish.numa_policy}, "
            f"{machine.name} has {numa}",
        )
    return Request(wish.cpus, policy, required, wish.exclusive, machine.strategy), numa


def _kept(state: NodeState, pod: Pod, brought: frozenset[int] | None) -> frozenset[int] | None:
    """A set that the pod came with, if the rules let it have that; else None."""
    if brought is None or not _fits(state, pod.request, brought):
        return None
    try:
        state.adopt(pod, brought)
    except (SharingError, ValueError):
        return None
    return brought


def _fits(state: NodeState, request: Request, cpus: frozenset[int]) -> bool:
    """Whether a set has the right size, and keeps to a required policy."""
    topology = state.topology
    if len(cpus) != request.count or not all(cpu in topology.position for cpu in cpus):
        return False
    mask = topology.mask(cpus)
    cores = [core for core in topology.core_masks if core & mask]
    if request.required and request.bind_policy is BindPolicy.FULL_PCPUS:
        return all(core & mask == core for core in cores)
    if request.required and request.bind_policy is BindPolicy.SPREAD_BY_PCPUS:
        return len(cores) == len(cpus)
    return True


def _short(
    wish: CPUSetRequest, machine: NodeTopology, state: NodeState, request: Request, numa: NumaPolicy
) -> Refusal:
    """Say what was asked and what is free, in the units of the policy."""
    amount = cpu_amount(state, request)
    free = list(amount.free)
    asked, unit = _cpus(wish.cpus), " free"
    if request.required and request.bind_policy is BindPolicy.FULL_PCPUS:
        threads = {core.bit_count() for core in machine.topology.core_masks}
        size = threads.pop() if len(threads) == 1 else 0
        if size > 1 and wish.cpus % size:
            return Refusal(
                "NotWholeCores",
                "node(s) requested cpus not multiple cpus per core: "
                f"needs {_cpus(wish.cpus)} on whole cores; the cores of {machine.name} have {size} CPUs each",
            )
        if size:
            asked, unit = f"{wish.cpus // size} whole core{'s' if wish.cpus > size else ''}", ""
            free = [cpus // size for cpus in free]
        else:
            asked, unit = f"{_cpus(wish.cpus)} on whole cores", " CPUs on free ones"
    elif request.required and request.bind_policy is BindPolicy.SPREAD_BY_PCPUS:
        asked, unit = f"{_cpus(wish.cpus)} on as many cores", " cores with a free CPU"
    if numa is NumaPolicy.SINGLE_NUMA_NODE:
        return Refusal("NoSuchSet", f"needs {asked} on one NUMA node; {machine.name} has {_each(free)}")
    text = f"needs {asked}; {machine.name} has {sum(free)}{unit}"
    if len(free) > 1:
        text += f" ({_each(free)} on its NUMA nodes)"
    return Refusal("NoSuchSet", text)


def _each(free: list[int]) -> str:
    """Numbers as in "3 and 2"; of many the greatest ones."""
    shown = free if len(free) <= 8 else sorted(free, reverse=True)[:8]  # noqa: PLR2004 — a line of text
    *first, last = map(str, shown)
    text = f"{', '.join(first)} and {last}" if first else last
    return text if len(free) == len(shown) else f"{text} at best"


def _cpus(count: int) -> str:
    return f"{count} CPU{'s' if count != 1 else ''}"
