"""Latency of /mutate while a scheduler asks the same process: 50 filter calls a second, one after another.

`serve --cpusets --scheduler` knows the nodes and pods of ``benchmarks.scheduling`` from an API server that
lists them, and hears of no change. LS, BE and LSR pods are asked about in turn, about all nodes. Runs with
and without these calls take turns; a ratio is that of the medians of p99.

    python -m benchmarks.beside [--nodes N]

The exit status is 1 if p99 with the calls is more than 1.5 of that without.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import multiprocessing
import os
import ssl
import statistics
import sys
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.scheduling import cluster, pod
from benchmarks.server import CLIENT_CORE, REVIEW, Running, serve_command, target_of, workplace
from benchmarks.service.process import free_port, started
from benchmarks.tree import Tree
from webhook.certificates.files import CertificateFiles
from webhook.protocol import (
    NODEMETRIC_KIND,
    NODEMETRIC_RESOURCE,
    PRIORITY_BANDS,
    TOPOLOGY_KIND,
    TOPOLOGY_RESOURCE,
)

Json = dict[str, Any]

NODES: Final = 500
CALLS_A_SECOND: Final = 50
CONNECTIONS: Final = (1, 8, 64)
RUNS: Final = 5
SECONDS: Final = 4.0
MOST: Final = 1.5
_PLURALS: Final = {
    "nodes": "Node",
    "pods": "Pod",
    "namespaces": "Namespace",
    "priorityclasses": "PriorityClass",
    NODEMETRIC_RESOURCE: NODEMETRIC_KIND,
    TOPOLOGY_RESOURCE: TOPOLOGY_KIND,
}


def serve_objects(pipe: Connection, nodes: int) -> None:
    """Answer LISTs, hold watches, and send the port first."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    objects = cluster(nodes)
    objects["Namespace"].append(
        {"metadata": {"name": json.loads(REVIEW.read_bytes())["request"]["namespace"]}}
    )
    objects["PriorityClass"] = [
        {"metadata": {"name": band.name}, "value": band.value} for band in PRIORITY_BANDS
    ]
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for each in objects[NODEMETRIC_KIND]:
        each["status"]["updateTime"] = now

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = urllib.parse.parse_qs(url.query)
            if "watch" in query:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                time.sleep(3600)
            found = objects.get(_PLURALS.get(url.path.rpartition("/")[2], ""), [])
            selector = query.get("labelSelector", [""])[0]
            if "qosClass in" in selector:
                found = [
                    each for each in found if each["metadata"]["labels"]["koordinator.sh/qosClass"] == "LSR"
                ]
            elif "qosClass notin" in selector:
                found = []
            begin, limit = (int(query.get(each, ["0"])[0]) for each in ("continue", "limit"))
            end = begin + (limit or len(found))
            more = {"continue": str(end)} if end < len(found) else {}
            listed = {"metadata": {"resourceVersion": "1", **more}, "items": found[begin:end]}
            body = json.dumps(listed).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def do_PUT(self) -> None:
            self.send_error(http.client.FORBIDDEN)  # nobody leads here

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        pipe.send(server.server_address[1])
        server.serve_forever()


def ask(pipe: Connection, folder: str, port: int, nodes: int) -> None:
    """Ask as a scheduler does, on one connection, for as long as nothing else is said; send what was seen."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    context = ssl.create_default_context(cafile=str(CertificateFiles(Path(folder)).ca_certificate))
    client = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
    names = [f"node-{number}" for number in range(nodes)]
    bodies = [
        json.dumps({"Pod": pod(f"new-{qos}", qos, "4"), "Nodes": None, "NodeNames": names})
        for qos in ("LS", "BE", "LSR")
    ]
    took: list[float] = []
    failed, due = 0, time.perf_counter()
    while not pipe.poll(max(0.0, due - time.perf_counter())):
        due = max(due + 1 / CALLS_A_SECOND, time.perf_counter())
        began = time.perf_counter()
        client.request(
            "POST", "/scheduler/filter", bodies[len(took) % 3], {"Content-Type": "application/json"}
        )
        with contextlib.closing(client.getresponse()) as answer:
            right = (
                answer.status == http.client.OK and len(json.loads(answer.read())["NodeNames"]) > nodes // 2
            )
        took.append(1000 * (time.perf_counter() - began))
        failed += not right
    pipe.send((took, failed))


@contextlib.contextmanager
def asking(folder: Path, port: int, nodes: int, seen: list[tuple[list[float], int]]) -> Iterator[None]:
    """Have a scheduler ask until the block ends."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=ask, args=(theirs, str(folder), port, nodes), daemon=True)
    process.start()
    time.sleep(0.5)
    yield
    mine.send("end")
    seen.append(mine.recv())
    process.join()


@contextlib.contextmanager
def serving(folder: Path, nodes: int, *, extender: bool = True) -> Iterator[tuple[Running, int]]:
    """Run the service beside an API server, once it answers a scheduler, or without the extender."""
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve_objects, args=(theirs, nodes), daemon=True)
    server.start()
    access, port = f"http://127.0.0.1:{mine.recv()}", free_port()
    (folder / "kubeconfig").write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": access}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                "users": [{"name": "c", "user": {}}],
            }
        )
    )  # fmt: skip
    (folder / "scheduler.yaml").write_text("")
    more = ["--kubeconfig", str(folder / "kubeconfig"), "--cpusets"]
    if extender:
        more += ["--scheduler", str(folder / "scheduler.yaml")]
    command = serve_command(Tree.here(), folder, 1, port, *more)
    try:
        with started(command, port, folder / "serve.log") as process:
            seen: list[tuple[list[float], int]] = []
            for _ in range(30 if extender else 0):
                with contextlib.suppress(Exception), asking(folder, port, nodes, seen):
                    pass
                if seen and not seen[-1][1]:
                    break
            if extender and (not seen or seen[-1][1]):
                raise RuntimeError((folder / "serve.log").read_text())
            yield Running("beside", process, target_of(CertificateFiles(folder), port)), port
    finally:
        server.terminate()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=NODES)
    nodes = parser.parse_args().nodes
    missed = False
    with workplace() as folder, serving(folder, nodes) as (running, port):
        print(
            f"p50 and p99 of /mutate in ms beside {CALLS_A_SECOND} filter calls a second of {nodes:,} nodes\n"
        )
        print(
            f"{'conns':>6}{'p50':>8}{'with':>8}{'p99':>8}{'with':>8}{'ratio':>8}{'filter p50':>12}{'p99':>8}"
        )
        for connections in CONNECTIONS:
            alone, beside, seen = [], [], []
            for _ in range(RUNS):
                alone.append(running.measure(connections, SECONDS).load)
                with asking(folder, port, nodes, seen):
                    beside.append(running.measure(connections, SECONDS).load)
            p50, p50_with = (statistics.median(each.p50 for each in loads) for loads in (alone, beside))
            p99, p99_with = (statistics.median(each.p99 for each in loads) for loads in (alone, beside))
            failed = sum(each.failed for each in (*alone, *beside)) + sum(failed for _, failed in seen)
            calls = sorted(took for run, _ in seen for took in run)
            calls_p50, calls_p99 = (calls[len(calls) * share // 100] for share in (50, 99))
            missed |= p99_with > MOST * p99 or failed > 0
            print(
                f"{connections:>6}{p50:>8.2f}{p50_with:>8.2f}{p99:>8.2f}{p99_with:>8.2f}"
                f"{p99_with / p99:>8.2f}{calls_p50:>12.1f}{calls_p99:>8.1f}"
                + (f"  {failed} failed" if failed else ""),
                flush=True,
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
