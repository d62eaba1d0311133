"""What the extender knows of the cluster, and how one pod finds it."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from webhook.binding.grant import Claim, Refusal
from webhook.binding.ledger import Ledger
from webhook.binding.recovery import node_of
from webhook.cpuset.allocation import BindPolicy
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.scheduling.cluster.caches import Loads
from webhook.scheduling.cluster.journal import Journal
from webhook.scheduling.cluster.reservations import Reservation, Reservations
from webhook.scheduling.fits import Fits, Watched, claim_of
from webhook.scheduling.loadaware.nodeload import NodeLoad
from webhook.scheduling.loadaware.podload import is_of_daemonset, read_pod
from webhook.scheduling.ranking import Rankings
from webhook.scheduling.setfit import UNREADABLE, Fit
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.verbs import Asked
from webhook.scheduling.waking import PodName, Waking

Object = Mapping[str, Any]

_SLICE: Final = 20
"""So many nodes are looked at between two calls: about a millisecond."""

_MOST_GRANTED: Final = 10_000
"""So many CPU sets that were given are remembered until the next call; what is held ends by itself."""


class NotKnownError(Exception):
    """What is asked about cannot be answered yet; the message says what is missing."""


@dataclass(eq=False)
class Cluster:
    """The cluster, as the extender knows it; used by one thread.

    Attributes:
        settings: in force.
        loads: what is watched of load; None: it is not looked at.
        sets: what binding watches; None: CPU sets are not looked at.
        opted_in: whether the pods of a namespace get CPU sets; None: the namespace is not known.
        default: what a pod's bind policy ``Default`` means.
        clock: seconds, for what is held.
        wall: seconds since the epoch.
    """

    settings: SchedulingSettings
    loads: Loads | None
    sets: Watched | None
    opted_in: Callable[[str], bool | None] = lambda _: True
    default: BindPolicy = BindPolicy.FULL_PCPUS
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    reservations: Reservations = field(init=False)
    fits: Fits | None = field(init=False)
    rankings: Rankings = field(init=False)
    waking: "Waking[Visit]" = field(init=False)
    _granted: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_MOST_GRANTED), init=False)

    def __post_init__(self) -> None:
        """Hold nothing."""
        journal = Journal()
        self.rankings = Rankings(self.settings, journal)
        self.waking = Waking(self._fits_somewhere, self.clock)
        self.reservations = held = Reservations(self.clock, self._is_bound, self._held_otherwise)
        if self.loads is not None:
            self.loads.held = held.loads
            self.loads.changed = journal.note
        if self.sets is not None:
            self.sets.ledgers.store.observers.append(self._ledger_changed)
        self.fits = (
            Fits(self.sets, held.entries, self.default, self.opted_in, journal.note) if self.sets else None
        )

    def visit(self, pod: Object) -> "Visit":
        """Return the cluster as a pod finds it, without what was held for it before; raises NotKnownError."""
        metadata = pod["metadata"]
        while self._granted:
            self.reservations.granted(*self._granted.popleft())
        self.reservations.release(metadata["uid"])
        claim: Claim | Refusal | None = None
        if self.fits is not None:
            self.fits.ask_namespaces()
            request = self._request(pod)
            claim = claim_of(pod, request) if isinstance(request, CPUSetRequest) else request
        load = read_pod(pod, self.loads.settings, self.wall()) if self.loads is not None else None
        nominated = (pod.get("status") or {}).get("nominatedNodeName") or ""
        priority = (pod.get("spec") or {}).get("priority") or 0
        asked = Asked(load, claim is not None, str(nominated), is_of_daemonset(pod))
        return Visit(self, pod, claim, asked, priority)

    def look_again(self) -> bool:
        """Look at some of the nodes that have changed before a pod asks, and say whether some are left."""
        if self.loads is not None and self.loads.judge(_SLICE):
            return True
        if self.fits is not None:
            self.fits.ask_namespaces()
            if self.fits.look_again(_SLICE):
                return True
        return self.rankings.look_again(_SLICE, self.wall())

    def exists(self, node: str) -> bool:
        """Say whether there is such a node, as far as anything is looked at."""
        watched = self.loads.nodes if self.loads is not None else self.sets.nodes.nodes if self.sets else None
        return watched is not None and ("", node) in watched.values

    def _request(self, pod: Object) -> CPUSetRequest | Refusal | None:
        """Return what binding would give a CPU set for; None: it would give none."""
        try:
            request = read_resource_spec(pod, self.default)
        except ResourceSpecError as error:
            return Refusal("BadRequest", f"{UNREADABLE}: {error}")
        if request is None:
            return None
        namespace = pod["metadata"]["namespace"]
        opted_in = self.opted_in(namespace)
        if opted_in is None:
            raise NotKnownError(f"the namespace {namespace} has not been listed yet")
        return request if opted_in else None

    def _fits_somewhere(self, visit: "Visit", names: list[str]) -> bool:
        if isinstance(visit.claim, Claim) and not self.opted_in(visit.claim.namespace):
            visit = replace(visit, claim=None, asked=visit.asked._replace(wants_set=False))
        return bool(self.rankings.filter(visit, names, self.wall()).passed)

    def _held_otherwise(self, node: str) -> None:
        if self.loads is not None:
            self.loads.note(node)
        if self.fits is not None:
            self.fits.note(node)

    def _ledger_changed(self, key: tuple[str, str], old: Ledger | None, new: Ledger | None) -> None:
        """Note who got CPUs; called by whoever watches or writes ledgers."""
        before = old.entries if old is not None else {}
        after = new.entries if new is not None else {}
        self._granted.extend((uid, key[1]) for uid, entry in after.items() if before.get(uid) != entry)

    def _is_bound(self, held: Reservation) -> bool:
        """Whether a pod counts by what is watched: it is bound, or a ledger has its CPUs."""
        if any(node != held.node for node in self._seen_on(held)):
            return True
        if held.entry is not None and self.sets is not None:
            ledger = self.sets.ledgers.known(held.node)
            if ledger is None or held.uid not in ledger.entries:
                return False
        if held.load is not None and self.loads is not None:
            pod = self.loads.pods.values.get(held.load.key)
            return pod is not None and pod.uid == held.uid
        return held.entry is not None

    def _seen_on(self, held: Reservation) -> Iterator[str]:
        """Yield the nodes to which a pod is bound by what is watched."""
        if held.load is not None and self.loads is not None:
            load = self.loads.pods.values.get(held.load.key)
            if load is not None and load.uid == held.uid:
                yield load.node
        if held.entry is not None and self.sets is not None:
            pod = self.sets.pods.values.get((held.entry.namespace, held.entry.name))
            if pod is not None and pod["metadata"]["uid"] == held.uid and (node := node_of(pod)):
                yield node


@dataclass(frozen=True, slots=True)
class Visit:
    """The cluster, as one pod finds it; see ``verbs.Place``.

    Attributes:
        cluster: that is visited.
        pod: the v1 Pod.
        claim: what it asks for at binding; a Refusal where that cannot be read; None: no CPU set.
        asked: the rest of what is asked.
        priority: ``spec.priority`` of the pod.
    """

    cluster: Cluster
    pod: Object
    claim: Claim | Refusal | None
    asked: Asked
    priority: int

    @property
    def request(self) -> object:
        """Which CPU set is asked for."""
        return self.claim.request if isinstance(self.claim, Claim) else None

    def alike(self) -> "Visit":
        """Return the cluster as any pod finds it that asks for the same."""
        claim = self.claim
        if isinstance(claim, Claim):
            claim = claim._replace(uid="", carried=None)
        return replace(self, claim=claim, asked=self.asked._replace(nominated=""), priority=sys.maxsize)

    @property
    def singular(self) -> bool:
        """Whether no other pod is like this one: it brings a set along, or its request cannot be read."""
        return isinstance(self.claim, Refusal) or (self.claim is not None and self.claim.carried is not None)

    def special(self) -> frozenset[str]:
        """Return the nodes, of those looked at, where this pod finds something else than those alike."""
        if not isinstance(self.claim, Claim) or self.cluster.fits is None:
            return frozenset()
        return self.cluster.fits.special(self.claim, self.priority)

    def exists(self, node: str) -> bool:
        """Say whether there is such a node."""
        return self.cluster.exists(node)

    def loads(self) -> Mapping[str, NodeLoad]:
        """Return how the load of nodes is judged, with what is held there."""
        loads = self.cluster.loads
        return loads.table() if loads is not None else {}

    def fit(self, node: str, *, without: frozenset[str] = frozenset()) -> Fit:
        """Return what CPU set the pod would get, once the pods of these uids are gone."""
        if self.claim is None or self.cluster.fits is None:
            return Fit("", "")
        if isinstance(self.claim, Refusal):
            return Fit(UNREADABLE, self.claim.message)
        return self.cluster.fits.of(node, self.claim, self.priority, without)

    def exactly(self, node: str) -> Fit:
        """Return what CPU set the pod would get, with a message about this node."""
        if not isinstance(self.claim, Claim) or self.cluster.fits is None:
            return self.fit(node)
        return self.cluster.fits.exactly(node, self.claim, self.priority)

    def settle(self, names: list[str], passed: list[str]) -> None:
        """Take the answer about some nodes: one that passes alone is held; without any the pod waits."""
        metadata, waking = self.pod["metadata"], self.cluster.waking
        pod = PodName(metadata["uid"], metadata["namespace"], metadata["name"])
        if passed:
            waking.placed(pod)
        else:
            waking.refused(pod, replace(self, pod={}), names)
        if len(passed) == 1:
            self.hold(passed[0])  # no score will be asked for

    def leaving(self, node: str) -> frozenset[str]:
        """Return the uids of pods that are being deleted and hold CPUs of a node."""
        return self.cluster.fits.leaving(node) if self.cluster.fits is not None else frozenset()

    def hold(self, node: str) -> None:
        """Count a node's CPUs and load as the pod's, for a moment."""
        entry = self.fit(node).entry if self.claim is not None else None
        load = self.asked.load
        if entry is None and load is None:
            return
        metadata, cluster = self.pod["metadata"], self.cluster
        uid = metadata["uid"]
        if entry is not None:
            entry = entry._replace(uid=uid, namespace=metadata["namespace"], name=metadata["name"])
        until = cluster.clock() + cluster.settings.hold_seconds
        cluster.reservations.hold(Reservation(uid, node, load, entry, until))
