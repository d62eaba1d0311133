"""What the extender adds to a scheduling attempt at 200 nodes, and how many pods a second are bound with it.

The chart's scheduler with the extender and without it, in turns: a machine is slow by the minute, so that
figures of two runs cannot be compared. Pods come one after another for the attempts, and all at once for the
throughput. An attempt begins with the queue's pod and ends with its binding
(``scheduler_scheduling_attempt_duration_seconds``, of those that ended with a node). What one attempt took is
by how much the sum of this histogram has grown when its count has grown by one; its buckets are twice as wide
as what is to be seen.

Inside, with the extender and without it: the scheduler's own filters and scores for 200 nodes, and the
binding, for which the API server asks ``/bind``; beside it, on the same cores, what the pod's creation still
makes the API server, the webhook's watches and the controllers do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import itertools
import math
import os
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from tests.e2e.binding.pods import pod, template
from tests.e2e.binding.service import FLAGS, IN, nodes, take_away
from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.release.installation import Installation
from tests.e2e.release.metrics import samples
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, answering, extender_flags, upgrade
from tests.ports import free_ports

PODS = int(os.environ.get("ATTEMPTS", "25"))
"""Of each kind, in each turn; `make bench-scheduler` sends more."""

BURST = int(os.environ.get("BURST", "50"))
TURNS = int(os.environ.get("TURNS", "1"))
PAUSE = 0.04
"""Seconds between two pods for the attempts."""

CLIENTS = 8
"""Who make a burst: one alone makes pods more slowly than they are bound."""

NODES = tuple(FakeNode(name=f"many-{number}", shape=(2, 1, 16, 2)) for number in range(200))
METRICS = "/apis/slo.koordinator.sh/v1alpha1/nodemetrics"
KINDS = {"LS": ("LS", "100m", None), "LSR": ("LSR", "2", {"requiredCPUBindPolicy": "FullPCPUs"})}
_ATTEMPTS = "scheduler_scheduling_attempt_duration_seconds"
_SEARCHES = "scheduler_scheduling_algorithm_duration_seconds"
_LABELS = {_ATTEMPTS: (f'profile="{KOORD_SCHEDULER}"', 'result="scheduled"'), _SEARCHES: ()}


class Attempts(NamedTuple):
    """Attempts that ended with a node.

    Attributes:
        number: how many there were.
        seconds: all of them together.
        searching: of these, what finding the nodes took; the extender's calls are part of it.
    """

    number: int
    seconds: float
    searching: float

    @classmethod
    def read(cls, page: str) -> Self:
        """Take them from a page of metrics; nothing there is none."""
        found = samples(page)

        def total(metric: str, end: str) -> float:
            return sum(
                value
                for name, value in found.items()
                if name.startswith(f"{metric}_{end}") and all(label in name for label in _LABELS[metric])
            )

        return cls(int(total(_ATTEMPTS, "count")), total(_ATTEMPTS, "sum"), total(_SEARCHES, "sum"))

    def since(self, before: Attempts) -> Attempts:
        """What has been added."""
        return Attempts(*(each - old for each, old in zip(self, before, strict=True)))


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Mean, median and the 99th of a hundred, for people."""
    ranked = sorted(1000 * each for each in seconds)
    found = {"mean": statistics.mean(ranked)}
    for percent in (50, 99):
        found[f"p{percent}"] = ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]
    return {name: round(value, 2) for name, value in found.items()}


class Measured:
    """Pods under a scheduler whose metrics are read."""

    def __init__(self, calls: ApiClient, namespace: str, port: int) -> None:
        self._calls = calls
        self._namespace = namespace
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        self._scheduler = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=anybody)
        self._names = itertools.count()

    def close(self) -> None:
        """Close the connection to the scheduler."""
        self._scheduler.close()

    def attempts(self, kind: str) -> list[Attempts]:
        """Each of pods that come one after another."""
        self._send(kind, 10, PAUSE)  # what is remembered of nodes is there
        found: list[Attempts] = []
        before = Attempts.read(self._page())

        def ended() -> None:
            nonlocal before
            now = eventually(lambda: self._more(before), seconds=30, what="the pod's attempt")
            found.append(now.since(before))
            before = now

        self._send(kind, PODS, PAUSE, ended)
        return found

    def throughput(self, kind: str) -> float:
        """Pods a second, of a burst."""
        began = time.monotonic()
        self._send(kind, BURST, 0.0)
        return BURST / (time.monotonic() - began)

    def _send(self, kind: str, number: int, pause: float, then: Callable[[], None] = lambda: None) -> None:
        """Make pods, wait until all are bound, and delete them; ``then`` is called after each one's pause."""
        qos, cpu, wish = KINDS[kind]
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        made = template(qos, cpu, wish, pool=self._namespace, schedulerName=KOORD_SCHEDULER)

        def make(names: Sequence[str]) -> None:
            try:
                for name in names:
                    code, body = self._calls.call("POST", path, pod(name, made))
                    assert code == 201, body
                    time.sleep(pause)
                    then()
            finally:
                self._calls.close()

        names = [f"p-{next(self._names)}" for _ in range(number)]
        clients = 1 if pause else CLIENTS
        with ThreadPoolExecutor(clients) as together:
            list(together.map(make, [names[each::clients] for each in range(clients)]))
        waiting = "?fieldSelector=spec.nodeName%3D"
        eventually(
            lambda: '"items":[]' in self._calls.call("GET", path + waiting)[1], seconds=120, what="all bound"
        )
        code, body = self._calls.call("DELETE", f"{path}?gracePeriodSeconds=0")
        assert code == 200, body
        self._none_left(path)

    def _none_left(self, path: str) -> None:
        empty = lambda: '"items":[]' in self._calls.call("GET", path)[1]  # noqa: E731 — asked again and again
        eventually(empty, seconds=120, what=f"nothing in {path}")

    def _more(self, before: Attempts) -> Attempts | None:
        now = Attempts.read(self._page())
        return now if now.number > before.number else None

    def _page(self) -> str:
        self._scheduler.request("GET", "/metrics")
        with self._scheduler.getresponse() as answer:
            return answer.read().decode()


