"""Replicas are replaced while pods are created all the time: none is refused, none is unmutated."""

from __future__ import annotations

import time

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.figures import record
from tests.e2e.release.installation import CHART, RELEASE, Installation
from tests.e2e.release.service import Service
from tests.e2e.reliability.load import Creators

_QUIET = 2.0
"""Seconds of load before and after, so that both states are seen."""


def test_rolling_restart(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    """Every replica is replaced by a new one, as the chart's Deployment says, and no pod notices."""
    with Creators(control_plane, namespace) as creators:
        time.sleep(_QUIET)
        drains = service.roll()
        time.sleep(_QUIET)
    books = creators.books()
    creators.clear()
    record("rolling_restart", replicas_replaced=len(drains), drain_seconds=drains, **books._asdict())
    assert creators.failed() == []
    assert books.unmutated == 0
    assert books.stored == books.created == books.sent


def test_upgrade_and_rollback(
    service: Service, release: Installation, control_plane: ControlPlane, namespace: str
) -> None:
    """Values change, and replicas with them, forth and back; configurations change while old ones serve."""
    with Creators(control_plane, namespace) as creators:
        time.sleep(_QUIET)
        values = ("--set=webhook.mutating.timeoutSeconds=5", "--set=rules.whole-cpus=warn")
        release.helm("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", *values)
        drains = service.roll("--rule=whole-cpus=warn")
        release.helm("rollback", RELEASE)
        drains += service.roll()
        time.sleep(_QUIET)
    books = creators.books()
    creators.clear()
    record("upgrade_and_rollback", replicas_replaced=len(drains), drain_seconds=drains, **books._asdict())
    assert creators.failed() == []
    assert books.unmutated == 0
    assert books.stored == books.created == books.sent
