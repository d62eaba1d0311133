"""What is done between two calls: nodes that have changed are looked at, and pods that wait are woken.

The thread that answers calls does it, a millisecond at a time, so that no call waits for more. The API server
is called outside of that thread.
"""

import datetime as dt
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event
from typing import Any, Final

from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.loop import run_loop
from webhook.kube.paths import pod as pod_path
from webhook.kube.timestamps import timestamp
from webhook.process.workqueue import WorkQueue
from webhook.protocol import ANNOTATION_WOKEN
from webhook.scheduling.cluster.state import Cluster
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.waking import PodName

_NAME: Final = "upkeep"
_LOOKS: Final = 4
"""So many pods that wait are looked at between two calls: about a millisecond."""

_LOOK_SECONDS, _PAUSE_SECONDS = 0.25, 0.002

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Upkeep:
    """Keeps what is remembered of a cluster up to date.

    Made of the cluster, what says what has not been listed yet, the queue of the thread that answers calls,
    the API server, and counters.
    """

    _cluster: Cluster
    _missing: Callable[[], str]
    _queue: WorkQueue[Any]
    _api: Client
    _metrics: SchedulingMetrics
    _settled: bool = field(default=False, init=False)

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Work until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="looking at nodes again", interval=interval)

    def step(self) -> float:
        """Do some of what is due, between two calls; return how long to wait."""
        left, woken = self._queue.submit(_NAME, self._slice).result()
        if woken is not None:
            self._wake(woken)
        return _PAUSE_SECONDS if left else _LOOK_SECONDS

    def _slice(self) -> tuple[bool, PodName | None]:
        """Do some of what is due; return whether more is, and a pod that is to be woken."""
        cluster = self._cluster
        if cluster.look_again():
            return True, None
        missing = self._missing()
        if not self._settled and not missing:
            self._settled = True
            # Hundreds of thousands of objects, of which few go: a collection that looked at each of them
            # again would hold up every review for a third of a second.
            gc.freeze()
        pod = cluster.waking.look(_LOOKS) if cluster.settings.wake_pods and not missing else None
        return pod is not None, pod

    def _wake(self, pod: PodName) -> None:
        """Have the scheduler look at a pod again: it does when an annotation changes."""
        moment = timestamp(dt.datetime.fromtimestamp(self._cluster.wall(), dt.UTC))
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
