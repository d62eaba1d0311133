"""The memory that bodies of requests may take in one process, whoever sends them.

Bodies up to `SMALL_BODY` have a share of their own, counted by what has arrived: when it is full, the oldest
that is still on its way makes room. A larger one reserves its whole length before it is read, in the order
of arrival, so that bodies which wait for each other do not fill the memory with halves. Nothing here knows
of HTTP, sockets or time.
"""

from collections.abc import Callable
from typing import Final

MAX_BODY: Final = 20 * 2**20
"""Bytes: what etcd takes of an object (1.5 MiB), times the six bytes that JSON may write for one, times the
two copies of an UPDATE, which makes 18 MiB; and room for what surrounds them.
"""

SMALL_BODY: Final = 256 * 2**10
DEFAULT_BYTES: Final = 64 * 2**20
LEAST_BYTES: Final = 32 * 2**20
"""The least that can be given: three quarters of it hold the largest body."""

MOST_WAITING: Final = 16
"""Large bodies that wait for room. Of each, some 512 KiB have been read before that was known."""

LEAST_RATE: Final = 2**20
"""Bytes a second that a body has to keep up; an API server sends a hundred times as many."""

GRACE_SECONDS: Final = 5.0
"""What a body may lag behind `LEAST_RATE`."""


def expected(seconds: float) -> float:
    """Return the bytes that a body must have after so many seconds, if it is that long."""
    return LEAST_RATE * (seconds - GRACE_SECONDS)


class Share:
    """What one body holds.

    Attributes:
        number: bytes that are counted.
    """

    __slots__ = ("arriving", "number", "on_lost", "on_room")

    def __init__(self, on_room: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Take what is called when a reserved length has room, and when a small body has to make room."""
        self.on_room = on_room
        self.on_lost = on_lost
        self.number = 0
        self.arriving = True


class Bodies:
    """Counts bodies; each call is made in one thread, the event loop's.

    Attributes:
        small, large: bytes in use.
        waiting: shares and the bytes they wait for, the oldest first.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        """Take the bytes for all bodies; raises ValueError below `LEAST_BYTES`."""
        if limit < LEAST_BYTES:
            raise ValueError(f"{limit} bytes are too few for one body: give {LEAST_BYTES} or more")
        self._most_small = limit // 4
        self._most_large = limit - self._most_small
        self._small: dict[Share, None] = {}  # the oldest first
        self._reserved: set[Share] = set()
        self.small = 0
        self.large = 0
        self.waiting: dict[Share, int] = {}

    def hold(self, share: Share, number: int, *, arriving: bool = True) -> bool:
        """Count ``number`` bytes of a small body; False: there is no room, and ``share`` is dropped.

        Args:
            share: of the body.
            number: bytes, of which earlier calls counted a part.
            arriving: whether the body is still on its way: then it may have to make room for others.
        """
        if share not in self._small:
            self.release(share)
        self.small += number - share.number
        share.number, share.arriving = number, arriving
        self._small[share] = None
        while self.small > self._most_small:
            oldest = next((each for each in self._small if each.arriving and each is not share), None)
            if oldest is None:
                self.release(share)
                return False
            self.release(oldest)
            oldest.on_lost()
        return True

    def reserve(self, share: Share, length: int) -> bool | None:
        """Reserve the length of a large body.

        Returns whether it can be read now; False: ``on_room`` will be called; None: too many wait already.
        """
        self.release(share)
        if not self.waiting and self._fits(length):
            self._take(share, length)
            return True
        if len(self.waiting) >= MOST_WAITING:
            return None
        self.waiting[share] = length
        return False

    def shrink(self, share: Share, number: int) -> None:
        """Give back what a large body did not need: it has come, and is ``number`` bytes long."""
        if share in self._reserved and number < share.number:
            self.large -= share.number - number
            share.number = number
            self._admit()

    def release(self, share: Share) -> None:
        """Count a share no more, whatever it held or waited for; one that holds nothing is ignored."""
        if share in self._small:
            del self._small[share]
            self.small -= share.number
        elif share in self._reserved:
            self._reserved.discard(share)
            self.large -= share.number
        else:
            self.waiting.pop(share, None)
        share.number = 0
        self._admit()

    def _fits(self, length: int) -> bool:
        return self.large + length <= self._most_large

    def _take(self, share: Share, length: int) -> None:
        self.large += length
        share.number = length
        self._reserved.add(share)

    def _admit(self) -> None:
        while self.waiting:
            share, length = next(iter(self.waiting.items()))
            if not self._fits(length):
                return
            del self.waiting[share]
            self._take(share, length)
            share.on_room()
