"""How long to wait after a failure."""

import random
from typing import Final

FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 5.0
"""Short, because a few replicas with five watches each are no burden to an API server that comes back,
and pods that are made meanwhile are judged by an old view.
"""

_LONGEST_ASKED: Final = 30.0


class Backoff:
    """Waits that double, up to a longest one, each by a random part of a half shorter."""

    def __init__(self) -> None:
        """Begin with the shortest wait."""
        self._next = FIRST_WAIT

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next = FIRST_WAIT

    def wait(self, least: float = 0.0) -> float:
        """Return the seconds to wait now, at least ``least``."""
        seconds = self._next * (1.0 - random.random() / 2)  # noqa: S311 — not a secret
        self._next = min(self._next * 2, LONGEST_WAIT)
        return max(seconds, min(least, _LONGEST_ASKED))
