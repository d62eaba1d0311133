"""From the bytes of a review to the bytes of its answer: the one function that every way in calls.

`Answerer.answer` never raises. What the client did wrong is a 4xx, what we did wrong a 500 that is
counted and logged with the review's uid; both are ``Status`` objects and neither shows a traceback.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from webhook.admission import Review, ReviewError, Settings, View, Webhook, decide, parse_review, status_body

if TYPE_CHECKING:
    from webhook.server.log import DecisionLog
    from webhook.server.metrics import Metrics

_LOG = logging.getLogger(__name__)


class HasView(Protocol):
    """Whatever holds the current picture of the cluster and swaps it as a whole."""

    @property
    def view(self) -> View:
        """The picture to decide by; read once for a review."""


class Answer(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


class Answerer:
    """Answers reviews with one view source, one set of settings, and the books that are kept about it."""

    __slots__ = ("_log", "_metrics", "_settings", "_source")

    def __init__(self, source: HasView, settings: Settings, metrics: Metrics, log: DecisionLog) -> None:
        self._source = source
        self._settings = settings
        self._metrics = metrics
        self._log = log

    def answer(self, webhook: Webhook, body: bytes) -> Answer:
        """Answer the review in ``body``; it has passed the checks of `webhook.server.envelope`."""
        started = time.perf_counter()
        review: Review | None = None
        try:
            review = parse_review(body)
            decision = decide(webhook, review, self._source.view, self._settings)
            answer = Answer(200, decision.response_body())
            seconds = time.perf_counter() - started
            self._metrics.decided(webhook.value, review.operation, decision, seconds)
            self._log.decided(webhook.value, review, decision, seconds)
        except ReviewError as error:
            return self.refuse(webhook, error)
        except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
            return self._fault(webhook, review)
        return answer

    def refuse(self, webhook: Webhook, error: ReviewError) -> Answer:
        """Book a request that is no review, and say so to the client."""
        self._metrics.refused(webhook.value, error.status)
        self._log.refused(webhook.value, error)
        return Answer(error.status, error.status_body())

    def _fault(self, webhook: Webhook, review: Review | None) -> Answer:
        uid = review.uid if review is not None else "unknown"
        self._metrics.fault(webhook.value)
        _LOG.exception("fault while answering review %s at /%s", uid, webhook.value)
        message = f"internal fault at review {uid}; the webhook's log has the details under that uid"
        return Answer(500, status_body(500, message))
