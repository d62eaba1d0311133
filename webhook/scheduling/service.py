"""Puts scheduling together: the watches, the endpoints and the metrics of one process."""

import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Final

from prometheus_client import CollectorRegistry

from webhook.binding.state import State
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.cache.reflector import KindStatus, Reflector, watching
from webhook.kube.client import Client
from webhook.kube.paths import NODES, PODS, RUNNING_PODS, collection
from webhook.process.workqueue import WorkQueue
from webhook.protocol import NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE
from webhook.scheduling.cluster.caches import Loads
from webhook.scheduling.cluster.state import Cluster
from webhook.scheduling.endpoint import Extender, VerbEndpoint, wrong_filter_call
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.upkeep import Upkeep

PREFIX: Final = "/scheduler"
NODEMETRICS: Final = collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
_METRICS: Final = "scheduler-nodemetrics"


class Scheduling:
    """Everything about scheduling that one process does. No call and no thread before ``watch``.

    Attributes:
        cluster: what is known.
        endpoints: by path.
        upkeep: what is done between two calls.
    """

    def __init__(  # noqa: PLR0913 — what scheduling is made of
        self,
        api: Client,
        settings: SchedulingSettings,
        sets: State | None,
        opted_in: Callable[[str], bool | None],
        registry: CollectorRegistry,
        *,
        default: BindPolicy = BindPolicy.FULL_PCPUS,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Put it together.

        Args:
            api: the API server.
            settings: chosen by an administrator.
            sets: what binding watches; None: this process gives no CPU sets.
            opted_in: whether the pods of a namespace get CPU sets; None: the namespace is not known.
            registry: of the metrics.
            default: what a pod's bind policy ``Default`` means.
            clock: seconds, for what is held.
            wall: seconds since the epoch.
        """
        loads = Loads(settings.load, wall) if settings.load is not None else None
        self._sets = sets if settings.cpu_sets else None
        self.cluster = cluster = Cluster(
            settings,
            loads,
            self._sets,
            opted_in,
            default,
            clock,
            wall,
        )
        metrics = SchedulingMetrics(registry)
        self._queue: WorkQueue[Any] = WorkQueue(1, "scheduler")
        self.upkeep = Upkeep(cluster, self.missing, self._queue, api, metrics)
        extender = Extender(cluster, self.missing, metrics)
        verbs = {"filter": extender.filter, "prioritize": extender.prioritize, "preempt": extender.preempt}
        wrong = {"filter": wrong_filter_call}
        self.endpoints = {
            f"{PREFIX}/{verb}": VerbEndpoint(verb, act, cluster, self._queue, metrics, wrong.get(verb))
            for verb, act in verbs.items()
        }
        self._reflectors: dict[str, Reflector] = {}
        if loads is not None:
            self._reflectors = {
                "scheduler-nodes": Reflector(api, NODES, loads.nodes),
                "scheduler-pods": Reflector(api, PODS, loads.pods, selector=RUNNING_PODS),
                _METRICS: Reflector(api, NODEMETRICS, loads.metrics),
            }

    @property
    def kinds(self) -> Mapping[str, KindStatus]:
        """How each watched kind is doing."""
        return {name: reflector.contact for name, reflector in self._reflectors.items()}

    def missing(self) -> str:
        """Say what has not been listed yet; "": nothing.

        NodeMetrics need not be there: their kind may not be defined, and no node has a metric then.
        """
        sets = self._sets
        missing = ["nodes, pods and ledgers of CPU sets"] if sets is not None and not sets.synced else []
        missing += [
            name
            for name, kind in self.kinds.items()
            if not kind.synced and not (name == _METRICS and not kind.served)
        ]
        return ", ".join(missing)

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Watch until ``stop`` is set; meant to run in a thread."""
        with watching(self._reflectors, stop):
            self.upkeep.watch(stop, interval)
        self._queue.close()
