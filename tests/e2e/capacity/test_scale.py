"""The controller at many nodes, played by kwok, whose metrics come every minute: CPU, memory, writes.

``make scale`` has 1,000 nodes for four minutes, ``make e2e`` a tenth of it. Each node has five pods, and
what they use changes by some percent a minute, now and then by half. Figures of time decide nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.capacity.controller import CONFIG, Controller
from tests.e2e.capacity.nodes import BATCH_CPU, POOL
from tests.e2e.cluster.apiclient import MERGE_PATCH, ApiClient
from tests.e2e.cluster.binaries import KWOK, built
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.figures import CAPACITY, show
from tests.e2e.release.replicas import Replica
from tests.e2e.release.resident import cpu_seconds, peak_mib

NODES = int(os.environ.get("SCALE_NODES", "100"))
SECONDS = float(os.environ.get("SCALE_SECONDS", "60"))
"""For which the controller is watched, when every node has its figures."""

PODS = 5
METRIC_SECONDS = 60.0
MOST_MIB = 150
HOOK_SECONDS = 600
"""The chart lets the hook that takes everything away run for so long: ``activeDeadlineSeconds``."""
NAMESPACE = "scale"
METRICS = "/apis/slo.koordinator.sh/v1alpha1/nodemetrics"
SEED = 17


def node(name: str) -> Object:
    """A node of 32 CPUs that kwok keeps ready."""
    figures = {"cpu": "32", "memory": "128Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"type": "kwok", POOL: "scale", "kubernetes.io/hostname": name},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "status": {"capacity": figures, "allocatable": figures},
    }


def pod(name: str, on: str) -> Object:
    """A pod of the user's own, bound already."""
    sized = {"requests": {"cpu": "1", "memory": "2Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"koordinator.sh/qosClass": "LS"}},
        "spec": {"nodeName": on, "containers": [{"name": "main", "image": "none", "resources": sized}]},
    }


class Agents:
    """Writes the NodeMetric of each node once a minute, spread over the minute, in a thread."""

    def __init__(self, control_plane: ControlPlane, names: list[str]) -> None:
        self._client = ApiClient(control_plane)
        self._names = names
        self._random = random.Random(SEED)
        self._used = {name: self._random.uniform(0.2, 0.8) for name in names}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written = 0
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            for name in self._names:
                due += METRIC_SECONDS / len(self._names)
                self._write(name)
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    break
        self._client.close()

    def _write(self, name: str) -> None:
        step = 0.5 if self._random.random() < 0.01 else 0.03
        used = self._used[name] * (1 + self._random.uniform(-step, step))
        self._used[name] = min(1.5, max(0.1, used))
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        usage = {"cpu": f"{int(self._used[name] * 1000)}m", "memory": "1Gi"}
        status = {
            "updateTime": now,
            "nodeMetric": {
                "nodeUsage": {"resources": {"cpu": "6", "memory": "12Gi"}},
                "systemUsage": {"resources": {"cpu": "500m", "memory": "2Gi"}},
            },
            "podsMetric": [
                {
                    "namespace": NAMESPACE,
                    "name": f"{name}-{number}",
                    "priority": "koord-prod",
                    "podUsage": {"resources": usage},
                }
                for number in range(PODS)
            ],
        }
        path = f"{METRICS}/{name}/status"
        code, text = self._client.call("PATCH", path, {"status": status}, content_type=MERGE_PATCH)
        if code == 200:
            self.written += 1
        elif code != 404:
            self.failed.append(text[:300])


@pytest.fixture
def cluster(control_plane: ControlPlane, tmp_path: Path) -> Iterator[list[str]]:
    """The nodes, with their pods, and kwok."""
    kubectl, client, folder = control_plane.kubectl, ApiClient(control_plane), built(KWOK)
    names = [f"scale-{number:04}" for number in range(NODES)]
    labels = {"colocation-webhook.io/ignore": "true"}
    metadata = {"name": NAMESPACE, "labels": labels}
    kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    eventually(lambda: kubectl.get("serviceaccount", "default", namespace=NAMESPACE), what="account")
    stages = [f"--config={each}" for each in sorted((folder / "stages").glob("*.yaml"))]
    command = [
        str(folder / "kwok"),
        f"--kubeconfig={control_plane.kubeconfig}",
        "--manage-nodes-with-label-selector=type=kwok",
        "--node-lease-duration-seconds=0",
        *stages,
    ]
    log = tmp_path / "kwok.log"
    try:
        with stopping(Process("kwok", command, log, env=os.environ, cwd=tmp_path)) as kwok:
            for name in names:
                code, text = client.call("POST", "/api/v1/nodes", node(name))
                assert code == 201, text
                for number in range(PODS):
                    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
                    code, text = client.call("POST", path, pod(f"{name}-{number}", name))
                    assert code == 201, text
            kwok.require_running()
            running = ("-n", NAMESPACE, "get", "pods", "--field-selector=status.phase=Running", "-o", "name")
            eventually(
                lambda: len(kubectl.run(*running).stdout.split()) == NODES * PODS,
                seconds=300,
                what="pods run",
            )
            yield names
    finally:
        client.close()
        kubectl.run("delete", "nodes", "-l", "type=kwok", "--wait=false")
        kubectl.run("-n", NAMESPACE, "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")
        kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")


def published(kubectl: Kubectl) -> dict[str, int]:
    """What each node offers of batch CPU in milli-cores."""
    found = {}
    for each in kubectl.items("nodes", selector="type=kwok"):
        figure = each["status"]["allocatable"].get(BATCH_CPU)
        if figure is not None:
            found[each["metadata"]["name"]] = int(figure.replace("k", "000"))
    return found


def metric(replica: Replica, name: str) -> float:
    """The value of a metric without labels."""
    lines = replica.admin("/metrics")[1].splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"colocation_webhook_{name} "))