@pytest.fixture
def calls(control_plane: ControlPlane) -> Iterator[ApiClient]:
    """The administrator's client."""
    with contextlib.closing(ApiClient(control_plane)) as client:
        yield client


@pytest.fixture
def crowd(
    installed_scheduler: None,
    release: Installation,
    calls: ApiClient,
    new_namespace: Callable[..., str],
) -> Iterator[str]:
    """Two hundred nodes that are measured, and a namespace for pods on them."""
    del installed_scheduler
    namespace = new_namespace(IN)
    with nodes(release.kubectl, namespace, NODES):
        for node in NODES:
            metric: Object = {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric", "spec": {}}
            code, body = calls.call("POST", METRICS, {**metric, "metadata": {"name": node.name}})
            assert code == 201, body
        try:
            yield namespace
        finally:
            take_away(release.kubectl, namespace)
            for node in NODES:
                calls.call("DELETE", f"{METRICS}/{node.name}")


def _measure(calls: ApiClient) -> None:
    """Say of each node what is in use of it now: figures of three minutes ago would close it."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    usage = {"nodeUsage": {"resources": {"cpu": "4", "memory": "8Gi"}}}
    status = {"status": {"updateTime": now, "nodeMetric": usage}}
    for node in NODES:
        code, body = calls.call("PATCH", f"{METRICS}/{node.name}/status", status, content_type=MERGE_PATCH)
        assert code == 200, body


def test_attempts(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    calls: ApiClient,
    crowd: str,
) -> None:
    """All pods are bound in all settings. The figures are shown, not judged."""
    attempts: dict[tuple[str, str], list[Attempts]] = {}
    speeds: dict[str, list[float]] = {}
    release.stop()
    release.serve(*FLAGS, *extender_flags(release, tmp_path))
    try:
        settings = tuple(itertools.product((5000, 50), (False, True)))
        # Each other turn the other way round: what comes later finds a larger store.
        turns = [(turn, *each) for turn in range(TURNS) for each in settings[:: -1 if turn % 2 else 1]]
        for turn, qps, asks in turns:
            _measure(calls)
            upgrade(release, tmp_path, {"scheduler": {"clientConnection": {"qps": qps, "burst": 2 * qps}}})
            who = f"qps {qps}, {'with' if asks else 'without'} the extender"
            (port,) = free_ports(1)
            flags = (f"--secure-port={port}", "--authorization-always-allow-paths=/metrics,/livez,/readyz")
            folder = tmp_path / f"{turn}-{qps}-{asks}"
            with (
                answering(release, control_plane, cache, folder, *flags, asks=asks),
                contextlib.closing(Measured(calls, crowd, port)) as measured,
            ):
                for kind in KINDS:
                    if qps == 5000:
                        attempts.setdefault((kind, who), []).extend(measured.attempts(kind))
                    speeds.setdefault(f"{kind}, {who}", []).append(round(measured.throughput(kind), 1))
    finally:
        release.stop()
        release.serve()
    for (kind, who), found in attempts.items():
        alone = [each for each in found if each.number == 1]
        figures = {
            "attempt": milliseconds([each.seconds for each in alone]),
            "of which until a node is found": milliseconds([each.searching for each in alone]),
        }
        show(f"attempts of {kind} pods, {who}", {"nodes": len(NODES), "pods": len(alone), **figures})
    show("pods a second", speeds)
    assert all(len(found) == PODS * TURNS for found in attempts.values())
