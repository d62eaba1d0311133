"""CPU sets that pods would get, node by node, remembered as long as nothing has changed that they hang on.

Nodes whose CPUs are the same, and held in the same way, are one case: what was found of one holds for all.
Held are the entries of the ledger, the sets of pods that it does not know, what was scored for other pods a
moment ago, and what pods would get that are nominated to the node and go before the one in question. Whether
a namespace has opted in matters where the annotation of a pod names more CPUs than it asks for.
"""

import datetime as dt
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from webhook.binding.caches import Nodes, awaits_binding
from webhook.binding.grant import Claim
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.ledgers import LedgerStore
from webhook.binding.recovery import is_finished, node_of, with_unknown
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.cache.indexer import Indexer
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError
from webhook.pods.pod import spec
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.scheduling.setfit import NO_TOPOLOGY, Fit, fit, holding

Object = Mapping[str, Any]
_Key = tuple[str, str]

_MOST_REQUESTS: Final = 16


class KnownLedgers(Protocol):
    """Ledgers as they are known."""

    @property
    def store(self) -> LedgerStore:
        """Where they are watched."""

    def known(self, node: str) -> Ledger | None:
        """Return the ledger of a node; None: there is none."""


class Watched(Protocol):
    """What binding watches; see ``binding.state.State``."""

    @property
    def nodes(self) -> Nodes:
        """Nodes and their topologies."""

    @property
    def pods(self) -> Indexer[Object]:
        """LSE and LSR pods."""

    @property
    def ledgers(self) -> KnownLedgers:
        """Who holds which CPUs."""

    @property
    def now(self) -> Callable[[], dt.datetime]:
        """The time of day."""


@dataclass(eq=False)
class _Case:
    """Nodes that are in the same state, and what was found of them by request."""

    fits: dict[CPUSetRequest, Fit] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """What was found of a node, and what of: of other objects something else would be found.

    Attributes:
        made_of: objects.
        ledger: with all that is held.
        case: of the node.
        opted_in: the namespaces that matter, and whether they had opted in.
    """

    made_of: tuple[object, ...]
    ledger: Ledger
    case: _Case
    opted_in: Mapping[str, bool]


