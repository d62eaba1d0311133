"""A cluster whose watches run."""

import threading

import pytest

from tests.capacity.cluster import config, node, ours
from tests.controller.cluster import Cluster
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.kube.cache.reflector import watching


@pytest.fixture
def cluster():
    """The cluster, with the watches running."""
    with FakeApi() as api:
        made = Cluster(api)
        made.put(node(), config(**ours(holdSeconds=0, stepPercent=100)))
        stop = threading.Event()
        with watching(made.state.reflectors, stop):
            until(lambda: made.state.synced)
            yield made
            stop.set()
