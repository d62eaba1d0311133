"""A fake API server, and a source that watches it."""

import contextlib
import threading
import time

import pytest

from tests.cluster.fakeapi import FakeApi
from webhook.cluster import reflector
from webhook.cluster.watch import ClusterSource


@pytest.fixture
def fake():
    """A server with nothing in it."""
    with FakeApi() as server:
        yield server


@pytest.fixture
def hurry(monkeypatch):
    """Waits a tenth as long."""
    monkeypatch.setattr(reflector, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(reflector, "LONGEST_WAIT", 0.2)


@contextlib.contextmanager
def watched(server, *, wait=True, **options):
    """A source that watches ``server`` in a thread of its own."""
    source = ClusterSource(server.api(), **options)
    stop = threading.Event()
    thread = threading.Thread(target=source.watch, args=(stop, 0.05))
    thread.start()
    try:
        if wait:
            until(lambda: source.status.ready)
        yield source
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(condition, seconds=20.0):
    """Poll until ``condition()`` is true; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(0.005)
    return value
