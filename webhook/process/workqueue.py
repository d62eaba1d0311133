"""Threads shared fairly: what waits for one key is done one after another, and the keys take turns.

A key, such as the name of a node, keeps one thread busy at most, however much waits for it.
"""

from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

Result = TypeVar("Result")


class Continued(NamedTuple, Generic[Result]):
    """What a piece of work returns that goes on elsewhere: it waits for its turn at another key."""

    key: Hashable
    work: "Work[Result]"


Work = Callable[[], Result | Continued[Result]]


@dataclass(eq=False)
class WorkQueue(Generic[Result]):
    """Does work in threads, which begin with the first piece of it.

    Made of the number of threads, and of what their names begin with.
    """

    _threads: int
    _name: str
    _lock: Lock = field(default_factory=Lock, init=False)
    _pool: ThreadPoolExecutor | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _waiting: dict[Hashable, deque[tuple[Future[Result], Work[Result]]]] = field(
        default_factory=dict, init=False
    )

    def submit(self, key: Hashable, work: Work[Result]) -> Future[Result]:
        """Have work done when it is its turn among what waits for the key."""
        future: Future[Result] = Future()
        self._put(key, future, work)
        return future

    def close(self) -> None:
        """Cancel what waits; what is being done goes on to its end."""
        with self._lock:
            self._closed = True
            left = [future for queue in self._waiting.values() for future, _ in queue]
            self._waiting.clear()
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        for future in left:
            _abandon(future)

    def _put(self, key: Hashable, future: Future[Result], work: Work[Result]) -> None:
        with self._lock:
            if self._closed:
                _abandon(future)
                return
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, self._name)
            queue = self._waiting.get(key)
            if queue is None:
                queue = self._waiting[key] = deque()
                self._pool.submit(self._turn, key)
            queue.append((future, work))

    def _turn(self, key: Hashable) -> None:
        """Do the first piece that waits for a key; the next one waits behind the other keys."""
        with self._lock:
            queue = self._waiting.get(key)
            if not queue:
                return
            future, work = queue.popleft()
        if future.running() or future.set_running_or_notify_cancel():
            try:
                done = work()
            except BaseException as error:  # noqa: BLE001 — who waits gets it
                future.set_exception(error)
            else:
                if isinstance(done, Continued):
                    self._put(done.key, future, done.work)
                else:
                    future.set_result(done)
        with self._lock:
            if queue and self._pool is not None and not self._closed:
                self._pool.submit(self._turn, key)
            elif not queue:
                self._waiting.pop(key, None)


def _abandon(future: Future[Result]) -> None:
    if not future.cancel():  # its work has begun, and was to go on elsewhere
        future.set_exception(CancelledError())
