"""An agent at a fake API server, with its watches running."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.cluster import Cluster
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.kube.reflector import watching


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The cluster; its node has no pod and no NodeMetric."""
    with FakeApi() as api:
        made = Cluster(api, tmp_path)
        stop = threading.Event()
        with watching(made.watched.reflectors, stop):
            until(lambda: made.watched.synced)
            yield made
            stop.set()
        made.service.sampler.forget()
