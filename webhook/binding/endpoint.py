"""``POST /bind``: answers reviews of Bindings.

A pod that needs no CPU set is answered at once, by one look-up. The rest is done by a few threads,
for it waits for the API server; a node keeps one of them busy at most. What cannot be known is a 503
and what is our fault a 500: failurePolicy decides then, and the reconciler finds the pod later.

A review need not come from an API server, and CPUs are given by it. So it is acted on only where the
API server would ask and bind: for a live pod that waits for a node, in a namespace that has opted in,
on a node that the pod fits.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.admission.editor import Cause
from webhook.admission.podedit import PodEdit
from webhook.admission.response import Answer, allowed, denied, errored, failed, respond, unavailable
from webhook.admission.review import Review, ReviewError, check_namespace, parse_review
from webhook.binding.caches import Object, awaits_binding, trim_pod
from webhook.binding.grant import Claim, Grant, Refusal
from webhook.binding.metrics import BindingMetrics
from webhook.binding.promises import Promises
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.client import ApiError
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus, resource_status
from webhook.pods.text import shown
from webhook.process.workqueue import Continued, Work, WorkQueue
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

_BINDINGS: Final = (
    (("", "v1", "pods"), "binding", "CREATE"),
    (("", "v1", "bindings"), "", "CREATE"),
)
"""A Binding comes by either path; the second one is older, and clients use it still."""

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
        opted_in: whether the pods of a namespace are to get CPU sets; None: the namespace is not known.
        default: what a pod's bind policy ``Default`` means.
    """

    _state: State
    _promises: Promises
    _events: EventRecorder
    _metrics: BindingMetrics
    _: KW_ONLY
    opted_in: Callable[[str], bool | None]
    default: BindPolicy = BindPolicy.FULL_PCPUS
    _queue: WorkQueue[Answer] = field(default_factory=lambda: WorkQueue(THREADS, "bind"), init=False)

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
            if known is None:
                check_namespace(review)
            opted_in = self.opted_in(asked.namespace)
            if opted_in is None or not self._state.synced:
                what = "pods, nodes and ledgers have" if opted_in is not None else "the namespace has"
                return self._unanswered(uid, f"{what} not been listed yet", started)
            if not opted_in:
                return self._done("none", started, respond(allowed(uid)))
            deadline = self._state.deadline(max(0.0, seconds - RESERVE_SECONDS))
            work: Work[Answer]
            if known is None:
                # Not at the node: those whose pods are known wait there.
                key, work = f"pods of {asked.namespace}", partial(self._look_up, asked, started, deadline)
            else:
                key, work = asked.node, partial(self._answer, asked, None, started, deadline)
            return self._queue.submit(key, partial(self._guarded, asked.uid, started, work))
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
        self._queue.close()

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

    def _guarded(self, uid: str, started: float, work: Work[Answer]) -> Answer | Continued[Answer]:
        """Do a part of the work for an answer; what it raises is an answer, too."""
        try:
            return work()
        except (OutOfTimeError, ApiError) as error:
            return self._unanswered(uid, str(error), started)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(uid, started)

    def _look_up(self, asked: _Asked, started: float, deadline: Deadline) -> Answer | Continued[Answer]:
        """Read a pod that is not known, and go on at its node."""
        known = self._known(asked) or self._read(asked, deadline)
        if known.request is None:
            return self._done("none", started, respond(allowed(asked.uid)))
        work = partial(self._answer, asked, known, started, deadline)
        return Continued(asked.node, partial(self._guarded, asked.uid, started, work))

    def _answer(self, asked: _Asked, read: _Known | None, started: float, deadline: Deadline) -> Answer:
        """Answer for a pod as it is watched now, or was ``read``: it may have changed while it waited."""
        pod, request = self._known(asked) or read or _Known(None, None)
        if pod is None or request is None or not awaits_binding(pod):
            return self._done("none", started, respond(allowed(asked.uid)))
        decided = self._decided(asked, pod, request, deadline)
        if isinstance(decided, Refusal):
            return self._done("denied", started, self._denied(asked, pod["metadata"]["uid"], decided))
        if not asked.dry_run:
            self._metrics.allocated(decided.entry.qos, existing=decided.existing)
        return self._done("set", started, _granted(asked, decided))

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
        if why := self._state.misfit(pod, asked.node, deadline):
            return Refusal("DoesNotFit", why)
        try:
            carried = given_cpus(pod)
        except StatusError as error:
            _log.warning("%s/%s: %s: it is replaced", asked.namespace, asked.name, error)
            carried = None
        claim = Claim(pod["metadata"]["uid"], asked.namespace, asked.name, request, carried)
        return self._promises.make(claim, asked.node, deadline=deadline, dry_run=asked.dry_run)

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
    if asked_for not in _BINDINGS:
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
