"""``POST /bind``: answers reviews of Bindings.

A pod that needs no CPU set is answered at once, by one look-up. The rest is done by a few threads,
for it waits for the API server. What cannot be known is a 503 and what is our fault a 500:
failurePolicy decides then, and the reconciler finds the pod later.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.admission.response import Answer, allowed, denied, errored, failed, respond, unavailable
from webhook.admission.review import Review, ReviewError, check_namespace, parse_review
from webhook.binding.binder import Binder
from webhook.binding.caches import Object, trim_pod
from webhook.binding.grant import Claim, Grant, Refusal
from webhook.binding.metrics import BindingMetrics
from webhook.binding.recovery import node_of
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.client import ApiError
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus, resource_status
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

DENIED: Final = "CPUSetDenied"
THREADS: Final = 16
RESERVE_SECONDS: Final = 0.2
"""Of a request's time, what is kept for sending the answer."""

_log = logging.getLogger(__name__)


class _Asked(NamedTuple):
    """A binding to be made."""

    uid: str
    namespace: str
    name: str
    pod_uid: str
    node: str
    binding: dict[str, Any]
    dry_run: bool


class _Known(NamedTuple):
    """A pod, and what it asks for; None: it needs no CPU set, or does not exist."""

    pod: Object | None
    request: CPUSetRequest | Refusal | None


@dataclass(slots=True, eq=False)
class BindEndpoint:
    """Answers reviews of Bindings.

    Attributes:
        default: what a pod's bind policy ``Default`` means.
    """

    _state: State
    _binder: Binder
    _events: EventRecorder
    _metrics: BindingMetrics
    _: KW_ONLY
    default: BindPolicy = BindPolicy.FULL_PCPUS
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer the review in ``body`` within ``seconds``, at once where nothing has to be waited for.

        Never raises.
        """
        started = self._state.clock()
        uid = ""
        try:
            review = parse_review(body)
            uid = review.uid
            asked = _binding(review)
            known = self._known(asked) if asked is not None else None
            if asked is None or (known is not None and known.request is None):
                return self._done("none", started, respond(allowed(uid)))
            if not self._state.synced:
                return self._unanswered(uid, "pods, nodes and ledgers have not been listed yet", started)
            if known is None:
                check_namespace(review)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, "bind")
            deadline = self._state.deadline(max(0.0, seconds - RESERVE_SECONDS))
            return self._pool.submit(self._answer, asked, known, started, deadline)
        except ReviewError as error:
            return self.refuse(error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(uid, started)

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Answer a review whose time is over; the work for it goes on to its end."""
        del begun
        message = f"no CPU set within {seconds:g} s: the API server answers slowly, or too many bindings wait"
        return errored(HTTPStatus.SERVICE_UNAVAILABLE, message)

    def refuse(self, error: ReviewError) -> Answer:
        """Answer a request that is no review."""
        return self._done("refused", self._state.clock(), errored(error.status, error.message))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _known(self, asked: _Asked) -> _Known | None:
        """The pod as it is watched; None: it is not known.

        A Binding without a uid, which kube-scheduler does not make, means the pod that has the name now.
        """
        if not asked.pod_uid:
            return None
        key = (asked.namespace, asked.name)
        pod = self._state.pods.values.get(key)
        if pod is not None and pod["metadata"]["uid"] == asked.pod_uid:
            return _Known(pod, self._request(pod))
        if self._state.waiting.values.get(key) == asked.pod_uid:
            return _Known(None, None)
        return None

    def _request(self, pod: Object) -> CPUSetRequest | Refusal | None:
        try:
            return read_resource_spec(pod, self.default)
        except ResourceSpecError as error:
            return Refusal("BadRequest", str(error))

    def _answer(self, asked: _Asked, known: _Known | None, started: float, deadline: Deadline) -> Answer:
        try:
            pod, request = known or self._read(asked, deadline)
            if pod is None or request is None or node_of(pod):
                return self._done("none", started, respond(allowed(asked.uid)))
            decided = self._decided(asked, pod, request, deadline)
            if isinstance(decided, Refusal):
                return self._done("denied", started, self._denied(asked, pod["metadata"]["uid"], decided))
            if not asked.dry_run:
                self._metrics.allocated(decided.entry.qos, existing=decided.existing)
            return self._done("set", started, _granted(asked, decided))
        except (OutOfTimeError, ApiError) as error:
            return self._unanswered(asked.uid, str(error), started)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(asked.uid, started)

    def _read(self, asked: _Asked, deadline: Deadline) -> _Known:
        """Read the pod; where none has that uid, the API server says so itself."""
        raw = self._state.live_pod(asked.namespace, asked.name, deadline)
        pod = trim_pod(raw) if raw is not None else None
        if pod is None or asked.pod_uid not in {pod["metadata"]["uid"], ""}:
            return _Known(None, None)
        return _Known(pod, self._request(pod))

    def _decided(
        self, asked: _Asked, pod: Object, request: CPUSetRequest | Refusal, deadline: Deadline
    ) -> Grant | Refusal:
        if isinstance(request, Refusal):
            return request
        try:
            carried = given_cpus(pod)
        except StatusError as error:
            _log.warning("%s/%s: %s: it is replaced", asked.namespace, asked.name, error)
            carried = None
        claim = Claim(pod["metadata"]["uid"], asked.namespace, asked.name, request, carried)
        return self._binder.bind(claim, asked.node, deadline=deadline, dry_run=asked.dry_run)

    def _denied(self, asked: _Asked, pod_uid: str, refusal: Refusal) -> Answer:
        message = refusal.message
        if not asked.dry_run:
            self._metrics.denials.labels(refusal.reason).inc()
            self._events.record(Event(asked.namespace, asked.name, pod_uid, WARNING, DENIED, message))
        _log.info("binding of %s/%s to %s denied: %s", asked.namespace, asked.name, asked.node, message)
        return respond(denied(asked.uid, message, reason="Forbidden", code=HTTPStatus.FORBIDDEN))

    def _unanswered(self, uid: str, reason: str, started: float) -> Answer:
        _log.error("review %s at /bind is not answered: %s", uid, reason)
        return self._done("unanswered", started, unavailable(uid, reason))

    def _fault(self, uid: str, started: float) -> Answer:
        _log.exception("fault while answering review %s at /bind", uid or "unknown")
        return self._done("fault", started, failed(uid))

    def _done(self, outcome: str, started: float, answer: Answer) -> Answer:
        self._metrics.answered(outcome, self._state.clock() - started)
        return answer


