"""Pods that come one after another, beside what a test does."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Self

from tests.e2e.cluster.processes import eventually


class Stream(threading.Thread):
    """Sends pods from entering to leaving.

    Attributes:
        names: those that were sent.
    """

    def __init__(self, send: Callable[[str, int], None], pause: float = 0.4) -> None:
        """``send`` makes a pod of a name, given its number, after a ``pause`` in seconds."""
        super().__init__(daemon=True)
        self._send = send
        self._pause = pause
        self._over = threading.Event()
        self.names: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more."""
        self._over.set()
        self.join()

    def more(self, number: int = 6) -> None:
        """Wait until so many more have been sent."""
        sent = len(self.names)
        eventually(lambda: len(self.names) >= sent + number, what="pods")

    def run(self) -> None:
        """Send one after another."""
        for number in itertools.count():
            if self._over.wait(self._pause):
                return
            name = f"p-{number}"
            self._send(name, number)
            self.names.append(name)
