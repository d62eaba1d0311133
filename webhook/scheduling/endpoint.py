"""``POST /scheduler/filter``, ``prioritize`` and ``preempt``: answers a kube-scheduler's extender calls.

A call is answered in one thread of its own, one after another as the scheduler makes them, and never in the
event loop that answers reviews. While caches fill the answer is a 503: a pod is then tried again, where "no
node" would be believed. A scheduler reads no body but that of a 200, and of anything else shows the status
at the pod. So what is wrong in a filter call stands in the answer's ``Error``; others have no such field.
"""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson

from webhook.admission.response import Answer, errored
from webhook.admission.review import ReviewError
from webhook.process.workqueue import WorkQueue
from webhook.scheduling.cluster.state import Cluster, NotKnownError
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.question import QuestionError, read_candidates, read_evictions
from webhook.scheduling.verbs import preempt

_THREAD: Final = "scheduler"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerbEndpoint:
    """Answers one verb.

    Attributes:
        verb: as metrics and logs name it.
        act: makes the answer to a body; raises ReviewError and NotKnownError.
        wrong: makes the answer that says what is wrong in a call; None: that is a 4xx.
        cluster: gives the time.
        queue: of one thread, which all verbs share.
        metrics: count.
    """

    verb: str
    act: Callable[[bytes], object]
    cluster: Cluster
    queue: WorkQueue[Answer]
    metrics: SchedulingMetrics
    wrong: Callable[[str], object] | None = None

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer a call when it is its turn."""
        del seconds
        return self.queue.submit(_THREAD, lambda: self._answer(body))

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Answer a call whose time is over."""
        begun.cancel()
        message = f"{self.verb} was not answered within {seconds:g} s: too many calls wait"
        return errored(HTTPStatus.SERVICE_UNAVAILABLE, message)

    def refuse(self, error: ReviewError) -> Answer:
        """Answer what is no call of a scheduler."""
        self.metrics.answered(self.verb, "refused", 0.0)
        return errored(error.status, error.message)

    def _answer(self, body: bytes) -> Answer:
        started, outcome = self.cluster.clock(), "answered"
        try:
            answer = Answer(HTTPStatus.OK, orjson.dumps(self.act(body)))
        except ReviewError as error:
            outcome, answer = "refused", self._refused(error)
        except NotKnownError as error:
            _log.warning("%s is not answered: %s", self.verb, error)
            outcome, answer = "unanswered", errored(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            _log.exception("fault while answering %s", self.verb)
            outcome = "fault"
            text = f"internal fault at {self.verb}; the webhook's log has the details"
            answer = errored(HTTPStatus.INTERNAL_SERVER_ERROR, text)
        self.metrics.answered(self.verb, outcome, self.cluster.clock() - started)
        return answer

    def _refused(self, error: ReviewError) -> Answer:
        if self.wrong is None or not isinstance(error, QuestionError):
            return errored(error.status, error.message)
        _log.warning("%s: %s", self.verb, error.message)
        return Answer(HTTPStatus.OK, orjson.dumps(self.wrong(error.message)))


@dataclass(frozen=True, slots=True)
class Extender:
    """What the three verbs do.

    Attributes:
        cluster: as it is known.
        missing: says what has not been listed yet; "": nothing.
        metrics: count reasons.
    """

    cluster: Cluster
    missing: Callable[[], str]
    metrics: SchedulingMetrics

    def filter(self, body: bytes) -> dict[str, object]:
        """Answer ``ExtenderArgs`` with an ``ExtenderFilterResult``."""
        candidates = read_candidates(body)
        visit = self._ready().visit(candidates.pod)
        cluster = self.cluster
        found = cluster.rankings.filter(visit, candidates.names, cluster.wall())
        visit.settle(candidates.names, found.passed)
        for reason, count in Counter([*found.unresolvable.values(), *found.failed.values()]).items():
            self.metrics.filtered.labels(reason).inc(count)
        nodes = candidates.nodes
        whole = {"items": [nodes[name] for name in found.passed]} if nodes is not None else None
        return {
            "Nodes": whole,
            "NodeNames": found.passed if nodes is None else None,
            "FailedNodes": found.failed,
            "FailedAndUnresolvableNodes": found.unresolvable,
            "Error": "",
        }

    def prioritize(self, body: bytes) -> list[dict[str, object]]:
        """Answer ``ExtenderArgs`` with a ``HostPriorityList``."""
        candidates = read_candidates(body)
        visit = self._ready().visit(candidates.pod)
        cluster = self.cluster
        points = cluster.rankings.prioritize(visit, candidates.names, cluster.wall())
        if points:
            visit.hold(max(points, key=points.__getitem__))
        return [{"Host": name, "Score": score} for name, score in points.items()]

    def preempt(self, body: bytes) -> dict[str, object]:
        """Answer ``ExtenderPreemptionArgs`` with an ``ExtenderPreemptionResult``."""
        evictions = read_evictions(body)
        visit = self._ready().visit(evictions.pod)
        cluster = self.cluster
        kept = preempt(visit.asked, evictions.victims, visit, cluster.settings, cluster.wall())
        return {
            "NodeNameToMetaVictims": {
                name: {
                    "Pods": [{"UID": uid} for uid in evictions.victims[name]],
                    "NumPDBViolations": evictions.violations[name],
                }
                for name in kept
            }
        }

    def _ready(self) -> Cluster:
        if missing := self.missing():
            raise NotKnownError(f"not synced yet: {missing}")
        return self.cluster


def wrong_filter_call(message: str) -> dict[str, object]:
    """Return the ``ExtenderFilterResult`` that has a scheduler show a message at the pod."""
    error = f"colocation-webhook cannot answer the filter call: {message}"
    return {
        "Nodes": None,
        "NodeNames": None,
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": {},
        "Error": error,
    }
