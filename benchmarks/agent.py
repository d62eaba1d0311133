"""What the agent costs a node: CPU time and memory of its process, with 200 pods that are real cgroups.

Each pod has a group in each of this machine's hierarchies, as a kubelet makes them, with one of a container
and one of a sandbox below it, and a third of them a process. A third is of class BE with batch resources, a
third of class LS. A process of its own is the API server: it lists the pods, the node and its NodeMetric, and
takes what the agent publishes. One agent observes, one enforces, and one does so by a NodeSLO that lets the
quotas of all pods but BE rise; next to them a naive one, which opens and parses the same files of every pod
each second and does nothing else. All run at the same time, so that other
work on the machine meets all of them.

    python -m benchmarks.agent [--pods N] [--seconds S]

It needs the right to make cgroups. The exit status is 1 if an agent that enforces misses a target: 1 % of a
core, 60 MB. With as many pods as koordlet was measured with, its figures are a row of the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from benchmarks.tree import environment

PODS: Final = 200
SECONDS: Final = 60
WARM_UP: Final = 25
MODES: Final = ("observe", "enforce", "enforce, quotas rise")
MOST_PERCENT: Final = 1.0
MOST_BYTES: Final = 60_000_000
KOORDLET_PODS: Final = 3
KOORDLET: Final = ("koordlet 1.8, recorded", "0.4-0.6", f"{118e6 / 2**20:.0f}-{122e6 / 2**20:.0f}")
"""With three pods at rest, on a node of the same kind: percent of a core, RSS in MiB."""

BOOKMARK_SECONDS: Final = 60  # as the API server
_TOP: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory", "unified")

_AGENT: Final = """
import pathlib, sys
import webhook.cli.main
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.service import AgentService
from webhook.agent.statefolder import StateFolder
from webhook.agent.watched import Watched
from webhook.kube.access import Access
from webhook.kube.client import Client
from webhook.process.address import listen
from webhook.process.metrics import new_registry

server, kubepods, folder, mode = sys.argv[1:]
watched = Watched(Client(Access(server=server)), "n1")
if "quotas" in mode:
    bursts = {"policy": "cfsQuotaBurstOnly", "cfsQuotaBurstPeriodSeconds": 60}
    watched.default_slo = {"cpuBurstStrategy": bursts}
AgentService(
    watched,
    find_hierarchy("/", kubepods),
    StateFolder(pathlib.Path(folder)),
    new_registry(),
    enforce=mode.startswith("enforce"),
).run(listen("127.0.0.1:0"))
"""

_NAIVE: Final = """
import pathlib, re, sys, time

paths = [pathlib.Path(line) for line in sys.stdin.read().split()]
while True:
    for path in paths:
        text = path.read_text()
        values = {key: int(value) for key, value in re.findall(r"^(\\\\w+) (\\\\d+)$", text, re.MULTILINE)}
    time.sleep(1)