def _binding(review: Review) -> _Asked | None:
    """Return the binding to be made; None: the review is of something else. Raises ReviewError."""
    asked_for = (review.resource, review.subresource, review.operation)
    if asked_for != (("", "v1", "pods"), "binding", "CREATE"):
        return None
    target = review.object.get("target")
    metadata = review.object.get("metadata")
    if not isinstance(target, dict) or target.get("kind") not in ("Node", "", None):
        return None
    node = target.get("name")
    if not isinstance(node, str) or not node or not isinstance(metadata, (dict, type(None))):
        return None
    metadata = metadata or {}
    annotations = metadata.get("annotations")
    if not isinstance(annotations, (dict, type(None))):
        message = f"request.object.metadata.annotations: must be an object, not {shown(annotations)}"
        raise ReviewError(message, uid=review.uid)
    return _Asked(
        uid=review.uid,
        namespace=review.namespace,
        name=review.name or str(metadata.get("name") or ""),
        pod_uid=str(metadata.get("uid") or ""),
        node=node,
        binding=review.object,
        dry_run=review.dry_run,
    )


def _granted(asked: _Asked, decided: Grant) -> Answer:
    status = resource_status(decided.node.cpu_topology, decided.entry.cpus)
    # The API server gives a Binding's annotations to the pod.
    edit = PodEdit(asked.binding)
    edit.set_annotation(ANNOTATION_RESOURCE_STATUS, status, Cause("binding", ""))
    again = " again" if decided.existing else ""
    _log.info("binding of %s/%s to %s: CPUs %s%s", asked.namespace, asked.name, asked.node, status, again)
    return respond(allowed(asked.uid, edit.operations()))
