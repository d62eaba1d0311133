"""Serving through change: pods created all the time, none refused, none unmutated."""

from __future__ import annotations

import time

from tests.e2e.controlplane import ControlPlane
from tests.e2e.load import Creators
from tests.e2e.service import Service


def test_rolling_restart(service: Service, control_plane: ControlPlane, namespace: str) -> None:
    """Every replica is replaced by a new one, as the chart's Deployment says, and no pod notices."""
    with Creators(control_plane, namespace) as creators:
        time.sleep(2)
        drains = service.roll()
        time.sleep(2)
    books = creators.books()
    creators.clear()
    print(drains, books, service.forwarder.accepted)
    assert creators.failed() == []
    assert books.unmutated == 0
    assert books.stored == books.sent
