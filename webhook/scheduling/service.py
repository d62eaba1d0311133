"""Puts scheduling together: the watches, the endpoints and the metrics of one process."""

import datetime as dt
import gc
import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import Event
from typing import Any, Final

from prometheus_client import CollectorRegistry

from webhook.binding.state import State
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import NODES, PODS, RUNNING_PODS, collection
from webhook.kube.paths import pod as pod_path
from webhook.kube.reflector import KindStatus, Reflector, watching
from webhook.kube.timestamps import timestamp
from webhook.process.workqueue import WorkQueue
from webhook.protocol import ANNOTATION_WOKEN, NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE
from webhook.scheduling.caches import Loads
from webhook.scheduling.endpoint import Extender, VerbEndpoint
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.state import Cluster
from webhook.scheduling.waking import PodName

_log = logging.getLogger(__name__)

PREFIX: Final = "/scheduler"
NODEMETRICS: Final = collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
_METRICS: Final = "scheduler-nodemetrics"
_UPKEEP: Final = "upkeep"
_LOOKS: Final = 4
"""So many pods that wait are looked at between two calls: about a millisecond."""

_LOOK_SECONDS, _PAUSE_SECONDS, _FORGET_SECONDS = 0.25, 0.002, 10.0


class Scheduling:
    """Everything about scheduling that one process does. No call and no thread before ``watch``.

    Attributes:
        cluster: what is known.
        endpoints: by path.
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
        self._api, self._metrics = api, metrics
        self._clock, self._wall, self._forget_at = clock, wall, 0.0
        self._settled = False
        self._queue: WorkQueue[Any] = WorkQueue(1, "scheduler")
        extender = Extender(cluster, self.missing, metrics)
        verbs = {"filter": extender.filter, "prioritize": extender.prioritize, "preempt": extender.preempt}
        self.endpoints = {
            f"{PREFIX}/{verb}": VerbEndpoint(verb, act, cluster, self._queue, metrics)
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
            run_loop(self._look, stop, name="looking at nodes again", interval=interval)
        self._queue.close()

    def _look(self) -> float:
        """Look at some nodes that have changed, between two calls; return how long to wait."""
        left: bool | PodName = self._queue.submit(_UPKEEP, self._upkeep).result()
        if isinstance(left, PodName):
            self._wake(left)
        return _PAUSE_SECONDS if left else _LOOK_SECONDS

    def _upkeep(self) -> bool | PodName:
        """Do some of what is due; return whether more is, or a pod that is to be woken."""
        if self.cluster.look_again():
            return True
        if not self._settled and not self.missing():
            self._settled = True
            # Hundreds of thousands of objects, of which few go: a collection that looked at each of them
            # again would hold up every review for a third of a second.
            gc.freeze()
        if self._clock() >= self._forget_at:
            self._forget_at = self._clock() + _FORGET_SECONDS
            self.cluster.forget_deleted()
        if self.cluster.settings.wake_pods and not self.missing():
            for _ in range(_LOOKS):
                if pod := self.cluster.waking.look():
                    return pod
        return False

    def _wake(self, pod: PodName) -> None:
        """Have the scheduler look at a pod again: it does when an annotation changes."""
        moment = timestamp(dt.datetime.fromtimestamp(self._wall(), dt.UTC))
        change = {"metadata": {"uid": pod.uid, "annotations": {ANNOTATION_WOKEN: moment}}}
        try:
            self._api.call("PATCH", pod_path(pod.namespace, pod.name), body=change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                _log.warning(
                    "%s/%s is not woken, its scheduler tries it within 5 minutes: %s", *pod[1:], error
                )
            return
        self._metrics.woken.inc()
