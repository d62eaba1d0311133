"""Binding, put together: what a process that gives CPU sets watches, answers and repairs."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from prometheus_client import CollectorRegistry

from webhook.binding.binder import Binder
from webhook.binding.caches import (
    BOUND_CLASS_PODS,
    NODES,
    PODS,
    TOPOLOGIES,
    WAITING_PODS,
    Nodes,
    PodStore,
    waiting_store,
)
from webhook.binding.endpoint import Reviews
from webhook.binding.ledgers import LEDGERS, Ledgers
from webhook.binding.metrics import BindingMetrics
from webhook.binding.overview import observe
from webhook.binding.reconciler import Reconciler
from webhook.binding.repair import Repair
from webhook.binding.state import Cluster
from webhook.cpuset import BindPolicy, Strategy
from webhook.kube.client import Client
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
from webhook.kube.reflector import KindStatus, Reflector

GRACE_SECONDS: Final = 60.0
_OBSERVE_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BindingSettings:
    """What an administrator may choose.

    Attributes:
        grace: seconds that an entry may be without its pod being bound; no less than the API server
            gives a request, which is 60 unless it is told otherwise.
        default: what a pod's bind policy ``Default``, or none, means.
        strategy: which NUMA nodes are filled first on nodes that do not say.
    """

    grace: float = GRACE_SECONDS
    default: BindPolicy = BindPolicy.FULL_PCPUS
    strategy: Strategy = Strategy.MOST_ALLOCATED


class Bindings:
    """Everything about bindings that one process does. No call and no thread before ``watch``."""

    def __init__(
        self,
        api: Client,
        lease: Lease,
        opted_in: Callable[[str], bool],
        registry: CollectorRegistry,
        settings: BindingSettings,
    ) -> None:
        """Take the API server, the Lease of the reconciler, and which namespaces have opted in."""
        given = settings
        self._metrics = BindingMetrics(registry)
        self._cluster = cluster = Cluster(
            api,
            PodStore(lambda: None),
            waiting_store(lambda: None),
            Nodes(lambda: None, given.strategy),
            Ledgers(api, lambda: None, self._conflict),
        )
        self._events = EventRecorder(api, "colocation-webhook")
        binder = Binder(cluster, grace=given.grace)
        self.endpoint = Reviews(cluster, binder, self._events, default=given.default)
        self.endpoint.metrics = self._metrics
        self._repair = Repair(cluster, binder, self._events, opted_in=opted_in, default=given.default)
        self._reconciler = Reconciler(cluster, binder, self._repair, lease)
        self._reconciler.metrics = self._repair.metrics = self._metrics
        self._reflectors = {
            "lse-lsr-pods": Reflector(api, PODS, cluster.pods, selector=BOUND_CLASS_PODS),
            "waiting-pods": Reflector(api, PODS, cluster.waiting, selector=WAITING_PODS, metadata_only=True),
            "nodes": Reflector(api, NODES, cluster.nodes.nodes, metadata_only=True),
            "noderesourcetopologies": Reflector(api, TOPOLOGIES, cluster.nodes.topologies),
            "nodecpuallocations": Reflector(api, LEDGERS, cluster.ledgers.store),
        }

    @property
    def kinds(self) -> Mapping[str, KindStatus]:
        """How each watched kind is doing."""
        return {name: reflector.contact for name, reflector in self._reflectors.items()}

    @property
    def synced(self) -> bool:
        """Whether reviews can be answered."""
        return self._cluster.synced

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Watch, tell and reconcile until ``stop`` is set; meant to run in a thread."""
        threads = [
            Thread(target=reflector.run, args=(stop,), name=f"watch-{name}", daemon=True)
            for name, reflector in self._reflectors.items()
        ]
        threads.append(Thread(target=self._events.watch, args=(stop,), name="events", daemon=True))
        threads.append(
            Thread(target=self._reconciler.watch, args=(stop,), name="cpuset-reconciler", daemon=True)
        )
        for thread in threads:
            thread.start()
        next_look = 0.0
        while not stop.wait(interval):
            if time.monotonic() >= next_look and self.synced:
                next_look = time.monotonic() + _OBSERVE_SECONDS
                self._observe()
        for reflector in self._reflectors.values():
            reflector.abort()
        self.endpoint.close()
        for thread in threads:
            thread.join(1.0)

    def _observe(self) -> None:
        try:
            self._cluster.nodes.forget_the_gone()
            if self._metrics is not None:
                observe(self._metrics, self._cluster)
        except Exception:  # noqa: BLE001 — the loop must outlive a fault of ours
            _log.exception("counting CPUs failed")

    def _conflict(self) -> None:
        if self._metrics is not None:
            self._metrics.conflict()