def test_scale(
    control_plane: ControlPlane, kubectl: Kubectl, controller: Controller, cluster: list[str]
) -> None:
    """Every node has its figures and its NodeSLO, none is refused, and memory stays below 150 MiB."""
    namespace, _, name = CONFIG.partition("/")
    defaults = {"colocation-config": json.dumps({"enable": True})}
    place = {"name": name, "namespace": namespace}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": defaults})
    started = time.monotonic()
    with controller.running() as replica, Agents(control_plane, cluster) as agents:
        eventually(lambda: len(published(kubectl)) == NODES, seconds=300, what="figures of every node")
        first = time.monotonic() - started
        # The round in which every figure was new is over; the next is one of many.
        time.sleep(METRIC_SECONDS)
        writes, at = metric(replica, "capacity_writes_total"), time.monotonic()
        cpu = cpu_seconds(replica.process)
        metrics = agents.written
        time.sleep(SECONDS)
        seconds = time.monotonic() - at
        figures = {
            "nodes": NODES,
            "pods": NODES * PODS,
            "seconds": round(seconds),
            "metrics_per_second": round((agents.written - metrics) / seconds, 1),
            "writes_per_second": round((metric(replica, "capacity_writes_total") - writes) / seconds, 2),
            "cpu_percent": round((cpu_seconds(replica.process) - cpu) / seconds * 100, 2),
            "peak_mib": peak_mib(replica),
            "seconds_to_first_figures": round(first, 1),
        }
        show("scale", figures, CAPACITY)
        assert agents.failed == []
        assert len(published(kubectl)) == NODES
        assert len(kubectl.items("nodeslos")) == len(kubectl.items("nodes"))
        states = {
            json.loads(each["metadata"]["annotations"]["colocation-webhook.io/batch-capacity"])["state"]
            for each in kubectl.items("nodes", selector="type=kwok")
        }
        assert states == {"applied"}
        assert figures["peak_mib"] <= MOST_MIB
    controller.withdraw(seconds=HOOK_SECONDS)
    assert published(kubectl) == {}
