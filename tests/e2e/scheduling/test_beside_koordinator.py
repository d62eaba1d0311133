"""The chart's scheduler is not installed beside Koordinator's of the same name while that runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster.kubectl import Object
from tests.e2e.release.installation import CHART, RELEASE, Installation
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER

THEIRS = "koordinator-system"


def lease(name: str, age: dt.timedelta) -> Object:
    """A Lease of Koordinator's, renewed so long ago."""
    renewed = dt.datetime.now(dt.UTC) - age
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": THEIRS},
        "spec": {"holderIdentity": "theirs", "renewTime": f"{renewed:%Y-%m-%dT%H:%M:%S.%f}Z"},
    }


@pytest.fixture
def upgrade(release: Installation) -> Iterator[Callable[..., str]]:
    """An upgrade with the scheduler switched on, tried on the API server: nothing is changed."""
    release.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": THEIRS}})

    def attempt(*settings: str) -> str:
        values = [f"--set={each}" for each in ("scheduler.enabled=true", *settings)]
        return release.helm(
            "upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", "--dry-run=server", *values
        )

    yield attempt
    release.kubectl.delete("namespace", THEIRS)


def test_two_schedulers_of_one_name(release: Installation, upgrade: Callable[..., str]) -> None:
    """A Lease that is renewed refuses that name, and no other; one that nobody renews refuses nothing."""
    assert "kind: KubeSchedulerConfiguration" in upgrade()
    # By a clock that is ahead: however long an upgrade takes, the Lease is fresh.
    release.kubectl.apply(lease(KOORD_SCHEDULER, age=-dt.timedelta(minutes=10)))
    with pytest.raises(AssertionError, match=r"scheduler\.name: a scheduler of that name runs: its Lease"):
        upgrade()
    assert 'schedulerName: "other"' in upgrade("scheduler.name=other")
    release.kubectl.apply(lease(KOORD_SCHEDULER, age=dt.timedelta(minutes=2)))
    assert 'schedulerName: "koord-scheduler"' in upgrade()
