"""The log of decisions: one line for each decision and each refused request."""

from webhook.admission.decision import Decision
from webhook.admission.review import Review, ReviewError
from webhook.kube.timestamps import utc_now
from webhook.process.log import LEVELS, Format, renderer, write


class DecisionLog:
    """Writes what the level asks for; a line break in a name stays inside its line."""

    __slots__ = ("_decisions", "_refusals", "_render")

    def __init__(self, level: str, form: Format) -> None:
        self._decisions = LEVELS.index(level) <= LEVELS.index("info")
        self._refusals = LEVELS.index(level) <= LEVELS.index("warning")
        self._render = renderer(form)

    def decided(self, webhook: str, review: Review, decision: Decision, seconds: float) -> None:
        """Write the decision's line; ``seconds`` is what it took."""
        if not self._decisions:
            return
        fields = {
            "time": utc_now(),
            "level": "info",
            "event": "review",
            "webhook": webhook,
            "operation": review.operation,
            "namespace": review.namespace,
            "name": review.name,
            **decision.log_fields(),
            "microseconds": int(seconds * 1e6),
        }
        write(self._render(fields))

    def refused(self, webhook: str, error: ReviewError) -> None:
        """Write the line of a request that is no review."""
        if self._refusals:
            fields = {
                "time": utc_now(),
                "level": "warning",
                "event": "refused",
                "webhook": webhook,
                "uid": error.uid,
                "code": error.status,
                "message": error.message,
            }
            write(self._render(fields))
