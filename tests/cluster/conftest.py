"""A source that watches a fake API server."""

import contextlib
import threading

from tests.kube.conftest import fake, hurry  # noqa: F401 — fixtures
from tests.kube.fakeapi import COLLECTIONS
from tests.waiting import until
from webhook.cluster.watch import ClusterSource


@contextlib.contextmanager
def watched(server, *, wait=True):
    """A source that watches ``server`` in its thread; ``wait``: until each of its watches has begun."""
    source = ClusterSource(server.api())
    stop = threading.Event()
    thread = threading.Thread(target=source.watch, args=(stop, 0.05))
    thread.start()
    try:
        if wait:
            until(lambda: source.status.ready and {path for path, *_ in server.watches} == set(COLLECTIONS))
        yield source
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
