"""The decision: from a pod, a node and its ledger to CPUs and the next ledger, or to a refusal. Pure.

Every set that some other pod holds is entered first, whatever the rules say of it; a new one is given
exactly by the rules (``webhook.cpuset``). A set that the pod brings along is kept if the rules would give
it now, to the pod and on the machine as they are. So is one that it was promised; else it gets none until
that promise has been dropped: a bind may be under way with these CPUs, and end before or after another.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from webhook.binding.ledger import Counts, Entry, Ledger
from webhook.cpuset.alignment import Aligned, align, cpu_amount
from webhook.cpuset.allocation import BindPolicy, Exclusive, Request
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import SharingError
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, Reservations
from webhook.kube.timestamps import timestamp
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.resourcespec import CPUSetRequest


class Claim(NamedTuple):
    """A pod that asks for CPUs of its own.

    Attributes:
        carried: a set that the pod's annotation names already, as koord-scheduler writes it; None: none.
    """

    uid: str
    namespace: str
    name: str
    request: CPUSetRequest
    carried: frozenset[int] | None = None


class Grant(NamedTuple):
    """CPUs for a pod, and the ledger that says so.

    Attributes:
        node: whose CPUs they are.
        existing: the ledger had them for the pod already.
        state: the node's, with all of the ledger.
    """

    entry: Entry
    ledger: Ledger
    node: NodeTopology
    existing: bool
    state: NodeState

    @property
    def counts(self) -> Counts:
        """What the ledger leaves of the node."""
        return _counts(self.node, self.state, self.ledger)


class Refusal(NamedTuple):
    """Why a pod gets no CPUs on a node.

    Attributes:
        reason: one of few words, for metrics and Events.
        message: what was asked and what is free.
    """

    reason: str
    message: str


def grant(claim: Claim, node: NodeTopology, ledger: Ledger, *, now: dt.datetime) -> Grant | Refusal:
    """Give a pod CPUs of a node.

    Args:
        claim: the pod.
        node: its topology, reservations and policies.
        ledger: the node's, with all pods that hold CPUs there.
        now: the time of day.
    """
    moment = now.replace(microsecond=0)
    request = claim.request
    held = ledger.entries.get(claim.uid)
    others = ledger.without([claim.uid])
    terms = agreed_terms(request, node)
    if isinstance(terms, Refusal):
        return terms
    if refused := too_amplified(request, node, others):
        return refused
    room = Room(claim, node, others, *terms)
    if held is not None:
        cpus = room.kept(held.cpus) or _under_way(held, node)
    else:
        cpus = room.kept(claim.carried) or room.best()
    if isinstance(cpus, Refusal):
        return cpus
    agreed = room.agreed
    entry = Entry(
        uid=claim.uid,
        namespace=claim.namespace,
        name=claim.name,
        qos=str(request.qos),
        cpus=cpus,
        policy=agreed.bind_policy,
        required=agreed.required,
        exclusive=agreed.exclusive,
        allocated_at=moment,
    )
    after = ledger.with_entries(entry)
    return Grant(entry, after, node, held is not None, room.state)


class Room:
    """What a node has for a pod: its CPUs under the pod's and the node's terms, next to all other pods.

    Attributes:
        agreed: the terms of both.
        state: the node's; what is returned is assigned in it.
    """

    def __init__(
        self, claim: Claim, node: NodeTopology, others: Ledger, agreed: Request, numa: NumaPolicy
    ) -> None:
        self.agreed = agreed
        self.state = state_of(node, others.entries.values())
        self._node = node
        self._others = others
        self._numa = numa
        self._request = claim.request
        self._pod = Pod(claim.uid, claim.request.qos, claim.request.cpus * 1000, agreed)

    def kept(self, cpus: frozenset[int] | None) -> frozenset[int] | None:
        """Return a set that the pod has already, if the rules would give it now; else None.

        They would if they give it where nothing else is free; under the NUMA policy Restricted, on as few
        NUMA nodes as they would choose.
        """
        topology = self._node.cpu_topology
        if not cpus or not cpus <= topology.position.keys():
            return None
        closed = Reservations(reserved=topology.ids(topology.everything) - cpus)
        narrow = replace(self._node, reservations=closed)
        alone = self._aligned(state_of(narrow, self._others.entries.values()))
        if alone.allocation is None or alone.allocation.cpus != cpus:
            return None
        if self._numa is NumaPolicy.RESTRICTED:
            best = self._aligned(self.state)
            if len(best.affinity.nodes) < len(alone.affinity.nodes):
                return None
        try:
            self.state.adopt(self._pod, cpus)
        except SharingError:
            return None
        return cpus

    def best(self) -> frozenset[int] | Refusal:
        """Return the best CPUs that the rules allow."""
        aligned = self._aligned(self.state)
        if aligned.allocation is None:
            return _short(self._request, self._node, self.state, self.agreed, self._numa)
        nodes = frozenset(aligned.allocation.numa_nodes)
        try:
            return self.state.assign(replace(self._pod, request=replace(self.agreed, numa_nodes=nodes)))
        except SharingError:
            stay = self._node.pool_limit.cpus(self._node.cpu_topology.size)
            has = f"{self._node.name} has {len(self.state.available())}"
            return Refusal(
                "SharePool",
                f"needs {_cpus(self._request.cpus)}; {has}, and {'one has' if stay == 1 else f'{stay} have'} "
                "to stay for pods without CPUs of their own",
            )

    def _aligned(self, state: NodeState) -> Aligned:
        return align(state, self.agreed, self._numa, exclusive=self._request.numa_exclusive)


def too_amplified(request: CPUSetRequest, node: NodeTopology, ledger: Ledger) -> Refusal | None:
    """Bound CPUs are real: no more can be bound than the node has, whatever it advertises."""
    bound = sum(len(entry.cpus) for entry in ledger.entries.values())
    if node.max_bindable is None or bound + request.cpus <= node.max_bindable:
        return None
    return Refusal(
        "Amplified",
        f"Insufficient amplified cpu: needs {_cpus(request.cpus)}; {node.name} has {node.max_bindable} real "
        f"ones for pods, of which {bound} are bound",
    )


def state_of(node: NodeTopology, entries: Iterable[Entry]) -> NodeState:
    """Return the state of a node for the sharing rules, with these holders.

    A set of a pod that is neither LSE nor LSR (only koord-scheduler gives such) is kept out of the
    share pool like one of an LSR pod.
    """
    state = NodeState(node.cpu_topology, node.reservations, node.pool_limit)
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


def counts_of(node: NodeTopology, ledger: Ledger) -> Counts:
    """Return what a ledger leaves of a node."""
    return _counts(node, state_of(node, ledger.entries.values()), ledger)


def _counts(node: NodeTopology, state: NodeState, ledger: Ledger) -> Counts:
    topology = node.cpu_topology
    free = state.available_mask()
    held = {cpu for entry in ledger.entries.values() for cpu in entry.cpus if cpu in topology.position}
    return Counts(
        cpus=topology.size,
        allocated=len(held),
        free=free.bit_count(),
        whole_cores_free=sum(core & free == core for core in topology.core_masks),
        pods=len(ledger.entries),
    )


def agreed_terms(request: CPUSetRequest, node: NodeTopology) -> tuple[Request, NumaPolicy] | Refusal:
    """The terms of pod and node together: a node's policies bind, and a pod may not contradict them."""
    policy, required = request.policy, request.required
    if node.bind_policy is not BindPolicy.NONE:
        if required and policy is not node.bind_policy:
            return Refusal(
                "PolicyConflict",
                "node(s) cpu bind policy conflicts with pod's required cpu bind policy: "
                f"the pod requires {policy}, {node.name} demands {node.bind_policy}",
            )
        policy, required = node.bind_policy, True
    numa = node.numa_policy if node.numa_policy is not NumaPolicy.NONE else request.numa_policy
    if request.numa_policy not in (NumaPolicy.NONE, numa):
        return Refusal(
            "PolicyConflict",
            f"node(s) NUMA Topology policy not match: the pod asks for {request.numa_policy}, "
            f"{node.name} has {numa}",
        )
    return Request(request.cpus, policy, required, request.exclusive, node.strategy), numa