class Fits:
    """What pods would get of nodes; used by one thread at a time."""

    def __init__(
        self,
        state: Watched,
        held: Callable[[str], tuple[Entry, ...]],
        default: BindPolicy,
        opted_in: Callable[[str], bool | None],
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Begin without anything found.

        Args:
            state: what binding watches.
            held: the sets that count as held on a node for a moment.
            default: what a pod's bind policy ``Default`` means.
            opted_in: whether the pods of a namespace get CPU sets.
            note: called with the name of each node where something else may be found from then on.
        """
        self._state = state
        self._held = held
        self._default = default
        self._opted_in = opted_in
        self.note = note
        self._known: dict[str, _Known] = {}
        self._by_namespace: set[str] = set()  # the nodes where it matters whether a namespace has opted in
        self._holding: dict[str, tuple[str, ...]] = {}  # the nodes where a pod has CPUs, by its uid
        self._cases: WeakValueDictionary[object, _Case] = WeakValueDictionary()
        self._unread: deque[str] = deque()
        self._news: deque[tuple[_Key, Object | None]] = deque()
        self._nominated: dict[_Key, Object] = {}
        self._nominated_to: Mapping[str, list[Object]] = {}
        by_name = self._changed
        for store in (state.nodes.nodes, state.nodes.topologies, state.ledgers.store):
            store.observers.append(lambda key, _old, _new: by_name(key[1]))
        self._unread.extend(name for _, name in list(state.nodes.nodes.values))
        with state.pods.lock:
            state.pods.observers.append(self._pod_changed)
            self._news.extend(state.pods.values.items())

    def of(self, node: str, claim: Claim, priority: int, without: frozenset[str]) -> Fit:
        """Return what a pod would get on a node; the message is left out where the answer is remembered.

        Args:
            node: its name.
            claim: the pod.
            priority: ``spec.priority`` of the pod.
            without: uids of pods that are gone by then.
        """
        known = self._of(node)
        if isinstance(known, Fit):
            return known
        first = self._before(node, claim, priority)
        if first or without or claim.carried is not None or claim.uid in known.ledger.entries:
            return self._exactly(node, known, claim, first, without)
        fits = known.case.fits
        found = fits.get(claim.request)
        if found is None:
            if len(fits) >= _MOST_REQUESTS:
                fits.clear()
            found = self._exactly(node, known, claim)._replace(message="")
            fits[claim.request] = found
        return found

    def exactly(self, node: str, claim: Claim, priority: int) -> Fit:
        """Return what a pod would get on a node, with a message that names the node."""
        known = self._of(node)
        if isinstance(known, Fit):
            return known
        return self._exactly(node, known, claim, self._before(node, claim, priority))

    def ask_namespaces(self) -> None:
        """Forget what was found of nodes where a namespace that matters has opted in, or out, since then."""
        for node in tuple(self._by_namespace):
            before = self._known[node].opted_in
            if any(bool(self._opted_in(each)) is not answer for each, answer in before.items()):
                self._keep(node, None)
                self._changed(node)

    def look_again(self, most: int) -> bool:
        """Read so many of the nodes that have changed, and say whether some are left."""
        for _ in range(min(most, len(self._unread))):
            self._of(self._unread.popleft())
        return bool(self._unread)

    def special(self, claim: Claim, priority: int) -> frozenset[str]:
        """Return the nodes where a pod finds something else than others that ask for the same."""
        first = {node for node in self._nominations() if self._before(node, claim, priority)}
        return frozenset(first.union(self._holding.get(claim.uid, ())))

    def leaving(self, node: str) -> frozenset[str]:
        """Return the uids of pods on a node that are being deleted and hold CPUs until then."""
        pods = self._state.pods.on_node(node)
        return frozenset(
            pod["metadata"]["uid"]
            for pod in pods
            if pod["metadata"].get("deletionTimestamp") and not is_finished(pod)
        )

    def _of(self, node: str) -> _Known | Fit:
        """Return what is known of a node, or why no pod gets a set there."""
        try:
            topology = self._state.nodes.topology_of(node)
        except NodeTopologyError as error:
            self._keep(node, None)  # often it was deleted
            return Fit(NO_TOPOLOGY, str(error))
        ledger, pods, held = self._state.ledgers.known(node), self._state.pods.on_node(node), self._held(node)
        known = self._known.get(node)
        made_of = (topology, ledger, pods, held)
        if known is None or not all(map(is_, known.made_of, made_of)):
            opted_in: dict[str, bool] = {}

            def asked(namespace: str) -> bool:
                opted_in[namespace] = bool(self._opted_in(namespace))
                return opted_in[namespace]

            valid = ledger is not None and ledger.node_uid == topology.uid
            base = ledger if ledger is not None and valid else Ledger(node, topology.uid)
            base = with_unknown(base, pods, topology, asked, now=self._state.now())
            base = base.with_entries(*held) if held else base
            known = _Known(made_of, base, self._case(topology, base), opted_in)
            self._keep(node, known)
        return known

    def _keep(self, node: str, known: _Known | None) -> None:
        """Know something else of a node from now on; None: nothing."""
        before = self._known.pop(node, None)
        self._by_namespace.discard(node)
        if known is not None:
            self._known[node] = known
            if known.opted_in:
                self._by_namespace.add(node)
        old = before.ledger.entries if before is not None else {}
        new = known.ledger.entries if known is not None else {}
        for uid in old.keys() - new.keys():
            left = tuple(each for each in self._holding.pop(uid, ()) if each != node)
            if left:
                self._holding[uid] = left
        for uid in new.keys() - old.keys():
            self._holding[uid] = (*self._holding.get(uid, ()), node)

    def _case(self, topology: NodeTopology, ledger: Ledger) -> _Case:
        """Return the case of a node: all that a decision depends on, but for names."""
        sets = Counter((each.qos, each.cpus, each.policy, each.exclusive) for each in ledger.entries.values())
        key = replace(topology, name="", uid="", problems=()), frozenset(sets.items())
        case = self._cases.get(key)
        if case is None:
            case = self._cases[key] = _Case()
        return case

    def _exactly(
        self,
        node: str,
        known: _Known,
        claim: Claim,
        first: Iterable[Claim] = (),
        without: frozenset[str] = frozenset(),
    ) -> Fit:
        """Return what a pod would get after those that go before it, once others are gone."""
        topology, now = self._state.nodes.topology_of(node), self._state.now()
        ledger = known.ledger.without(without) if without else known.ledger
        return fit(claim, topology, holding(ledger, topology, first, now=now), now=now)

    def _changed(self, node: str) -> None:
        if node:
            self._unread.append(node)
            self.note(node)

    def _pod_changed(self, key: _Key, old: Object | None, new: Object | None) -> None:
        self._news.append((key, new))
        for pod in (old, new):
            if pod is not None:
                self._changed(node_of(pod))

    def _nominations(self) -> Mapping[str, list[Object]]:
        """Return the pods that wait for CPUs on the node to which they are nominated, by node."""
        changed = False
        while self._news:
            key, pod = self._news.popleft()
            changed |= self._nominated.pop(key, None) is not None
            if pod is not None and _nominated_to(pod) and awaits_binding(pod):
                self._nominated[key] = pod
                changed = True
        if changed:
            by_node: dict[str, list[Object]] = {}
            for pod in self._nominated.values():
                by_node.setdefault(_nominated_to(pod), []).append(pod)
            self._nominated_to = by_node
        return self._nominated_to

    def _before(self, node: str, claim: Claim, priority: int) -> list[Claim]:
        """Return the pods that are nominated to a node and go before one of this priority."""
        there = [
            pod
            for pod in self._nominations().get(node, ())
            if pod["metadata"]["uid"] != claim.uid and (spec(pod).get("priority") or 0) >= priority
        ]
        there.sort(key=lambda pod: -(spec(pod).get("priority") or 0))
        return [each for pod in there if (each := self._claim(pod)) is not None]

    def _claim(self, pod: Object) -> Claim | None:
        try:
            request = read_resource_spec(pod, self._default)
        except ResourceSpecError:
            return None
        return claim_of(pod, request) if request is not None else None


def _nominated_to(pod: Object) -> str:
    return pod["status"].get("nominatedNodeName") or ""


def claim_of(pod: Object, request: CPUSetRequest) -> Claim:
    """Return what a pod asks for at binding."""
    metadata = pod["metadata"]
    try:
        carried = given_cpus(pod)
    except StatusError:
        carried = None
    return Claim(metadata["uid"], metadata["namespace"], metadata["name"], request, carried)
