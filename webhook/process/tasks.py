"""What a process does in the background: each task in a thread of its own."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

GOODBYE_SECONDS = 2.0


class Watcher(Protocol):
    """Works in a thread."""

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Work until ``stop`` is set, looking at it every ``interval`` seconds."""


class Task(NamedTuple):
    """One thing to do in the background.

    Attributes:
        name: of the thread.
        watcher: does it.
        waited_for: whether the process waits for its end, because it gives something back: a lease.
    """

    name: str
    watcher: Watcher
    waited_for: bool = False


class Tasks:
    """Starts tasks after the fork and stops them before the process ends."""

    def __init__(self, tasks: Sequence[Task], interval: float) -> None:
        self._tasks = tasks
        self._interval = interval
        self._stop = threading.Event()
        self._waited_for: list[threading.Thread] = []

    def start(self) -> None:
        """Start all."""
        for name, watcher, waited_for in self._tasks:
            thread = threading.Thread(
                target=watcher.watch, args=(self._stop, self._interval), name=name, daemon=True
            )
            thread.start()
            if waited_for:
                self._waited_for.append(thread)

    def stop(self) -> None:
        """Stop all, and wait for those that give something back, at most two seconds."""
        self._stop.set()
        end = time.monotonic() + GOODBYE_SECONDS
        for thread in self._waited_for:
            thread.join(max(0.0, end - time.monotonic()))