"""


class _Cluster(BaseHTTPRequestHandler):
    """The API server: lists, watches that bring bookmarks, and applies."""

    protocol_version = "HTTP/1.1"
    pods: Sequence[dict[str, Any]] = ()
    measured = 0  # how many pods the last NodeMetric had

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a list, or keep a watch open; say how many pods were measured."""
        if self.path == "/measured":
            self._answer(self.measured)
            return
        if "watch=1" in self.path:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            bookmark = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}})
            with contextlib.suppress(OSError):  # the agent has ended
                while True:
                    self.wfile.write(f"{len(bookmark) + 1:x}\r\n{bookmark}\n\r\n".encode())
                    time.sleep(BOOKMARK_SECONDS)
            return
        self._answer({"metadata": {"resourceVersion": "1"}, "items": self._items()})

    def do_PATCH(self) -> None:
        """Take what is published."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "status" in body:
            type(self).measured = len(body["status"]["podsMetric"])
        self._answer(body)

    def _items(self) -> Sequence[dict[str, Any]]:
        if self.path.startswith("/api/v1/pods"):
            return self.pods
        if self.path.startswith("/api/v1/nodes"):
            allocatable = {"cpu": "64", "memory": "256Gi"}
            return [{"metadata": {"name": "n1", "uid": "u"}, "status": {"allocatable": allocatable}}]
        if "/nodeslos" in self.path:
            return ()
        return [{"metadata": {"name": "n1"}, "spec": {"metricCollectPolicy": {"reportIntervalSeconds": 60}}}]

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options = parser.parse_args()
    tops = [_TOP / name for name in _CONTROLLERS if (_TOP / name / "cgroup.procs").exists()]
    if not tops:
        sys.exit("benchmarks.agent: this machine has no cgroups of version 1 at /sys/fs/cgroup")
    with contextlib.ExitStack() as stack:
        kubepods = stack.enter_context(_groups(tops, options.pods))
        server = stack.enter_context(_api_server(options.pods))
        agents = [
            stack.enter_context(_process(_AGENT, server, kubepods, _folder(stack), mode)) for mode in MODES
        ]
        naive = stack.enter_context(_process(_NAIVE, stdin=_files(tops, kubepods, options.pods)))
        time.sleep(WARM_UP)
        figures = _measured([*agents, naive], options.seconds)
        wrong = _not_enforced(kubepods, options.pods)
        with urllib.request.urlopen(f"{server}/measured") as answer:
            measured = int(answer.read())
        if measured != options.pods:
            sys.exit(f"benchmarks.agent: the agent has published {measured} pods of {options.pods}")
        if wrong:
            sys.exit(f"benchmarks.agent: {len(wrong)} files are not as planned, among them {wrong[0]}")
    print(
        f"{options.pods} pods, {options.seconds} s; targets {MOST_PERCENT:g} % of a core, "
        f"{MOST_BYTES / 2**20:.1f} MiB ({MOST_BYTES // 10**6} MB)\n"
    )
    print(f"{'':<34}{'% of a core':>14}{'RSS MiB':>10}{'PSS MiB':>10}")
    names = (*(f"agent, mode {mode}" for mode in MODES), "naive: opens each file")
    for name, (percent, rss, pss) in zip(names, figures, strict=True):
        print(f"{name:<34}{percent:>14.2f}{rss:>10.1f}{pss:>10.1f}")
    if options.pods == KOORDLET_PODS:
        print("{:<34}{:>14}{:>10}{:>10}".format(*KOORDLET, "-"))
    enforced = [each for mode, each in zip(MODES, figures, strict=False) if mode.startswith("enforce")]
    sys.exit(any(percent > MOST_PERCENT or rss * 2**20 > MOST_BYTES for percent, rss, _ in enforced))


def _uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def _container(number: int, kind: str) -> str:
    """Return the id of a pod's container or sandbox."""
    return f"{number:04x}{kind.encode().hex():0<60}"


def _batch(number: int) -> bool:
    return number % 3 == 0


def _group(number: int) -> str:
    """Return the group of a pod, below that of all of them."""
    return f"{'besteffort' if _batch(number) else 'burstable'}/pod{_uid(number)}"


def _pod(number: int) -> dict[str, Any]:
    """Return a pod of the size that the API server sends."""
    qos = ("BE", "LS", "")[number % 3]
    batch = {"kubernetes.io/batch-cpu": "500", "kubernetes.io/batch-memory": "128Mi"}
    resources = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m"}}
    if _batch(number):
        resources = {"requests": batch, "limits": batch}
    status = {"name": "main", "containerID": f"containerd://{_container(number, 'main')}"}
    return {
        "metadata": {
            "namespace": "shop",
            "name": f"web-{number}",
            "uid": _uid(number),
            "labels": {"app": "web", **({"koordinator.sh/qosClass": qos} if qos else {})},
            "annotations": {"note": "x" * 2000},
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "resources": resources}]},
        "status": {
            "phase": "Running",
            "qosClass": "BestEffort" if _batch(number) else "Burstable",
            "containerStatuses": [status],
        },
    }


