"""What an estimate of a node's capacity costs, and what reading a NodeMetric costs.

Each node has 30 online and 10 batch pods. A pass estimates 10,000 nodes from objects that have been
parsed: in one loop over one such node, because what is shown is CPU time and not memory.

    python -m benchmarks.capacity [--nodes N]

The exit status is 1 if a target is missed: 1.0 s of a core for a pass, 0.3 ms for a NodeMetric.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.tree import Tree
from webhook.capacity.inventory import inventory_of
from webhook.capacity.nodemetric import read_nodemetric
from webhook.protocol import (
    BATCH_CPU,
    BATCH_MEMORY,
    LABEL_PRIORITY_CLASS,
    LABEL_QOS_CLASS,
    NODEMETRIC_KIND,
    PRIORITY_BANDS,
    SLO_CONFIGMAP,
    QoSClass,
)

NODES: Final = 10_000
ONLINE, BATCH_PODS = 30, 10
RUNS: Final = 7
PASS_SECONDS: Final = 1.0
METRIC_MILLISECONDS: Final = 0.3
NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PROD, BATCH = PRIORITY_BANDS[0].name, PRIORITY_BANDS[2].name

Json = dict[str, Any]


def pod(number: int, qos: str, band: str, requests: Json) -> Json:
    """Return a running pod of the node."""
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": f"pod-{number}",
            "labels": {LABEL_QOS_CLASS: qos, LABEL_PRIORITY_CLASS: band},
        },
        "spec": {"nodeName": "node", "containers": [{"name": "main", "resources": {"requests": requests}}]},
        "status": {"phase": "Running", "startTime": "2025-12-31T00:00:00Z"},
    }


def objects() -> tuple[list[Json], Json]:
    """Return a node's objects, and its NodeMetric."""
    online = [pod(i, QoSClass.LS, PROD, {"cpu": "500m", "memory": "1Gi"}) for i in range(ONLINE)]
    work = {BATCH_CPU: "500", BATCH_MEMORY: "1Gi"}
    batch = [pod(ONLINE + i, QoSClass.BE, BATCH, work) for i in range(BATCH_PODS)]
    used = [
        {
            "namespace": "shop",
            "name": each["metadata"]["name"],
            "priority": each["metadata"]["labels"][LABEL_PRIORITY_CLASS],
            "podUsage": {"resources": {"cpu": f"{100 + i}m", "memory": "600Mi"}},
        }
        for i, each in enumerate([*online, *batch])
    ]
    usage = {"resources": {"cpu": "9", "memory": "30Gi"}}
    statistics = dict.fromkeys(("avg", "p50", "p90", "p95", "p99"), usage)
    windows = [{"duration": each, "usage": statistics} for each in ("5m0s", "10m0s", "30m0s")]
    metric = {
        "kind": NODEMETRIC_KIND,
        "metadata": {"name": "node"},
        "status": {
            "updateTime": NOW.isoformat(),
            "nodeMetric": {"nodeUsage": usage, "systemUsage": usage, "aggregatedNodeUsages": windows},
            "prodPeakMetric": {"resource": usage},
            "podsMetric": used,
        },
    }
    size = {"cpu": "96", "memory": "384Gi"}
    node = {"kind": "Node", "metadata": {"name": "node"}, "status": {"capacity": size, "allocatable": size}}
    config = {
        "metadata": {"name": SLO_CONFIGMAP},
        "data": {"colocation-config": json.dumps({"enable": True})},
    }
    return [node, metric, *online, *batch, {"kind": "ConfigMap", **config}], metric


def least(work: Callable[[], object], times: int) -> float:
    """Return the least CPU time of a call, in seconds, of some runs of so many calls."""
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - began) / times)
    return min(found)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The CPU time of estimates of capacity.")
    parser.add_argument("--nodes", type=int, default=NODES, help="nodes of a pass")
    nodes = parser.parse_args().nodes
    listed, metric = objects()
    inventory = inventory_of(listed)
    whole = least(lambda: inventory.capacity("node", NOW), 1_000) * nodes
    read = least(lambda: read_nodemetric(metric), 1_000) * 1000
    print(Tree.here().build)
    print(f"a pass over {nodes} nodes of {ONLINE + BATCH_PODS} pods: {whole:.2f} s (target {PASS_SECONDS} s)")
    print(f"a NodeMetric of as many, parsed: {read:.3f} ms (target {METRIC_MILLISECONDS} ms)")
    return int(whole > PASS_SECONDS * nodes / NODES or read > METRIC_MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