def _under_way(held: Entry, node: NodeTopology) -> Refusal:
    return Refusal(
        "UnderWay",
        f"was promised the CPUs {format_cpulist(held.cpus)} of {node.name} at {timestamp(held.allocated_at)} "
        "and may not have these now; it gets others as soon as no bind with these can be under way",
    )


def _short(
    request: CPUSetRequest, node: NodeTopology, state: NodeState, agreed: Request, numa: NumaPolicy
) -> Refusal:
    """Say what was asked for and what is free, in the units of the policy."""
    amount = cpu_amount(state, agreed)
    free = list(amount.free)
    asked, unit = _cpus(request.cpus), " free"
    if agreed.required and agreed.bind_policy is BindPolicy.FULL_PCPUS:
        threads = {core.bit_count() for core in node.cpu_topology.core_masks}
        size = threads.pop() if len(threads) == 1 else 0
        if size > 1 and request.cpus % size:
            return Refusal(
                "NotWholeCores",
                "node(s) requested cpus not multiple cpus per core: "
                f"needs {_cpus(request.cpus)} on whole cores; the cores of {node.name} have {size} CPUs each",
            )
        if size:
            asked, unit = f"{request.cpus // size} whole core{'s' if request.cpus > size else ''}", ""
            free = [cpus // size for cpus in free]
        else:
            asked, unit = f"{_cpus(request.cpus)} on whole cores", " CPUs on free ones"
    elif agreed.required and agreed.bind_policy is BindPolicy.SPREAD_BY_PCPUS:
        asked, unit = f"{_cpus(request.cpus)} on as many cores", " cores with a free CPU"
    if numa is NumaPolicy.SINGLE_NUMA_NODE:
        return Refusal("NoSuchSet", f"needs {asked} on one NUMA node; {node.name} has {_each(free)}")
    text = f"needs {asked}; {node.name} has {sum(free)}{unit}"
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