@contextlib.contextmanager
def _groups(tops: Sequence[Path], pods: int) -> Iterator[str]:
    """Make the groups of a kubelet, a process in every third pod; they are removed at the end."""
    name = f"colocation-webhook-bench-{os.getpid()}"
    kubepods = f"{name}/kubepods"
    groups = [f"{kubepods}/{_group(number)}" for number in range(pods)]
    below = [
        f"{kubepods}/{_group(number)}/{_container(number, kind)}"
        for number in range(pods)
        for kind in ("main", "sandbox")
    ]
    processes: list[subprocess.Popen[bytes]] = []
    made: list[Path] = []
    try:
        for top in tops:
            for group in (name, kubepods, f"{kubepods}/besteffort", f"{kubepods}/burstable", *groups, *below):
                (top / group).mkdir()
                made.append(top / group)
                for file in ("cpuset.cpus", "cpuset.mems"):
                    if (top / file).exists():
                        (top / group / file).write_text((top / file).read_text())
        _limit((*groups, *below[::2]))
        for group in below[::6]:
            processes.append(subprocess.Popen(["sleep", "3600"]))
            for top in tops:
                (top / group / "cgroup.procs").write_text(str(processes[-1].pid))
        yield kubepods
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        for folder in reversed(made):
            _remove(folder)


def _limit(groups: Sequence[str]) -> None:
    """Give the groups of pods and containers the quotas of their limits, as a kubelet does."""
    for group in groups:
        file = _TOP / "cpu" / group / "cpu.cfs_quota_us"
        if "/burstable/" in group and file.exists():
            file.write_text("50000")


def _remove(folder: Path) -> None:
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)  # the kernel still counts a process that has ended
        else:
            return


def _serve(pods: int, port: Connection) -> None:
    _Cluster.pods = [_pod(number) for number in range(pods)]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cluster)
    server.daemon_threads = True
    port.send(server.server_port)
    server.serve_forever()


@contextlib.contextmanager
def _api_server(pods: int) -> Iterator[str]:
    """Run the API server; yield its URL."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(pods, theirs), daemon=True)
    server.start()
    yield f"http://127.0.0.1:{ours.recv()}"
    server.kill()
    server.join()


@contextlib.contextmanager
def _process(code: str, *arguments: str, stdin: str = "") -> Iterator[int]:
    """Run Python code; yield the process id."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        try:
            yield process.pid
        finally:
            process.kill()


def _files(tops: Sequence[Path], kubepods: str, pods: int) -> str:
    """Return the files that the naive agent reads of every pod."""
    names = {"cpuacct": "cpuacct.usage", "memory": "memory.stat", "unified": "cpu.pressure"}
    return "\n".join(
        str(top / kubepods / _group(number) / names[top.name])
        for number in range(pods)
        for top in tops
        if top.name in names
    )


def _not_enforced(kubepods: str, pods: int) -> list[Path]:
    """Return the quotas of batch pods that are not what the agent should have written."""
    files = [
        _TOP / "cpu" / kubepods / _group(number) / "cpu.cfs_quota_us"
        for number in range(pods)
        if _batch(number)
    ]
    return [each for each in files if each.read_text().strip() != "50000"]


def _folder(stack: contextlib.ExitStack) -> str:
    """Return a folder for the state of one agent."""
    return stack.enter_context(tempfile.TemporaryDirectory())


def _measured(processes: Sequence[int], seconds: int) -> list[tuple[float, float, float]]:
    """Return percent of a core, and MiB at the end."""
    before = [_cpu_seconds(process) for process in processes]
    time.sleep(seconds)
    return [
        (100 * (_cpu_seconds(process) - first) / seconds, *_memory(process))
        for process, first in zip(processes, before, strict=True)
    ]


def _cpu_seconds(process: int) -> float:
    return time.clock_gettime(~process << 3 | 2)


def _memory(process: int) -> tuple[float, float]:
    """Return RSS and PSS in MiB."""
    values = dict(
        line.split()[:2] for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    )
    return int(values["Rss:"]) / 1024, int(values["Pss:"]) / 1024


if __name__ == "__main__":
    main()
