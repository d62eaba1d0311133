"""Waiting in tests."""

import threading
import time


def until(condition, seconds=20.0):
    """Poll until ``condition()`` is true; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(0.005)
    return value


class Stop(threading.Event):
    """Keeps the waits instead of waiting; stops after some."""

    def __init__(self, after):
        super().__init__()
        self.waits = []
        self._after = after

    def wait(self, timeout=None):
        """Return at once."""
        self.waits.append(timeout)
        if len(self.waits) >= self._after:
            self.set()
        return self.is_set()
