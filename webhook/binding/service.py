"""Puts binding together: the watches, the endpoint, the reconciler and the metrics of one process."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from prometheus_client import CollectorRegistry

from webhook.binding.binder import Binder
from webhook.binding.caches import (
    BOUND_CLASS_PODS,
    TOPOLOGIES,
    WAITING_PODS,
    Nodes,
    pod_store,
    waiting_store,
)
from webhook.binding.endpoint import BindEndpoint
from webhook.binding.ledgers import LEDGERS, Ledgers
from webhook.binding.metrics import BindingMetrics
from webhook.binding.promises import Promises
from webhook.binding.reconciling.reconciler import Reconciler
from webhook.binding.reconciling.repair import Repair
from webhook.binding.resizes import Resizes
from webhook.binding.state import State
from webhook.cpuset.allocation import BindPolicy, Strategy
from webhook.cpuset.sharing import PoolLimit
from webhook.kube.cache.reflector import KindStatus, Reflector, watching
from webhook.kube.client import Client
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.kube.paths import NODES, PODS
from webhook.kube.timestamps import utc_now
from webhook.process.tasks import Task, Tasks

GRACE_SECONDS: Final = 60.0
_OBSERVE_SECONDS: Final = 10.0
_COMPONENT: Final = "colocation-webhook"


@dataclass(frozen=True, slots=True)
class BindingSettings:
    """What an administrator may choose.

    Attributes:
        grace: seconds that an entry may stand without its pod being bound; at least the API server's
            request timeout, which is 60 by default.
        default: what a pod's bind policy ``Default``, or none, means.
        strategy: which NUMA nodes are filled first on nodes that do not say.
        pool_limit: how many CPUs of each node stay in the share pool.
    """

    grace: float = GRACE_SECONDS
    default: BindPolicy = BindPolicy.FULL_PCPUS
    strategy: Strategy = Strategy.MOST_ALLOCATED
    pool_limit: PoolLimit = field(default_factory=PoolLimit)


class Bindings:
    """Everything about bindings that one process does. No call and no thread before ``watch``.

    Attributes:
        state: what is watched.
        events: records Events.
        binder: gives CPUs.
        promises: withdraws what younger promises replace.
        endpoint: answers reviews.
        repair: repairs pods.
        resizes: says whether CPU sets can follow a resize.
        reconciler: repairs ledgers.
    """

    def __init__(  # noqa: PLR0913 — what binding is made of
        self,
        api: Client,
        lease: Lease,
        opted_in: Callable[[str], bool | None],
        registry: CollectorRegistry,
        settings: BindingSettings,
        *,
        listed: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        """Put it together.

        Args:
            api: the API server.
            lease: held by the replica that reconciles.
            opted_in: whether the pods of a namespace are to get CPU sets; None: the namespace is not known.
            registry: of the metrics.
            settings: chosen by an administrator.
            listed: whether the namespaces have been listed.
            clock: seconds, for deadlines and ages.
            now: the time of day, for what is written.
        """
        self._metrics = metrics = BindingMetrics(registry)
        self.state = state = State(
            api,
            pod_store(),
            waiting_store(),
            Nodes(settings.strategy, settings.pool_limit),
            Ledgers(api, metrics.conflicts.inc),
            clock=clock,
            now=now,
        )
        self.events = events = EventRecorder(api, _COMPONENT, clock=clock, now=now)

        def gives(namespace: str) -> bool:
            return bool(opted_in(namespace))

        self.binder = binder = Binder(state, opted_in=gives, grace=settings.grace)
        self.promises = promises = Promises(state, binder)
        policy = settings.default
        self.endpoint = BindEndpoint(state, promises, events, metrics, opted_in=opted_in, default=policy)
        self.repair = Repair(state, binder, events, metrics, opted_in=gives, default=policy)
        self.resizes = Resizes(state, opted_in=gives, default=policy)
        self.reconciler = Reconciler(state, binder, self.repair, lease, metrics, listed=listed)
        self._reflectors = {
            "lse-lsr-pods": Reflector(api, PODS, state.pods, selector=BOUND_CLASS_PODS),
            "waiting-pods": Reflector(api, PODS, state.waiting, selector=WAITING_PODS, metadata_only=True),
            "nodes": Reflector(api, NODES, state.nodes.nodes),
            "noderesourcetopologies": Reflector(api, TOPOLOGIES, state.nodes.topologies),
            "nodecpuallocations": Reflector(api, LEDGERS, state.ledgers.store),
        }

    @property
    def kinds(self) -> Mapping[str, KindStatus]:
        """How each watched kind is doing."""
        return {name: reflector.contact for name, reflector in self._reflectors.items()}

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Watch, record Events, reconcile and count until ``stop`` is set; meant to run in a thread."""
        background = [
            Task("events", self.events, waited_for=True),
            Task("cpuset-reconciler", self.reconciler, waited_for=True),
            Task("promises", self.promises),
        ]
        tasks = Tasks(background, interval=1.0)
        with watching(self._reflectors, stop):
            tasks.start()
            run_loop(self._observe, stop, name="counting CPUs", interval=interval)
        self.endpoint.close()
        tasks.stop()

    def _observe(self) -> float | None:
        if not self.state.synced:
            return None
        self.state.nodes.forget_deleted()
        self._metrics.observe(self.state)
        return _OBSERVE_SECONDS
