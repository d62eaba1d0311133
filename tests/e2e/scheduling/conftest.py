"""The chart's scheduler, installed for the tests of this folder; a pool of nodes for each test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.binding.service import IN
from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.release.installation import Installation
from tests.e2e.release.rendering import CAPACITY, Helm
from tests.e2e.scheduling.pool import METRICS, Pool
from tests.e2e.scheduling.scheduler import scheduling, switched_on

SEED = ROOT / "examples" / "scheduler" / "koord-scheduler-config.yaml"


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For files of the scheduler."""
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="module")
def running(
    installed_scheduler: None,
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Process]:
    """The chart's scheduler, with its extender and all checks."""
    del installed_scheduler
    with scheduling(release, control_plane, cache, tmp_path_factory.mktemp("running")) as process:
        yield process


@pytest.fixture
def pool(release: Installation, new_namespace: Callable[..., str]) -> Iterator[Pool]:
    """Nodes and a namespace of its own for each test."""
    here = Pool(release.kubectl, new_namespace(IN), release.port)
    yield here
    here.end()


@pytest.fixture(scope="session")
def translated() -> Object:
    """What ``scheduler translate`` prints of the seed's ConfigMap."""
    return translation(SEED)


def translation(file: Path) -> Object:
    """What ``scheduler translate`` prints of a file."""
    program = Path(sys.executable).parent / "colocation-webhook"
    command = [program, "scheduler", "translate", file, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)  # noqa: S603 — ours
    found: Object = json.loads(done.stdout)
    return found
