"""The webhook's CA is replaced while pods are created: the scheduler is restarted once, in time."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.release.certificates import ManagedCertificates
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.deployment import Deployment
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, scheduling

SETTLE, OVERLAP = 2, 5
"""Seconds; a production's are minutes and an hour."""
UNTRUSTED = ("x509:", "certificate signed by unknown authority", "Skipping extender as it returned error")
"""What a scheduler writes where it does not trust the webhook, or got no answer."""


class Pods(threading.Thread):
    """Pods under koord-scheduler, one after another, until the end."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(daemon=True)
        self._pool = pool
        self._over = threading.Event()
        self.names: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more."""
        self._over.set()
        self.join()

    def more(self) -> None:
        """Wait until some more have been sent."""
        sent = len(self.names)
        eventually(lambda: len(self.names) > sent + 5, what="pods")

    def run(self) -> None:
        """Send a pod twice a second or so; some need a CPU set."""
        for number in itertools.count():
            if self._over.wait(0.4):
                return
            name = f"p-{number}"
            self._pool.send(name, *(("LS", "100m") if number % 4 else ("LSR", "2")))
            self.names.append(name)


def transitions(release: Installation) -> int:
    """How often the leader of the schedulers has changed."""
    spec = release.kubectl.get("lease", KOORD_SCHEDULER, namespace=NAMESPACE)["spec"]
    return int(spec["leaseTransitions"])


def waited(pod: Object) -> float:
    """For how many seconds a pod waited for its node."""
    (bound,) = [each for each in pod["status"]["conditions"] if each["type"] == "PodScheduled"]
    times = pod["metadata"]["creationTimestamp"], bound["lastTransitionTime"]
    made, then = map(dt.datetime.fromisoformat, times)
    return (then - made).total_seconds()


@pytest.mark.usefixtures("installed_scheduler")
def test_a_ca_is_replaced_under_load(
    release: Installation, control_plane: ControlPlane, cache: Path, tmp_path: Path, pool: Pool
) -> None:
    """Every pod is bound after one change of the leader at most; no scheduler meets what it cannot verify."""
    kept = ManagedCertificates(release, tmp_path / "clock")
    flags = (f"--certificate-settle={SETTLE}", f"--certificate-overlap={OVERLAP}")
    with (
        scheduling(release, control_plane, cache, tmp_path / "first", *flags) as first,
        Deployment(release, cache, tmp_path) as deployment,
    ):
        first.stop()  # nobody but the Deployment's pods leads
        pool.add("node", 32)
        pool.send("before", "LS", "100m")
        pool.bound("before", seconds=60)
        eventually(kept.settled, what="no rotation under way")
        authority, led = kept.secret()["ca.crt"], transitions(release)
        with Pods(pool) as sent:
            sent.more()
            kept.certs("rotate", "--ca")
            eventually(lambda: kept.secret()["ca.crt"] != authority, seconds=90, what="the new CA in use")
            eventually(kept.settled, seconds=60, what="old CA dropped")
            sent.more()
        for name in sent.names:
            pool.bound(name, seconds=60)
        changes = transitions(release) - led
        ran = [*deployment.ended, *deployment.running.values()]
        logs = [line for each in ran for line in each.log().splitlines()]
    pods = [pool.stored(name) for name in sent.names]
    figures = {"pods": len(pods), "leader changes": changes, "longest wait, s": max(map(waited, pods))}
    show("the scheduler's CA replaced", figures)
    assert changes == 1
    assert len(ran) == 2, "one rollout"
    assert [line for line in logs if any(each in line for each in UNTRUSTED)] == []
