"""``POST /bind``: the review of a Binding in, its answer out.

What needs no CPU set is answered at once, by one look-up. The rest is done by a few threads,
for it waits for the API server. What cannot be known is a 503 and what is our fault a 500:
failurePolicy decides then, and the reconciler finds the pod later.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.admission.response import Answer, allowed, denied, errored, respond
from webhook.admission.review import Review, ReviewError, parse_review
from webhook.binding.binder import Binder
from webhook.binding.caches import cut_pod
from webhook.binding.grant import Claim, Grant, Refusal
from webhook.binding.metrics import BindingMetrics
from webhook.binding.recovery import node_of
from webhook.binding.state import Cluster, OutOfTimeError
from webhook.cpuset import BindPolicy
from webhook.kube.client import ApiError
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus, resource_status
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

DENIED: Final = "CPUSetDenied"
THREADS: Final = 16
_RESERVE_SECONDS: Final = 0.2
"""Of a request's time, what is kept for the way back."""

_NEEDS_NOTHING: Final[Mapping[str, Any]] = {}

_log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    """A binding that is to be made."""

    uid: str
    namespace: str
    name: str
    pod_uid: str
    node: str
    binding: dict[str, Any]
    dry_run: bool


class Reviews:
    """Answers reviews of Bindings."""

    def __init__(
        self,
        cluster: Cluster,
        binder: Binder,
        events: EventRecorder,
        *,
        default: BindPolicy = BindPolicy.FULL_PCPUS,
    ) -> None:
        """Take what is watched, and who gives CPUs; ``default`` is what a pod's policy Default means."""
        self.metrics: BindingMetrics | None = None
        self._cluster = cluster
        self._binder = binder
        self._events = events
        self._default = default
        self._clock = cluster.clock
        self._pool: ThreadPoolExecutor | None = None

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer the review in ``body`` within ``seconds``, at once where nothing has to be waited for.

        Never raises.
        """
        started = self._clock()
        uid = ""
        try:
            review = parse_review(body)
            uid = review.uid
            asked = _read(review)
            pod = self._known(asked) if asked is not None else _NEEDS_NOTHING
            if asked is None or pod is _NEEDS_NOTHING:
                return self._done("none", started, respond(allowed(uid)))
            if not self._cluster.synced:
                return self._unanswered(uid, "not everything that is watched has been read yet", started)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "bind")
            end = started + max(0.0, seconds - _RESERVE_SECONDS)
            return self._pool.submit(self._answer, asked, pod, started, end)
        except ReviewError as error:
            return self.refuse(error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(uid, started)

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Answer a review whose time is over; what is still being done for it is done to its end."""
        del begun
        message = f"no CPU set within {seconds:g} s: the API server answers slowly, or too many bindings wait"
        return errored(HTTPStatus.SERVICE_UNAVAILABLE, message)

    def refuse(self, error: ReviewError) -> Answer:
        """Answer a request that is no review."""
        return self._done("refused", self._clock(), errored(error.status, error.message))

    def close(self) -> None:
        """Let go of the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _known(self, asked: _Asked) -> Mapping[str, Any] | None:
        """The pod if it is kept whole, _NEEDS_NOTHING if that is known, None if nothing is.

        A Binding without a uid, which kube-scheduler does not make, means the pod that has the name now.
        """
        if not asked.pod_uid:
            return None
        key = (asked.namespace, asked.name)
        pod = self._cluster.pods.values.get(key)
        if pod is not None and pod["metadata"]["uid"] == asked.pod_uid:
            return pod if _needs(pod, self._default) else _NEEDS_NOTHING
        if self._cluster.waiting.values.get(key) == asked.pod_uid:
            return _NEEDS_NOTHING
        return None

    def _answer(self, asked: _Asked, pod: Mapping[str, Any] | None, started: float, end: float) -> Answer:
        try:
            if pod is None:
                pod = self._get(asked, end)
            if pod is None or node_of(pod):
                return self._done("none", started, respond(allowed(asked.uid)))
            return self._bound(asked, pod, started, end)
        except (OutOfTimeError, ApiError) as error:
            return self._unanswered(asked.uid, str(error), started)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(asked.uid, started)

    def _get(self, asked: _Asked, end: float) -> Mapping[str, Any] | None:
        """Read the pod; None: there is none of that uid, which the API server will say itself."""
        raw = self._cluster.live_pod(asked.namespace, asked.name, timeout=self._cluster.left(end))
        pod = cut_pod(raw) if raw is not None else None
        return pod if pod is not None and asked.pod_uid in {pod["metadata"]["uid"], ""} else None

    def _bound(self, asked: _Asked, pod: Mapping[str, Any], started: float, end: float) -> Answer:
        pod_uid = pod["metadata"]["uid"]
        try:
            wish = read_resource_spec(pod, self._default)
        except ResourceSpecError as error:
            return self._denied(asked, pod_uid, Refusal("BadRequest", str(error)), started)
        if wish is None:
            return self._done("none", started, respond(allowed(asked.uid)))
        try:
            brought = given_cpus(pod)
        except StatusError as error:
            _log.warning("%s/%s: %s: it is replaced", asked.namespace, asked.name, error)
            brought = None
        claim = Claim(pod_uid, asked.namespace, asked.name, wish, brought)
        decided = self._binder.bind(claim, asked.node, end=end, dry_run=asked.dry_run)
        if isinstance(decided, Refusal):
            return self._denied(asked, pod_uid, decided, started)
        if not asked.dry_run and self.metrics is not None:
            self.metrics.allocated(decided.entry.qos, again=decided.again)
        return self._done("set", started, _granted(asked, decided, self._status(asked.node, decided, end)))

    def _status(self, node: str, decided: Grant, end: float) -> str:
        return resource_status(self._cluster.machine(node, end).topology, decided.entry.cpus)

    def _denied(self, asked: _Asked, pod_uid: str, refusal: Refusal, started: float) -> Answer:
        message = refusal.message
        if not asked.dry_run:
            if self.metrics is not None:
                self.metrics.denied(refusal.reason)
            told = Event(asked.namespace, asked.name, pod_uid, WARNING, DENIED, message)
            self._events.record(told)
        response = denied(asked.uid, message, reason="Forbidden", code=HTTPStatus.FORBIDDEN)
        _log.info("binding of %s/%s to %s denied: %s", asked.namespace, asked.name, asked.node, message)
        return self._done("denied", started, respond(response))

    def _unanswered(self, uid: str, reason: str, started: float) -> Answer:
        _log.error("review %s at /bind is not answered: %s", uid, reason)
        message = f"review {uid} cannot be answered: {reason}"
        code = HTTPStatus.SERVICE_UNAVAILABLE
        return self._done("unanswered", started, errored(code, message))

    def _fault(self, uid: str, started: float) -> Answer:
        _log.exception("fault while answering review %s at /bind", uid or "unknown")
        message = f"internal fault at review {uid}; the webhook's log has the details under that uid"
        code = HTTPStatus.INTERNAL_SERVER_ERROR
        return self._done("fault", started, errored(code, message))

    def _done(self, outcome: str, started: float, answer: Answer) -> Answer:
        if self.metrics is not None:
            self.metrics.answered(outcome, self._clock() - started)
        return answer


def _read(review: Review) -> _Asked | None:
    """Return what is to be bound; None: it is not ours to judge."""
    if (
        review.resource != ("", "v1", "pods")
        or review.subresource != "binding"
        or review.operation != "CREATE"
    ):
        return None
    target = review.object.get("target")
    metadata = review.object.get("metadata")
    if not isinstance(target, dict) or target.get("kind") not in {"Node", "", None}:
        return None
    node = target.get("name")
    if not isinstance(node, str) or not node or not isinstance(metadata, (dict, type(None))):
        return None
    metadata = metadata or {}
    return _Asked(
        uid=review.uid,
        namespace=review.namespace,
        name=review.name or str(metadata.get("name") or ""),
        pod_uid=str(metadata.get("uid") or ""),
        node=node,
        binding=review.object,
        dry_run=review.dry_run,
    )


def _needs(pod: Mapping[str, Any], default: BindPolicy) -> bool:
    """Whether a pod has to be looked at by a thread: it gets a set, or is denied."""
    try:
        return read_resource_spec(pod, default) is not None
    except ResourceSpecError:
        return True


def _granted(asked: _Asked, decided: Grant, status: str) -> Answer:
    # The API server gives a Binding's annotations to the pod.
    edit = PodEdit(asked.binding)
    edit.set_annotation(ANNOTATION_RESOURCE_STATUS, status, Cause("binding", ""))
    _log.info(
        "binding of %s/%s to %s: CPUs %s%s",
        asked.namespace,
        asked.name,
        asked.node,
        status,
        " again" if decided.again else "",
    )
    return respond(allowed(asked.uid, edit.operations()))
