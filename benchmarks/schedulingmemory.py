"""Memory of what is watched of load: nodes, their NodeMetrics and 30 LS pods on each, in MiB.

Each size is filled in a process of its own, object by object as a watch brings them, and then asked about
pods of 16 sizes. Names are as long as those of a Deployment's pods; a NodeMetric has three durations.
Then whole processes: the proportional set size of `serve --cpusets` with the extender, some seconds after it
has answered, less that without, of the nodes and pods of ``benchmarks.scheduling``.

    python -m benchmarks.schedulingmemory

The exit status is 1 if a target is missed: 25 MiB at 200 nodes, 250 at 5,000.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import time
import uuid
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.beside import serving
from benchmarks.scheduling import pod
from benchmarks.server import workplace
from webhook.kube.cache.store import Store
from webhook.protocol import PROD
from webhook.scheduling.cluster.caches import Loads
from webhook.scheduling.cluster.state import Cluster
from webhook.scheduling.loadaware.loadsettings import LoadSettings
from webhook.scheduling.settings import SchedulingSettings

Json = dict[str, Any]

TARGETS: Final = {200: 25, 5_000: 250}
PODS: Final = 30
SIZES: Final = 16
SERVED: Final = 200
SETTLED_SECONDS: Final = 8.0
_PAGE: Final = 4096


def pods_of(node: int) -> Iterator[Json]:
    """Yield the pods of a node."""
    for i in range(PODS):
        name = f"deployment-{node}-{uuid.UUID(int=node * PODS + i).hex[-10:]}-{i:05d}"
        made = pod(name, "LS", f"{500 + 10 * i}m", f"node-{node:05d}.region.example")
        made["metadata"].update(uid=str(uuid.UUID(int=node * PODS + i)), namespace=f"team-{i % 10}")
        yield made


def metric_of(node: int) -> Json:
    """Return the NodeMetric of a node."""
    usage = {"resources": {"cpu": "12345m", "memory": "64424509440"}}
    recorded = [
        {"duration": duration, "usage": dict.fromkeys(("avg", "p50", "p90", "p95", "p99"), usage)}
        for duration in ("5m0s", "10m0s", "30m0s")
    ]
    used = [
        {
            "namespace": each["metadata"]["namespace"],
            "name": each["metadata"]["name"],
            "priority": PROD,
            "podUsage": {"resources": {"cpu": f"{17 * i + 3}m", "memory": str(10**9 + i * 1_000_003)}},
        }
        for i, each in enumerate(pods_of(node))
    ]
    status = {"nodeMetric": {"nodeUsage": usage, "aggregatedNodeUsages": recorded}, "podsMetric": used}
    return {
        "metadata": {"name": f"node-{node:05d}.region.example"},
        "status": {"updateTime": "2026-01-31T08:00:00Z", **status},
    }


def fill(pipe: Connection, nodes: int) -> None:
    """Send how many MiB more a process takes that knows so many nodes."""
    loads = Loads(LoadSettings())
    cluster = Cluster(SchedulingSettings(), loads, None)
    names = [f"node-{node:05d}.region.example" for node in range(nodes)]
    gc.collect()
    before = resident()
    size = {"status": {"allocatable": {"cpu": "64", "memory": "256Gi"}}}
    bring(loads.nodes, ({"metadata": {"name": name}, **size} for name in names))
    bring(loads.pods, (each for node in range(nodes) for each in pods_of(node)))
    bring(loads.metrics, (metric_of(node) for node in range(nodes)))
    while cluster.look_again():
        pass
    for cpu in range(1, SIZES + 1):
        visit = cluster.visit(pod(f"new-{cpu}", "LS", str(cpu)))
        cluster.rankings.filter(visit, names, time.time())
    gc.collect()
    pipe.send(resident() - before)


def bring(store: Store[Any], objects: Iterator[Json]) -> None:
    """Have a store take objects, each with strings of its own."""
    store.replace(store.listed(orjson.loads(orjson.dumps(each))) for each in objects)


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


def served(nodes: int, *, extender: bool) -> float:
    """MiB of the processes of the service, some seconds after it knows so many nodes."""
    with workplace() as folder, serving(folder, nodes, extender=extender) as (running, _):
        time.sleep(SETTLED_SECONDS)
        return running.server.proportional_mib()


def main() -> int:
    """Measure and print."""
    missed = False
    for nodes, target in TARGETS.items():
        mine, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=fill, args=(theirs, nodes))
        process.start()
        took = mine.recv()
        process.join()
        missed |= took > target
        print(f"{nodes:>5,} nodes of {PODS} pods: {took:.0f} MiB (target {target})")
    alone, beside = (served(SERVED, extender=extender) for extender in (False, True))
    missed |= beside - alone > TARGETS[SERVED]
    print(
        f"{SERVED:>5,} nodes: serve has {alone:.1f} MiB without the extender, {beside:.1f} with it "
        f"(target {TARGETS[SERVED]} more)"
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
