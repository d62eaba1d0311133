"""An agent at a fake API server, with its watches running; or on cgroups of this machine."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.cluster import Cluster
from tests.agent.worlds.machine import Machine, folders, lacking
from tests.kube.fakeapi import FakeApi
from tests.lacking import stop_if_lacking
from tests.waiting import until
from webhook.agent.measuring.keptfile import KeptFile
from webhook.agent.writing.ledger import ActionLedger
from webhook.kube.cache.reflector import watching


@pytest.fixture(autouse=True)
def _let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test leaves open: the process that runs it runs many others."""
    made: list[Any] = []
    for kind in (ActionLedger, KeptFile):

        def recorded(self: Any, *args: Any, begin: Any = kind.__init__, **more: Any) -> None:
            begin(self, *args, **more)
            made.append(self)

        monkeypatch.setattr(kind, "__init__", recorded)
    yield
    for each in made:
        each.close()


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


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Groups of this machine for an agent that writes, of which none is left."""
    stop_if_lacking(lacking())
    made = Machine()
    yield made
    made.close()
    assert not [each for each in folders() if made.name in each]
