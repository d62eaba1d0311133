"""Which nodes have changed, in order: whoever remembers something of nodes reads on where it left off."""

from collections import deque
from typing import Final

_MOST: Final = 20_000


class Journal:
    """Noted by any thread, read by one.

    Attributes:
        note: takes the name of a node about which something has changed.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._news: deque[str] = deque()
        self._names: list[str] = []
        self._first = 0
        self.note = self._news.append

    def read(self) -> int:
        """Take over what was noted; return how many names there have been so far, for ``since``."""
        while self._news:
            self._names.append(self._news.popleft())
        if len(self._names) > _MOST:
            gone = len(self._names) - _MOST // 2
            del self._names[:gone]
            self._first += gone
        return self._first + len(self._names)

    def since(self, read: int) -> set[str] | None:
        """Return the names that came after so many; None: that is too long ago."""
        return set(self._names[read - self._first :]) if read >= self._first else None
