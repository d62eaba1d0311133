"""The webhook's CA is replaced while pods are created: the scheduler is restarted once, in time."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.release.certificates import ManagedCertificates
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.deployment import Deployment
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, LEADS, NAME, scheduling, upgrade
from tests.e2e.scheduling.stream import Stream

SETTLE, OVERLAP = 2, 5
"""Seconds; a production's are minutes and an hour."""
UNTRUSTED = ("x509:", "certificate signed by unknown authority", "Skipping extender as it returned error")
"""What a scheduler writes where it does not trust the webhook, or got no answer."""
LEFT = "Requested to terminate, exiting"
HEARD = "Add event for unscheduled pod"
BOUND = "Successfully bound pod to node"
_HEAD = re.compile(r"[IWE](\d{4} [\d:.]+) ")
_POD = re.compile(r' pod="[^"/]*/([^"]+)"')


def transitions(release: Installation) -> int:
    """How often the leader of the schedulers has changed."""
    spec = release.kubectl.get("lease", KOORD_SCHEDULER, namespace=NAMESPACE)["spec"]
    return int(spec["leaseTransitions"])


def trusted(release: Installation) -> str:
    """The newest CA that pods of the Deployment trust, by its template."""
    found = release.kubectl.get("deployment", NAME, namespace=NAMESPACE)
    annotations: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
    return annotations.get("colocation-webhook.io/trusted-ca", "")


def moments(log: str, text: str) -> dict[str, float]:
    """When a line with a text was first written, in seconds since the epoch, by the pod it names, or ""."""
    found: dict[str, float] = {}
    for line in log.splitlines():
        if text in line and (head := _HEAD.match(line)):
            year = dt.datetime.now(dt.UTC).year
            written = dt.datetime.strptime(f"{year}{head[1]}", "%Y%m%d %H:%M:%S.%f").astimezone()
            named = _POD.search(line)
            found.setdefault(named[1] if named else "", written.timestamp())
    return found


def no_longer_than_without_leader(names: list[str], old: str, new: str) -> dict[str, object]:
    """Assert that no pod waited longer than nobody led, plus what pods wait that find a leader.

    Pods that have gathered meanwhile go one after another. Times are those of both leaders' logs, from when a
    pod is heard of to its binding; objects have whole seconds.
    """
    left, led = moments(old, LEFT)[""], moments(new, LEADS)[""]
    heard, bound = ({**moments(new, text), **moments(old, text)} for text in (HEARD, BOUND))
    waits = {name: bound[name] - heard[name] for name in names}
    gathered = {name for name in names if heard[name] < led and bound[name] > left}
    usual = max(waits[name] for name in waits.keys() - gathered)
    longest = max(waits.values())
    assert longest <= led - left + (len(gathered) + 1) * usual
    return {
        "seconds without a leader": f"{led - left:.2f}", "pods that waited for one": len(gathered),
        "longest wait, s": f"{longest:.2f}", "longest wait of others, s": f"{usual:.2f}",
    }  # fmt: skip


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
        logs = [each.log() for each in ran]
    told = trusted(release)
    for seconds in ("2s", "1s"):
        upgrade(release, tmp_path, {"scheduler": {"httpTimeout": seconds}})
        assert trusted(release) == told != "", "an upgrade keeps what the rotation wrote"
    assert changes == 1
    assert len(ran) == 2, "one rollout"
    figures = {"pods": len(sent.names), **no_longer_than_without_leader(sent.names, *logs)}
    show("the scheduler's CA replaced", figures)
    said = [line for log in logs for line in log.splitlines()]
    assert [line for line in said if any(each in line for each in UNTRUSTED)] == []
