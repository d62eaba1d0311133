"""What the extender adds to a scheduling attempt at 200 nodes, and how many pods a second are bound with it.

The chart's scheduler with the extender and without it, in turns: a machine is slow by the minute, so that
figures of two runs cannot be compared. Pods come one after another for the attempts, and all at once for the
throughput. An attempt begins with the queue's pod and ends with its binding
(``scheduler_scheduling_attempt_duration_seconds``, of those that ended with a node). Its quantiles are
interpolated within a bucket, as Prometheus' ``histogram_quantile`` does; the bucket's limits are shown, too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_LABELS = (f'profile="{KOORD_SCHEDULER}"', 'result="scheduled"')


class Attempts(NamedTuple):
    """A histogram of attempts that ended with a node.

    Attributes:
        buckets: how many took so many seconds at most, by the limit, rising.
        seconds: all of them together.
    """

    buckets: Mapping[float, float]
    seconds: float

    @classmethod
    def read(cls, page: str) -> Self:
        """Take it from a page of metrics; nothing there is none."""
        buckets, seconds = {}, 0.0
        for name, value in samples(page).items():
            if (
                name.startswith(_ATTEMPTS)
                and f'profile="{KOORD_SCHEDULER}"' in name
                and 'result="scheduled"' in name
            ):
                if found := re.search(r'_bucket\{.*le="([^"]+)"', name):
                    buckets[float(found[1])] = value
                elif name.startswith(f"{_ATTEMPTS}_sum"):
                    seconds = value
        return cls(dict(sorted(buckets.items())), seconds)

    def since(self, before: Attempts) -> Attempts:
        """What has been added."""
        buckets = {limit: number - before.buckets.get(limit, 0.0) for limit, number in self.buckets.items()}
        return Attempts(buckets, self.seconds - before.seconds)

    def plus(self, other: Attempts) -> Attempts:
        """Both together."""
        limits = sorted({*self.buckets, *other.buckets})
        buckets = {each: self.buckets.get(each, 0.0) + other.buckets.get(each, 0.0) for each in limits}
        return Attempts(buckets, self.seconds + other.seconds)

    def quantile(self, part: float) -> tuple[float, float, float]:
        """The value by interpolation, and the limits of its bucket, in seconds."""
        rank, low, below = part * self.number, 0.0, 0.0
        for limit, number in self.buckets.items():
            if number >= rank:
                inside = (rank - below) / (number - below) if number > below else 0.0
                return low + (limit - low) * inside, low, limit
            low, below = limit, number
        return low, low, float("inf")

    @property
    def number(self) -> float:
        """How many there were."""
        return max(self.buckets.values(), default=0.0)

    def shown(self) -> dict[str, object]:
        """Milliseconds, for people."""
        found: dict[str, object] = {
            "attempts": int(self.number),
            "mean": round(1000 * self.seconds / self.number, 2),
        }
        for part in (0.5, 0.99):
            value, low, high = (round(1000 * each, 2) for each in self.quantile(part))
            found[f"p{part * 100:g}"] = value
            found[f"p{part * 100:g} between"] = [low, high]
        return found


class Measured:
    """Pods under a scheduler whose metrics are read."""

    def __init__(self, calls: ApiClient, namespace: str, port: int) -> None:
        self._calls = calls
        self._namespace = namespace
        self._port = port
        self._names = itertools.count()

    def attempts(self, kind: str) -> Attempts:
        """Of pods that come one after another."""
        self._send(kind, 10, PAUSE)  # what is remembered of nodes is there
        before = Attempts.read(self._page())
        self._send(kind, PODS, PAUSE)
        return Attempts.read(self._page()).since(before)

    def throughput(self, kind: str) -> float:
        """Pods a second, of a burst."""
        began = time.monotonic()
        self._send(kind, BURST, 0.0)
        return BURST / (time.monotonic() - began)

    def _send(self, kind: str, number: int, pause: float) -> None:
        """Make pods, wait until all are bound, and delete them."""
        qos, cpu, wish = KINDS[kind]
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        made = template(qos, cpu, wish, pool=self._namespace, schedulerName=KOORD_SCHEDULER)

        def make(names: Sequence[str]) -> None:
            try:
                for name in names:
                    code, body = self._calls.call("POST", path, pod(name, made))
                    assert code == 201, body
                    time.sleep(pause)
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

    def _page(self) -> str:
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        url = f"https://127.0.0.1:{self._port}/metrics"
        with urllib.request.urlopen(url, timeout=10, context=anybody) as answer:
            text: str = answer.read().decode()
        return text


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
    attempts: dict[tuple[str, str], Attempts] = {}
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
            with answering(release, control_plane, cache, folder, *flags, asks=asks):
                measured = Measured(calls, crowd, port)
                for kind in KINDS:
                    if qps == 5000:
                        new = measured.attempts(kind)
                        key = (kind, who)
                        attempts[key] = attempts[key].plus(new) if key in attempts else new
                    speeds.setdefault(f"{kind}, {who}", []).append(round(measured.throughput(kind), 1))
    finally:
        release.stop()
        release.serve()
    for (kind, who), found in attempts.items():
        show(f"attempts of {kind} pods, {who}", {"nodes": len(NODES), **found.shown()})
    show("pods a second", speeds)
    assert all(found.number >= PODS * TURNS for found in attempts.values())
