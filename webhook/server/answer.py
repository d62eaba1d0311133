"""From the bytes of a review to the bytes of its answer: the one function that every way in calls.

`Answerer.answer` never raises. What the client did wrong is a 4xx, what we did wrong a 500, what cannot be
known at the moment a 503, so that failurePolicy decides; the latter two are counted and logged with the
review's uid. All are ``Status`` objects and none shows a traceback.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, NamedTuple, Protocol

from webhook.admission import Review, ReviewError, Settings, View, Webhook, decide, parse_review, status_body
from webhook.server.envelope import DEFAULT_BUDGET

if TYPE_CHECKING:
    from webhook.server.log import DecisionLog
    from webhook.server.metrics import Metrics

_LOG = logging.getLogger(__name__)


class HasView(Protocol):
    """Whatever holds the current picture of the cluster and swaps it as a whole."""

    @property
    def view(self) -> View:
        """The picture to decide by; read once for a review."""

    def look_up(self, namespace: str) -> Future[None]:
        """Ask for a namespace that an exhaustive view lacks; returns at once."""


class Answer(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


class Waiting(NamedTuple):
    """A review that cannot be decided on before its namespace is known.

    Attributes:
        found: done when the view has the namespace; its exception says why it will not.
    """

    webhook: Webhook
    review: Review
    found: Future[None]


class Answerer:
    """Answers reviews with one view source, one set of settings, and the books that are kept about it.

    `begin` answers at once, but for a pod in a namespace that a watched cluster made a moment ago:
    whoever called it waits, in the way that suits the caller, and calls `finish`. `answer` does both
    and blocks.

    Attributes:
        settings: swapped whole where they change: a signing key that is known late.
    """

    __slots__ = ("_log", "_metrics", "_source", "settings")

    def __init__(self, source: HasView, settings: Settings, metrics: Metrics, log: DecisionLog) -> None:
        self._source = source
        self.settings = settings
        self._metrics = metrics
        self._log = log

    def answer(self, webhook: Webhook, body: bytes, seconds: float = DEFAULT_BUDGET) -> Answer:
        """Answer the review in ``body``; waits for an unknown namespace, at most ``seconds``."""
        begun = self.begin(webhook, body)
        if isinstance(begun, Answer):
            return begun
        return self.finish(begun, failure(begun.found, seconds))

    def begin(self, webhook: Webhook, body: bytes) -> Answer | Waiting:
        """Answer the review in ``body``, unless its namespace is unknown.

        The body has passed the checks of `webhook.server.envelope`.
        """
        started = time.perf_counter()
        review: Review | None = None
        try:
            review = parse_review(body)
            view = self._source.view
            if view.exhaustive:
                if view.missing:
                    return self._unanswered(webhook, review, f"not synced yet: {', '.join(view.missing)}")
                if (
                    review.namespace not in view.namespaces
                    and review.namespace
                    and review.resource[2] == "pods"
                ):
                    return Waiting(webhook, review, self._source.look_up(review.namespace))
            return self._decided(webhook, review, view, started)
        except ReviewError as error:
            return self.refuse(webhook, error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(webhook, review)

    def finish(self, waiting: Waiting, failed: str | None) -> Answer:
        """Answer a review whose waiting has ended; ``failed`` says why the namespace is not known."""
        webhook, review, _ = waiting
        started = time.perf_counter()
        self._metrics.looked_up(found=failed is None)
        try:
            view = self._source.view
            if failed is None and review.namespace not in view.namespaces:
                failed = f"namespace {review.namespace!r} is gone again"
            if failed is not None:
                return self._unanswered(webhook, review, failed)
            return self._decided(webhook, review, view, started)
        except Exception:  # noqa: BLE001 — as in ``begin``
            return self._fault(webhook, review)

    def refuse(self, webhook: Webhook, error: ReviewError) -> Answer:
        """Book a request that is no review, and say so to the client."""
        self._metrics.refused(webhook.value, error.status)
        self._log.refused(webhook.value, error)
        return Answer(error.status, error.status_body())

    def _decided(self, webhook: Webhook, review: Review, view: View, started: float) -> Answer:
        decision = decide(webhook, review, view, self.settings)
        answer = Answer(200, decision.response_body())
        seconds = time.perf_counter() - started
        self._metrics.decided(webhook.value, review.operation, decision, seconds)
        self._log.decided(webhook.value, review, decision, seconds)
        return answer

    def _unanswered(self, webhook: Webhook, review: Review, reason: str) -> Answer:
        """Leave the review to failurePolicy: what would be needed to decide is not known."""
        self._metrics.unanswered(webhook.value)
        _LOG.error("review %s at /%s is not answered: %s", review.uid, webhook.value, reason)
        return Answer(503, status_body(503, f"review {review.uid} cannot be answered: {reason}"))

    def _fault(self, webhook: Webhook, review: Review | None) -> Answer:
        uid = review.uid if review is not None else "unknown"
        self._metrics.fault(webhook.value)
        _LOG.exception("fault while answering review %s at /%s", uid, webhook.value)
        message = f"internal fault at review {uid}; the webhook's log has the details under that uid"
        return Answer(500, status_body(500, message))


def failure(found: Future[None], seconds: float) -> str | None:
    """Wait for a look-up, at most ``seconds``; return why it failed, or None."""
    try:
        found.result(max(0.0, seconds))
    except TimeoutError:
        return "the API server did not answer the look-up of its namespace in time"
    except (Exception, CancelledError) as error:  # noqa: BLE001 — whatever it is, the namespace is not known
        return str(error) or type(error).__name__
    return None
