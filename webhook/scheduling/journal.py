"""Which nodes have changed, in order: whoever remembers something of nodes reads on where it left off."""

from collections import deque
from typing import Final

_MOST: Final = 20_000


class Journal:
    """Noted by any thread, read by one.

    Attributes:
        note: takes the name of a node about which something has changed.
        length: how many names were ever read out of it.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._news: deque[str] = deque()
        self._names: list[str] = []
        self._first = 0
        self.note = self._news.append

    @property
    def length(self) -> int:
        """How many names have been written so far."""
        while self._news:
            self._names.append(self._news.popleft())
        if len(self._names) > _MOST:
            gone = len(self._names) - _MOST // 2
            del self._names[:gone]
            self._first += gone
        return self._first + len(self._names)

    def since(self, length: int) -> set[str] | None:
        """Return the names that were written after it had this length; None: that is too long ago."""
        return set(self._names[length - self._first :]) if length >= self._first else None
