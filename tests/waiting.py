"""Waiting in tests."""

import time


def until(condition, seconds=20.0):
    """Poll until ``condition()`` is true; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(0.005)
    return value
