"""What filter and prioritize cost for one pod: from the bodies of a scheduler's two calls to both answers.

Each node has 64 CPUs and 30 pods, up to six of which hold cores of their own, other ones on each node; every
tenth node is used too much. Nodes are looked at in the background, in slices; ``first`` is the first pod of a
size, for which each node is judged once more, and later ones find that remembered, but for what has changed:
a node's metric before each pod, and the node of the pod before.

    python -m benchmarks.scheduling

The exit status is 1 if a target is missed: LS and BE 1 ms at 500 nodes, 10 ms at 5,000; with a set 5 and 50.
"""

from __future__ import annotations

import copy
import datetime as dt
import gc
import json
import random
import statistics
import sys
import time
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry

from webhook.cpuset.discovery import parse_shape
from webhook.protocol import (
    ANNOTATION_CPU_TOPOLOGY,
    ANNOTATION_RESOURCE_STATUS,
    CPUSET_ENABLED,
    LABEL_CPUSET,
    LABEL_PRIORITY_CLASS,
    LABEL_QOS_CLASS,
    NODEMETRIC_KIND,
    PROD,
    TOPOLOGY_KIND,
)
from webhook.scheduling.cluster.snapshot import KINDS, cluster_of
from webhook.scheduling.cluster.state import Cluster
from webhook.scheduling.endpoint import Extender
from webhook.scheduling.metrics import SchedulingMetrics
from webhook.scheduling.settings import SchedulingSettings

Json = dict[str, Any]

SIZES: Final = (500, 5_000)
TARGETS: Final = {"LS": 0.002, "BE": 0.002, "LSR": 0.010}
"""Milliseconds of a core for each node, for both calls."""

PODS: Final = 30
MOST_SETS: Final = 6
RUNS: Final = 31
NOW: Final = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
CORES: Final = 32
_TIME: Final = "2026-01-31T08:00:00Z"
_SCHEDULED: Final = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-30T08:00:00Z"}
_SHAPE: Final = json.dumps(
    {
        "detail": [
            {"id": at.cpu, "core": at.core, "socket": at.socket, "node": at.node}
            for at in parse_shape("2x1x16x2", "linux").places
        ]
    }
)


def pod(name: str, qos: str, cpu: str, node: str = "", cpuset: str = "") -> Json:
    """Return a pod of class prod."""
    noted = {ANNOTATION_RESOURCE_STATUS: json.dumps({"cpuset": cpuset})} if cpuset else {}
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": name,
            "labels": {LABEL_QOS_CLASS: qos, LABEL_PRIORITY_CLASS: PROD},
            "annotations": noted,
        },
        "spec": {
            "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}],
            **({"nodeName": node} if node else {}),
        },
        "status": {"phase": "Running", "conditions": [_SCHEDULED] if node else []},
    }


def cluster(nodes: int) -> dict[str, list[Json]]:
    """Return the objects of so many nodes, by kind."""
    found: dict[str, list[Json]] = {kind: [] for kind in KINDS}
    dice = random.Random(1)
    found["Namespace"] = [{"metadata": {"name": "shop", "labels": {LABEL_CPUSET: CPUSET_ENABLED}}}]
    for number in range(nodes):
        name = f"node-{number}"
        size = {"cpu": "64", "memory": "256Gi"}
        found["Node"].append({"metadata": {"name": name, "uid": name}, "status": {"allocatable": size}})
        noted = {ANNOTATION_CPU_TOPOLOGY: _SHAPE}
        found[TOPOLOGY_KIND].append({"metadata": {"name": name, "annotations": noted}})
        free = list(range(CORES))
        dice.shuffle(free)
        pods = []
        for i in range(PODS):
            if i < number % (MOST_SETS + 1):
                cores = [free.pop() for _ in range(dice.choice((1, 2, 4)))]
                cpus = ",".join(f"{core},{core + CORES}" for core in cores)
                pods.append(pod(f"pod-{number}-{i}", "LSR", str(2 * len(cores)), name, cpus))
            else:
                pods.append(pod(f"pod-{number}-{i}", "LS", "1", name))
        found["Pod"] += pods
        used = [
            {
                "namespace": "shop",
                "name": each["metadata"]["name"],
                "priority": PROD,
                "podUsage": {"resources": {"cpu": "500m", "memory": "1Gi"}},
            }
            for each in pods
        ]
        cpu = "60" if number % 10 == 0 else str(15 + number % 20)
        node = {"nodeUsage": {"resources": {"cpu": cpu, "memory": "60Gi"}}}
        status = {"updateTime": _TIME, "nodeMetric": node, "podsMetric": used}
        found[NODEMETRIC_KIND].append({"metadata": {"name": name}, "status": status})
    return found


def look(known: Cluster) -> str:
    """Look at all nodes that have changed, slice by slice; say what that took."""
    slices, left = [], True
    while left:
        began = time.process_time()
        left = known.look_again()
        slices.append(time.process_time() - began)
    return f"{1000 * sum(slices):.0f} ms in {len(slices)} slices, the longest {1000 * max(slices):.1f} ms"


def both_calls(extender: Extender, asked: Json) -> float:
    """Return the seconds of a core that filter and prioritize take."""
    body = orjson.dumps(asked)
    began = time.process_time()
    passed = extender.filter(body)
    orjson.dumps(passed)
    took = time.process_time() - began
    body = orjson.dumps({**asked, "NodeNames": passed["NodeNames"]})
    began = time.process_time()
    orjson.dumps(extender.prioritize(body))
    return took + time.process_time() - began


def main() -> int:
    """Measure and print."""
    missed = False
    for nodes in SIZES:
        objects = cluster(nodes)
        gc.freeze()  # a service has no such objects
        known = cluster_of(objects, SchedulingSettings(), lambda: NOW)
        print(f"{nodes} nodes, looked at for the first time: {look(known)}")
        extender = Extender(known, lambda: "", SchedulingMetrics(CollectorRegistry()))
        names = [f"node-{number}" for number in range(nodes)]
        for qos, target in TARGETS.items():
            times = []
            for number in range(RUNS + 1):
                changed: Json = copy.deepcopy(objects[NODEMETRIC_KIND][7 * number % nodes])
                changed["status"]["nodeMetric"]["nodeUsage"]["resources"]["cpu"] = str(10 + number)
                if known.loads is not None:
                    known.loads.metrics.changed(changed)
                asked = {"Pod": pod(f"new-{number}", qos, "4"), "Nodes": None, "NodeNames": names}
                times.append(1000 * both_calls(extender, asked))
            median = statistics.median(times[1:])
            missed |= median > target * nodes
            print(
                f"{qos} pod, {nodes} nodes: {median:.2f} ms (target {target * nodes:g}), "
                f"first of its size {times[0]:.0f} ms"
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
