"""Pods that no node would take: what wakes them, and what they cost the scheduler."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable

import pytest

from tests.e2e.binding.pods import pod as pod_of
from tests.e2e.binding.pods import template
from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode, make_bare, unmake
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import Process, eventually
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.release.resident import cpu_seconds
from tests.e2e.scheduling.pool import WHOLE, Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, calls

WOKEN = "colocation-webhook.io/woken-at"
SILENT_SECONDS = 3.0
"""Longer than a scheduler's backoff after the first try of a pod."""

NODES = tuple(FakeNode(name=f"bare-{number}", shape=(1, 1, 128, 2)) for number in range(20))
WAITING, BOUND = 200, 9
CHANGES_A_SECOND = 9
SETTLING, CHANGES = 180, 180
"""Changes, not seconds: until the pods' backoff is as long as it gets, and in the window that is measured."""

SHARE = 0.1
"""Of a core."""


def hot_node(pool: Pool, name: str) -> tuple[str, Callable[[], None]]:
    """A pod whose node is used too much, until its NodeMetric falls."""
    node = pool.add(name, 8, used=15)
    pool.send(name, "LS", "2")
    assert "cpu usage exceed threshold" in pool.why(name)
    return node, lambda: pool.measure(node, 0)


def unknown_cpus(pool: Pool, name: str) -> tuple[str, Callable[[], None]]:
    """A pod that is to have a CPU set, until the CPUs of its node are told."""
    node = pool.add(name, 8, topology=False)
    pool.send(name, "LSR", "4")
    assert "no NodeResourceTopology" in pool.why(name)
    return node, lambda: pool.describe(node)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("cause", [hot_node, unknown_cpus])
def test_a_pod_is_woken(
    release: Installation, pool: Pool, cause: Callable[[Pool, str], tuple[str, Callable[[], None]]]
) -> None:
    """The scheduler hears of neither change and would try the pod in five minutes: the webhook wakes it.

    Where it comes by itself, for some event of the cluster, nothing is shown: another pod waits elsewhere.
    """
    for name in ("first", "second", "third"):
        node, end = cause(pool, name)
        _silent(release)
        end()
        gone = time.monotonic()
        pool.bound(name, seconds=60.0)
        seconds = round(time.monotonic() - gone, 1)
        woken = WOKEN in pool.stored(name)["metadata"].get("annotations", {})
        show("a waiting pod woken", {"cause": cause.__name__, "seconds": seconds, "by us": woken})
        if woken:
            return
        pool.kubectl.delete("node", node)
    pytest.fail("the scheduler came by itself three times")


def _silent(release: Installation) -> None:
    """Wait until the scheduler asks no more."""

    def look() -> bool:
        before = calls(release)
        time.sleep(SILENT_SECONDS)
        return calls(release) == before

    eventually(look, seconds=60.0, what="a scheduler that does not ask")


class Crowd:
    """Pods that wait by our reason alone, and bound ones that change."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._calls = ApiClient(control_plane)
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._pool = namespace
        self._numbers = itertools.count()

    def make(self) -> None:
        """All of them; each waits for its own CPUs on nodes that have room by requests."""
        for number in range(BOUND):
            on = NODES[number % len(NODES)].name
            self._create(f"bound-{number}", template("LS", "100m", pool=self._pool, nodeName=on))
        wish = template("LSR", "2", WHOLE, pool=self._pool, schedulerName=KOORD_SCHEDULER)
        for number in range(WAITING):
            self._create(f"waits-{number}", wish)

    def refused(self) -> list[str]:
        """Why each pod that waits does so, as far as the scheduler has tried it."""
        listed = self._call("GET", f"{self._pods}?fieldSelector=spec.nodeName%3D")
        return [
            condition["message"]
            for each in listed["items"]
            for condition in each["status"].get("conditions", [])
            if condition.get("reason") == "Unschedulable"
        ]

    def change(self, number: int) -> float:
        """So many changes of bound pods, nine a second; return how long it took."""
        began = time.monotonic()
        for turn in range(1, number + 1):
            name, value = f"bound-{turn % BOUND}", str(next(self._numbers))
            body = {"metadata": {"annotations": {"example.com/changed": value}}}
            self._call("PATCH", f"{self._pods}/{name}", body, content_type=MERGE_PATCH)
            time.sleep(max(0.0, began + turn / CHANGES_A_SECOND - time.monotonic()))
        return time.monotonic() - began

    def close(self) -> None:
        """No more calls."""
        self._calls.close()

    def _create(self, name: str, made: Object) -> None:
        self._call("POST", self._pods, pod_of(name, made))

    def _call(self, method: str, path: str, body: Object | None = None, **how: str) -> Object:
        code, text = self._calls.call(method, path, body, **how)
        assert code in {200, 201}, text
        found: Object = json.loads(text)
        return found


def test_pods_that_wait_cost_little(
    running: Process, release: Installation, control_plane: ControlPlane, pool: Pool
) -> None:
    """200 pods that fail by us alone, beside nine changes of others a second: a tenth of a core at most."""
    make_bare(release.kubectl, pool.namespace, NODES)
    try:
        with contextlib.closing(Crowd(control_plane, pool.namespace)) as crowd:
            crowd.make()
            eventually(lambda: len(crowd.refused()) == WAITING, seconds=60.0, what="all tried")
            crowd.change(SETTLING)
            asked, used = calls(release), cpu_seconds(running)
            seconds = crowd.change(CHANGES)
            asked, used = calls(release) - asked, cpu_seconds(running) - used
            refused = crowd.refused()
    finally:
        unmake(release.kubectl, NODES)
    show(
        "pods that wait",
        {
            "pods": len(refused),
            "seconds": round(seconds, 1),
            "changes a second": round(CHANGES / seconds, 1),
            "filter calls a second": round(asked / seconds, 1),
            "scheduler, of a core": round(used / seconds, 4),
        },
    )
    assert len(refused) == WAITING
    assert all(f"{len(NODES)} no NodeResourceTopology" in each for each in refused)
    assert asked > 0, "woken, and tried again"
    assert used / seconds < SHARE
