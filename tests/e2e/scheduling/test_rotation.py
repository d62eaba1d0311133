"""The webhook's CA is replaced while pods are created: the scheduler is restarted once, in time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.release.certificates import ManagedCertificates
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.deployment import Deployment
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, NAME, scheduling, upgrade
from tests.e2e.scheduling.stream import Stream

SETTLE, OVERLAP = 2, 5
"""Seconds; a production's are minutes and an hour."""
UNTRUSTED = ("x509:", "certificate signed by unknown authority", "Skipping extender as it returned error")
"""What a scheduler writes where it does not trust the webhook, or got no answer."""


def transitions(release: Installation) -> int:
    """How often the leader of the schedulers has changed."""
    spec = release.kubectl.get("lease", KOORD_SCHEDULER, namespace=NAMESPACE)["spec"]
    return int(spec["leaseTransitions"])


def trusted(release: Installation) -> str:
    """The newest CA that pods of the Deployment trust, by its template."""
    found = release.kubectl.get("deployment", NAME, namespace=NAMESPACE)
    annotations: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
    return annotations.get("colocation-webhook.io/trusted-ca", "")


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
        # Some need a CPU set.
        send = lambda name, number: pool.send(name, *(("LS", "100m") if number % 4 else ("LSR", "2")))  # noqa: E731
        with Stream(send) as sent:
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
    told = trusted(release)
    for seconds in ("2s", "1s"):
        upgrade(release, tmp_path, {"scheduler": {"httpTimeout": seconds}})
        assert trusted(release) == told != "", "an upgrade keeps what the rotation wrote"
    pods = [pool.stored(name) for name in sent.names]
    figures = {"pods": len(pods), "leader changes": changes, "longest wait, s": max(map(waited, pods))}
    show("the scheduler's CA replaced", figures)
    assert changes == 1
    assert len(ran) == 2, "one rollout"
    assert [line for line in logs if any(each in line for each in UNTRUSTED)] == []
