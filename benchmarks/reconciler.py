"""A round of the reconciler of CPU sets, with 1,000 nodes and 5,000 pods with sets, all of them right.

Each node has 64 CPUs, four LSR pods and one LS pod with sets, and 25 pods without, of 3 KiB each. The
clock of the rounds is a made-up one that goes on by a second: 300 rounds look all nodes through once,
one LIST each, as docs/binding.md says. A process of its own answers the LISTs; what is shown is the CPU
time of this process, for the rounds and for the metrics that are counted every ten seconds, and its share
of a core: of 300 seconds. In one round in ten a pod changes.

    python -m benchmarks.reconciler [--json] [--nodes N]

The exit status is 1 if a target is missed: 3 % of a core, and each node looked through.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import statistics
import sys
import threading
import time
import urllib.parse
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any, Final

from prometheus_client import CollectorRegistry

from benchmarks.tree import Tree
from webhook.binding.binder import Binder
from webhook.binding.caches import Nodes, pod_store, waiting_store
from webhook.binding.grant import counts_of
from webhook.binding.ledger import Ledger, write_ledger
from webhook.binding.ledgers import Ledgers
from webhook.binding.metrics import BindingMetrics
from webhook.binding.reconciling.audit import condition
from webhook.binding.reconciling.reconciler import Reconciler
from webhook.binding.reconciling.repair import Repair
from webhook.binding.recovery import recover
from webhook.binding.service import GRACE_SECONDS
from webhook.binding.state import State
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.topology import Topology
from webhook.kube.access import Access
from webhook.kube.client import Client
from webhook.kube.conditions import with_conditions
from webhook.kube.events import EventRecorder
from webhook.kube.lease import Lease
from webhook.protocol import (
    ANNOTATION_CPU_TOPOLOGY,
    ANNOTATION_RESOURCE_STATUS,
    LABEL_QOS_CLASS,
    PRIORITY_BANDS,
    QoSClass,
)

NODES: Final = 1_000
ROUNDS: Final = 300
METRICS_EVERY: Final = 10
TARGET: Final = 0.03
WITHOUT: Final = 25
MACHINE: Final = Topology.regular(2, 1, 16, 2, "linux")
NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

Json = dict[str, Any]


class _Counting(Client):
    """Counts calls: the nodes whose pods were listed, and others."""

    def __init__(self, access: Access) -> None:
        """Begin at zero."""
        super().__init__(access)
        self.lists: list[str] = []
        self.other = 0

    def call(self, method: str, path: str, **given: Any) -> Json:  # noqa: ANN401 — as they are
        """Make it, and count it."""
        if selected := (given.get("query") or {}).get("fieldSelector"):
            self.lists.append(selected)
        else:
            self.other += 1
        return super().call(method, path, **given)


class _Leader(Lease):
    """Held for ever, without a call."""

    def elected(self) -> bool:
        """Yes."""
        return True


def pod(node: str, number: int, qos: str, cpus: frozenset[int]) -> Json:
    """Return a bound pod; with a set if it has CPUs."""
    name = f"{node}-{number}"
    requests = {"cpu": str(len(cpus) or 1), "memory": "1Gi"}
    annotations = {ANNOTATION_RESOURCE_STATUS: json.dumps({"cpuset": format_cpulist(cpus)})} if cpus else {}
    variables = [{"name": f"VARIABLE_{i}", "value": "x" * 32} for i in range(40)]
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "labels": {LABEL_QOS_CLASS: qos},
            "annotations": annotations,
        },
        "spec": {
            "nodeName": node,
            "priority": next(band.value for band in PRIORITY_BANDS if band.name.endswith("prod")),
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/shop/main:1.2.3",
                    "env": variables,
                    "resources": {"requests": requests, "limits": requests},
                }
            ],
        },
        "status": {"phase": "Running"},
    }


def pods_of(node: str) -> list[Json]:
    """Return all pods of a node."""
    cores = [[at.cpu for at in MACHINE.places if at.core == core] for core in range(10)]
    sets = [frozenset(cores[2 * i] + cores[2 * i + 1]) for i in range(5)]
    with_sets = [pod(node, i, QoSClass.LSR if i else QoSClass.LS, cpus) for i, cpus in enumerate(sets)]
    return with_sets + [pod(node, 5 + i, QoSClass.LS, frozenset()) for i in range(WITHOUT)]


def serve(pipe: Connection) -> None:
    """Answer LISTs of the pods of a node, and send the port first."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            node = query["fieldSelector"][0].partition("=")[2]
            body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": pods_of(node)}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pipe.send(server.server_address[1])
        server.serve_forever()


