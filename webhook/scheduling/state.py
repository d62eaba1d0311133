"""What the extender knows of the cluster, and how one pod finds it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.binding.grant import Claim, Refusal
from webhook.cpuset.allocation import BindPolicy
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.scheduling.caches import Loads
from webhook.scheduling.fits import Fits, Watched, claim_of
from webhook.scheduling.loadaware.nodeload import NodeLoad
from webhook.scheduling.loadaware.podload import is_of_daemonset, read_pod
from webhook.scheduling.reservations import Reservation, Reservations
from webhook.scheduling.setfit import UNREADABLE, Fit
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.verbs import Asked

Object = Mapping[str, Any]


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

    def __post_init__(self) -> None:
        """Hold nothing."""
        if self.loads is not None:
            self.reservations = Reservations(self.clock, self._is_bound, self.loads.note)
            self.loads.held = self.reservations.loads
        else:
            self.reservations = Reservations(self.clock, self._is_bound)
        self.fits = (
            Fits(self.sets, self.reservations.entries, self.default) if self.sets is not None else None
        )

    def visit(self, pod: Object) -> "Visit":
        """Return the cluster as a pod finds it, without what was held for it before; raises NotKnownError."""
        metadata = pod["metadata"]
        self.reservations.release(metadata["uid"])
        claim: Claim | Refusal | None = None
        if self.sets is not None:
            request = self._request(pod)
            claim = claim_of(pod, request) if isinstance(request, CPUSetRequest) else request
        load = None
        if self.loads is not None and not is_of_daemonset(pod):
            load = read_pod(pod, self.loads.settings, self.wall())
        nominated = (pod.get("status") or {}).get("nominatedNodeName") or ""
        return Visit(self, pod, claim, Asked(load, claim is not None, str(nominated)))

    def forget_deleted(self) -> None:
        """Drop what was made of Nodes that do not exist any more."""
        if self.fits is not None:
            self.fits.forget_deleted()

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

    def _is_bound(self, held: Reservation) -> bool:
        """Whether a pod counts by what is watched: it is bound, or a ledger has its CPUs."""
        if held.entry is not None and self.sets is not None:
            ledger = self.sets.ledgers.known(held.node)
            if ledger is None or held.uid not in ledger.entries:
                return False
        if held.load is not None and self.loads is not None:
            pod = self.loads.pods.values.get(held.load.key)
            return pod is not None and pod.uid == held.uid
        return held.entry is not None


@dataclass(frozen=True, slots=True)
class Visit:
    """The cluster, as one pod finds it; see ``verbs.Place``.

    Attributes:
        cluster: that is visited.
        pod: the v1 Pod.
        claim: what it asks for at binding; a Refusal where that cannot be read; None: no CPU set.
        asked: the rest of what is asked.
    """

    cluster: Cluster
    pod: Object
    claim: Claim | Refusal | None
    asked: Asked

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
        priority = (self.pod.get("spec") or {}).get("priority") or 0
        return self.cluster.fits.of(node, self.claim, priority, without)

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
