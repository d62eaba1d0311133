"""The extender is killed, restarted and slow while pods come, in both settings of ``ignorable``.

The scheduler reaches it through a forwarder that holds its answers up; the API server's reviews do not pass
there. A binding that nobody reviews is refused (``cpusets.failurePolicy: Fail``), so that no pod is bound
without the CPU set that it must have, whatever a scheduler believes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cpusetchecker.facts import STATUS, cpulist
from tests.e2e.binding.service import FLAGS, ledger
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import POOL
from tests.e2e.cluster.forwarder import Forwarder
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.repeating import repeating
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import extender_flags, scheduling, upgrade
from tests.e2e.scheduling.stream import Stream

LATE = 2.0
"""Seconds; the chart's ``httpTimeout`` is one."""


class Load:
    """Pods that have to get a CPU set, and others in a namespace without sets, on the same nodes."""

    def __init__(self, pool: Pool, plain: Pool) -> None:
        self.pool = pool
        self.plain = plain

    def send(self, name: str, number: int) -> None:
        """One of either kind, in turn."""
        if number % 2:
            self.send_plain(name)
        else:
            self.pool.send(name, "LSR", "2")

    def send_plain(self, name: str) -> None:
        """One that gets no set."""
        self.plain.send(name, "LS", "100m", nodeSelector={POOL: self.pool.namespace})

    def no_set_is_missing(self) -> None:
        """Every bound pod that must have CPUs has them."""
        for each in self.pool.kubectl.items("pods", namespace=self.pool.namespace):
            if each["spec"].get("nodeName"):
                assert STATUS in each["metadata"].get("annotations", {}), each

    def without_extender(self, name: str, *, ignorable: bool) -> None:
        """A pod that comes meanwhile: it passes, or waits and says for what."""
        self.send_plain(name)
        if ignorable:
            assert self.plain.bound(name)
        else:
            assert "/scheduler/filter" in self.plain.why(name, "SchedulerError")
            assert "nodeName" not in self.plain.stored(name)["spec"]


@pytest.fixture
def load(release: Installation, pool: Pool, new_namespace: Callable[..., str]) -> Iterator[Load]:
    """The pool, and a namespace that has not opted in."""
    plain = Pool(release.kubectl, new_namespace(), release.port)
    yield Load(pool, plain)
    plain.end()


@pytest.mark.usefixtures("installed_scheduler")
@pytest.mark.parametrize("ignorable", [True, False])
def test_faults(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    load: Load,
    *,
    ignorable: bool,
) -> None:
    """Pods pass or wait; afterwards all are bound, and those that must have a set never were without."""
    pool, plain, late = load.pool, load.plain, 0.0
    values = {"cpusets": {"failurePolicy": "Fail"}, "scheduler": {"ignorable": ignorable}}
    upgrade(release, tmp_path, values)
    try:
        with (
            Forwarder(delay=lambda: late) as way,
            scheduling(release, control_plane, cache, tmp_path, port=way.port),
        ):
            way.backends = (release.port,)
            fits = pool.add("fits", 64)
            pool.add("bare", 128, topology=False)  # what a scheduler that is told nothing prefers
            with Stream(load.send) as sent, repeating(load.no_set_is_missing, 0.5):
                sent.more(3)
                release.kill()
                load.without_extender("killed", ignorable=ignorable)
                release.serve(*FLAGS, *extender_flags(release, tmp_path))
                plain.bound("killed")
                late = LATE
                load.without_extender("slow", ignorable=ignorable)
                late = 0.0
                plain.bound("slow")
                sent.more(3)
            names = list(enumerate(sent.names))
            for number, name in names:
                place = (plain if number % 2 else pool).bound(name, seconds=60.0)
                assert number % 2 or place == fits
            load.no_set_is_missing()
            held = ledger(release.kubectl, fits)
            pods = [pool.stored(name) for number, name in names if not number % 2]
    finally:
        upgrade(release, tmp_path, {"cpusets": {"failurePolicy": "Ignore"}, "scheduler": {"ignorable": True}})
    show(
        "pods while the extender was killed, restarted and slow",
        {"ignorable": ignorable, "pods": len(names), "with a set": len(pods)},
    )
    given = {each["metadata"]["uid"]: json.loads(each["metadata"]["annotations"][STATUS]) for each in pods}
    assert {entry["podUID"]: entry["cpuset"] for entry in held} == {
        uid: each["cpuset"] for uid, each in given.items()
    }
    sets = [cpulist(each["cpuset"]) for each in given.values()]
    assert len(frozenset().union(*sets)) == sum(map(len, sets)), "no CPU is given twice"
