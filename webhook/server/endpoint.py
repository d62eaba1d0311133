"""The interface of an endpoint: it answers the reviews that are posted to one path."""

from concurrent.futures import Future
from typing import Protocol

from webhook.admission.response import Answer
from webhook.admission.review import ReviewError


class Endpoint(Protocol):
    """Answers reviews; no method raises or blocks."""

    def begin(self, body: bytes, seconds: float) -> Answer | Future[Answer]:
        """Answer the review in ``body`` within ``seconds``, at once or later."""

    def late(self, begun: Future[Answer], seconds: float) -> Answer:
        """Answer a review that ``begin`` did not answer within ``seconds``."""

    def refuse(self, error: ReviewError) -> Answer:
        """Answer a request that is no review."""


def answer(endpoint: Endpoint, body: bytes, seconds: float) -> Answer:
    """Answer a review, waiting for it in the calling thread for at most ``seconds``."""
    begun = endpoint.begin(body, seconds)
    if isinstance(begun, Answer):
        return begun
    try:
        return begun.result(max(0.0, seconds))
    except TimeoutError:
        return endpoint.late(begun, seconds)