def filled(state: State, nodes: int) -> list[Json]:
    """Let all be known, as watches would tell it; return the pods that are watched."""
    detail = [{"id": at.cpu, "core": at.core, "socket": at.socket, "node": at.node} for at in MACHINE.places]
    annotations = {ANNOTATION_CPU_TOPOLOGY: json.dumps({"detail": detail})}
    names = [f"node-{i}" for i in range(nodes)]
    meta = [{"metadata": {"name": name, "uid": name, "resourceVersion": "1"}} for name in names]
    state.nodes.nodes.replace(state.nodes.nodes.listed(raw) for raw in meta)
    described = [{"metadata": {**raw["metadata"], "annotations": annotations}} for raw in meta]
    state.nodes.topologies.replace(state.nodes.topologies.listed(raw) for raw in described)
    pods = {name: pods_of(name) for name in names}
    watched = [each for all_of in pods.values() for each in all_of[1:5]]
    state.pods.replace(state.pods.listed(raw) for raw in watched)
    state.waiting.replace(())
    ledgers = []
    for name, all_of in pods.items():
        found = recover(all_of, name, now=NOW).entries
        topology = state.nodes.topology_of(name)
        ledger = Ledger(name, name, version="1", uid=name).with_entries(*found)
        said = with_conditions((), [condition(ledger, topology, {})], NOW)
        ledgers.append(write_ledger(replace(ledger, conditions=tuple(said)), counts_of(topology, ledger)))
    raws = [{**raw, "metadata": {**raw["metadata"], "resourceVersion": "1"}} for raw in ledgers]
    state.ledgers.store.replace(state.ledgers.store.listed(raw) for raw in raws)
    return watched


def measure(nodes: int) -> dict[str, float]:
    """Return the figures of ROUNDS rounds."""
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    api = _Counting(Access(server=f"http://127.0.0.1:{mine.recv()}"))
    seconds = [1000.0]
    metrics = BindingMetrics(CollectorRegistry())
    state = State(
        api,
        pod_store(),
        waiting_store(),
        Nodes(),
        Ledgers(api, lambda: None),
        clock=lambda: seconds[0],
        now=lambda: NOW,
    )
    binder = Binder(state, opted_in=lambda _: True, grace=GRACE_SECONDS)
    repair = Repair(state, binder, EventRecorder(api, "benchmark"), metrics, opted_in=lambda _: True)
    reconciler = Reconciler(state, binder, repair, _Leader(api, "d", "l"), metrics)
    watched = filled(state, nodes)
    stop = threading.Event()
    before = time.process_time()
    reconciler.round(stop)
    first = time.process_time() - before
    rounds, counting = [], []
    for number in range(ROUNDS):
        seconds[0] += 1
        if not number % METRICS_EVERY:
            raw = watched[number * 7 % len(watched)]
            state.pods.changed({**raw, "metadata": {**raw["metadata"], "resourceVersion": str(number + 2)}})
            before = time.process_time()
            metrics.observe(state)
            counting.append(time.process_time() - before)
        before = time.process_time()
        reconciler.round(stop)
        rounds.append(time.process_time() - before)
    server.terminate()
    return {
        "nodes": nodes,
        "pods": 5 * nodes,
        "first": first * 1000,
        "round": statistics.median(rounds) * 1000,
        "longest": max(rounds) * 1000,
        "metrics": statistics.median(counting) * 1000,
        "lists": len(api.lists),
        "seen": len(set(api.lists)),
        "other": api.other,
        "share": (sum(rounds) + sum(counting)) / ROUNDS,
    }


def main() -> int:
    """Print the table; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--nodes", type=int, default=NODES, help="with five pods with sets each")
    options = parser.parse_args()
    row = measure(options.nodes)
    if options.json:
        print(json.dumps(row, indent=2))
    else:
        print(Tree.here().build)
        print(f"a round at {row['nodes']:,} nodes: ms of CPU; share of a core, with a round a second\n")
        print(
            f"{'nodes':>7}{'pods with sets':>16}{'first':>8}{'round':>8}{'longest':>9}{'metrics':>9}"
            f"{'LISTs':>7}{'nodes seen':>12}{'other calls':>13}{'share':>8}"
        )
        print(
            f"{row['nodes']:>7,}{row['pods']:>16,}{row['first']:>8.0f}{row['round']:>8.1f}{row['longest']:>9.1f}"
            f"{row['metrics']:>9.1f}{row['lists']:>7,}{row['seen']:>12,}{row['other']:>13}{row['share']:>8.2%}"
        )
    return int(row["share"] > TARGET or row["seen"] < row["nodes"] or row["other"] > 0)


if __name__ == "__main__":
    sys.exit(main())
