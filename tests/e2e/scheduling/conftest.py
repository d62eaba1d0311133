"""The chart's scheduler, installed for the tests of a module; a pool of nodes for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.binding.service import IN
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import CAPACITY, Helm
from tests.e2e.scheduling.pool import METRICS, Pool
from tests.e2e.scheduling.scheduler import switched_on


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For files of the scheduler."""
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="module")
def installed_scheduler(release: Installation, cache: Path, folder: Path) -> Iterator[None]:
    """The chart's scheduler and the definition of NodeMetric; no scheduler runs."""
    kubectl = release.kubectl
    (definition,) = [
        each for each in Helm(cache, folder).render(CAPACITY, "1.37.0") if each["metadata"]["name"] == METRICS
    ]
    kubectl.apply(definition)
    eventually(lambda: kubectl.run("get", "nodemetrics"), what="NodeMetrics")
    with switched_on(release, folder):
        yield
    kubectl.delete("crd", METRICS)


@pytest.fixture
def pool(release: Installation, new_namespace: Callable[..., str]) -> Iterator[Pool]:
    """Nodes and a namespace of its own for each test."""
    here = Pool(release.kubectl, new_namespace(IN), release.port)
    yield here
    here.end()
