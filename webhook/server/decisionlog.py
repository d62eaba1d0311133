"""The log of decisions: one line for each decision and each refused request.

A pod of a controller has no name yet when it is reviewed: the line has ``generateName`` and the
owner, by which its workload can be found.
"""

from typing import Final

from webhook.admission.decision import Decision
from webhook.admission.review import Review, ReviewError
from webhook.kube.timestamps import utc_now
from webhook.process.log import LEVELS, Format, renderer, write

_MAX_NAME: Final = 253  # of an object in Kubernetes; a user's review may hold anything


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
            **_origin(review.object.get("metadata")),
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


def _origin(metadata: object) -> dict[str, str]:
    """Return ``generateName`` and ``owner`` (``ReplicaSet/web-6f``) of an object, as far as it has them."""
    found: dict[str, str] = {}
    if not isinstance(metadata, dict):
        return found
    prefix = metadata.get("generateName")
    if prefix and isinstance(prefix, str):
        found["generateName"] = prefix[:_MAX_NAME]
    owners = metadata.get("ownerReferences")
    if owners and isinstance(owners, list):
        maps = [each for each in owners if isinstance(each, dict)]
        owner = next((each for each in maps if each.get("controller")), maps[0] if maps else None)
        if owner is not None:
            kind, name = owner.get("kind"), owner.get("name")
            if isinstance(kind, str) and isinstance(name, str):
                found["owner"] = f"{kind[:_MAX_NAME]}/{name[:_MAX_NAME]}"
    return found
