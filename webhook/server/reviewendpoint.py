"""The endpoints of ``/mutate`` and ``/validate``: the bytes of a review into the bytes of its answer.

An endpoint never raises. What the client did wrong is a 4xx, what we did wrong a 500, what cannot be known
at the moment a 503, so that failurePolicy decides; the latter two are counted and logged with the review's
uid. All are ``Status`` objects and none shows a traceback.
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from typing import Any

from webhook.admission.decision import Decision, decide, deny
from webhook.admission.mutating.reinvocation import derive_key
from webhook.admission.response import Answer, errored, failed, respond, unavailable
from webhook.admission.review import Review, ReviewError, Webhook, check_namespace, parse_review
from webhook.admission.settings import Settings
from webhook.admission.validating.validation import Follow, keep
from webhook.admission.view import View
from webhook.cluster.source import NamespaceLookup, Source
from webhook.server.decisionlog import DecisionLog
from webhook.server.http.cost import TooCostlyError, check_containers
from webhook.server.metrics import ReviewMetrics

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True, eq=False)
class CurrentSettings:
    """The settings in force.

    Attributes:
        value: replaced whole when the signing key becomes known after the start, and when it changes
            for whom labels are kept.
    """

    value: Settings
    _has_own_key: bool = dataclasses.field(init=False)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Note whether a key was given: then nothing replaces it."""
        self._has_own_key = bool(self.value.signing_key)

    def sign_with(self, secret: bytes) -> None:
        """Sign with the secret that all replicas share now, unless a key was given."""
        if not self._has_own_key:
            self._replace(signing_key=derive_key(secret))

    def keep_labels(self, kept: Mapping[tuple[str, str], AbstractSet[str]]) -> None:
        """Keep the labels of the pods of these owners; see ``Settings.kept_labels``."""
        self._replace(kept_labels=kept)

    def _replace(self, **changes: Any) -> None:  # noqa: ANN401 — fields of Settings
        with self._lock:
            self.value = dataclasses.replace(self.value, **changes)


class _Pending(Future[Answer]):
    """The answer to a review whose namespace is being looked up."""

    def __init__(self, review: Review, look_up: Future[None]) -> None:
        super().__init__()
        self.review = review
        self.look_up = look_up


@dataclasses.dataclass(slots=True, eq=False)
class ReviewEndpoint:
    """Answers the reviews of one webhook.

    It answers at once, except for a pod in a namespace that a watched cluster made a moment ago: the
    answer comes when the namespace has been looked up.

    Attributes:
        note: gets each decision that changed labels of a controller's pod.
        follow: says whether CPU sets follow a resize.
    """

    _webhook: Webhook
    _source: Source
    _settings: CurrentSettings
    _metrics: ReviewMetrics
    _log: DecisionLog
    note: Callable[[Review, Decision], None] = lambda *_: None
    follow: Follow = keep

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer the review in ``body``, which has passed the checks of `webhook.server.envelope`."""
        del seconds
        started = time.perf_counter()
        review: Review | None = None
        try:
            review = parse_review(body)
            check_containers(review)
            view = self._source.view
            if view.exhaustive:
                if view.missing:
                    return self._unavailable(review.uid, f"not synced yet: {', '.join(view.missing)}")
                if (
                    review.namespace not in view.namespaces
                    and review.namespace
                    and review.resource[2] == "pods"
                    and isinstance(self._source, NamespaceLookup)
                ):
                    check_namespace(review)
                    return self._after(self._source.look_up(review.namespace), review)
            return self._decided(review, view, started)
        except ReviewError as error:
            return self.refuse(error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(review)

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Leave a review to failurePolicy whose namespace was not found in time."""
        del seconds
        if not begun.cancel():
            return begun.result()  # it has come in the meantime
        self._metrics.looked_up(found=False)
        uid = ""
        if isinstance(begun, _Pending):
            uid = begun.review.uid
            begun.look_up.cancel()
        return self._unavailable(uid, "the API server did not answer the look-up of its namespace in time")

    def refuse(self, error: ReviewError) -> Answer:
        """Count and log what is no review, and say so to the client; what costs too much is denied."""
        self._metrics.refused(self._webhook.value, error.status)
        self._log.refused(self._webhook.value, error)
        if isinstance(error, TooCostlyError) and error.uid:
            return respond(deny(error.uid, error.message, self._settings.value).response())
        return errored(error.status, error.message)

    def _after(self, look_up: Future[None], review: Review) -> Future[Answer]:
        answer = _Pending(review, look_up)

        def found(looked_up: Future[None]) -> None:
            if answer.set_running_or_notify_cancel():  # else its time is over
                answer.set_result(self._known(review, looked_up))

        look_up.add_done_callback(found)
        return answer

    def _known(self, review: Review, looked_up: Future[None]) -> Answer:
        """Answer a review whose namespace has been looked up."""
        if looked_up.cancelled():
            return unavailable(review.uid, "the webhook is ending")
        started = time.perf_counter()
        try:
            why = _failure(looked_up)
            self._metrics.looked_up(found=why is None)
            view = self._source.view
            if why is None and review.namespace not in view.namespaces:
                why = f"namespace {review.namespace!r} is gone again"
            if why is not None:
                return self._unavailable(review.uid, why)
            return self._decided(review, view, started)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(review)

    def _decided(self, review: Review, view: View, started: float) -> Answer:
        decision = decide(self._webhook, review, view, self._settings.value, follow=self.follow)
        answer = respond(decision.response())
        seconds = time.perf_counter() - started
        self._metrics.decided(self._webhook.value, review.operation, decision, seconds)
        self._log.decided(self._webhook.value, review, decision, seconds)
        if decision.relabelled is not None:
            self.note(review, decision)
        return answer

    def _unavailable(self, uid: str, reason: str) -> Answer:
        """Leave a review to failurePolicy: what would be needed to decide is not known."""
        self._metrics.unanswered(self._webhook.value)
        _LOG.error("review %s at /%s is not answered: %s", uid, self._webhook.value, reason)
        return unavailable(uid, reason)

    def _fault(self, review: Review | None) -> Answer:
        uid = review.uid if review is not None else "unknown"
        self._metrics.fault(self._webhook.value)
        _LOG.exception("fault while answering review %s at /%s", uid, self._webhook.value)
        return failed(uid)


def _failure(looked_up: Future[None]) -> str | None:
    """Return why a look-up that has ended failed, or None."""
    try:
        looked_up.result(0)
    except Exception as error:  # noqa: BLE001 — whatever it is, the namespace is not known
        return str(error) or type(error).__name__
    return None
