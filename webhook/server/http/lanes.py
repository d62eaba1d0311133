"""Reviews that may take long, decided on one after another in a thread of their own.

The event loop goes on meanwhile, and what such a review takes in memory it takes once, not once for each
connection.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

OWN_SHARE: Final = 0.5
"""Of a review's time, what deciding on it may take; then it is denied. The rest is for its turn to come."""

T = TypeVar("T")


class BusyError(Exception):
    """The turn did not come in time."""


class TooLongError(Exception):
    """The work takes longer than its share of the time."""


class Lane(Generic[T]):
    """One thread, and those that wait for it in the order of their coming."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """Return what ``work`` returns.

        Raises:
            BusyError: others took all of the ``seconds``, or no thread can be started.
            TooLongError: it took more than its share of them. It goes on, and its turn lasts as long.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            async with asyncio.timeout_at(end):
                await self._turn.acquire()
        except TimeoutError:
            raise BusyError from None
        try:
            done: Future[T] = self._thread.submit(work)
        except RuntimeError:  # no thread can be started now
            self._turn.release()
            raise BusyError from None
        done.add_done_callback(lambda _: self._end_turn(loop))
        own_end = loop.time() + seconds * OWN_SHARE
        try:
            async with asyncio.timeout_at(min(own_end, end)):
                return await asyncio.shield(asyncio.wrap_future(done))
        except TimeoutError:
            raise (TooLongError if own_end <= end else BusyError) from None

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._turn.release)
