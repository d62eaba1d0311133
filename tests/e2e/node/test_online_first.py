"""Online work first, on a real node full of BE work: it runs at once when it comes, and answers in time.

No figure of time decides anything; they are printed, and appended to build/node.jsonl.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.node.chart.metrics import metrics
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.machine.images import WEB
from tests.e2e.node.machine.node import FIGURES
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.pods import batch, burner, container, offered, online, running
from tests.e2e.repeating import repeating
from tests.ports import free_ports

pytestmark = pytest.mark.usefixtures("suppressing")

STRATEGY = {"enable": True, "cpuSuppressPolicy": "cfsQuota", "cpuSuppressThresholdPercent": 65}
PERIOD = 100_000
CPUS = len(os.sched_getaffinity(0))
FULL, LESS = CPUS * PERIOD // 2, CPUS * PERIOD * 4 // 10
"""Microseconds of a period: what BE has alone, at least, and less than which it has beside online pods."""

REPLICAS = 2
BEFORE = 2
"""Seconds of the record before anything happens."""

MARGIN = 500
"""Milli-cores by which the figure may fall while the pod is placed."""

CLIENT = Path(__file__).parent / "workloads/client.py"

TURNS, SECONDS = 3, 2.5
"""How often the web server is measured in each company, and for how long."""


class Record:
    """What the kernel counts of the node's online and BE pods, and how much BE may use."""

    def __init__(self, node, groups):
        top = Path("/sys/fs/cgroup/cpuacct", node.cgroup, "kubepods")
        usages = top / "burstable/cpuacct.usage", groups.file(groups.pod, "cpuacct.usage")
        self._files = (*usages, groups.file(groups.pod, "cpu.cfs_quota_us"))
        self.samples, self._begun = [], time.monotonic()

    def look(self):
        """Read the counters."""
        now = time.monotonic() - self._begun
        self.samples.append((now, *(int(each.read_text()) for each in self._files)))

    def event(self):
        """Return the second in which something is done now."""
        return time.monotonic() - self._begun

    def seconds(self, event):
        """By second since an event: cores of online pods, of BE pods, and BE's quota at the end."""
        found = {}
        for before, after in zip(self.samples, self.samples[10:], strict=False):
            second = round(after[0] - event)
            span = (after[0] - before[0]) * 1e9
            cores = [round((after[i] - before[i]) / span, 2) for i in (1, 2)]
            found.setdefault(second, (*cores, after[3] / PERIOD))
        return found


def deployment(namespace):
    """Online pods, of which none is there yet; each uses a CPU where it gets one."""
    template = online(namespace, "web", "--cpu", "1", cpu="200m")
    labels = template["metadata"]["labels"] | {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }


def scale(kubectl, namespace, replicas):
    """Scale it."""
    kubectl.run("-n", namespace, "scale", "deployment/web", f"--replicas={replicas}")


def show_seconds(name, seconds):
    """Print a record, and append it."""
    rows = {str(second): seconds[second] for second in sorted(seconds) if second >= -BEFORE}
    show(name, {"onlineCores_beCores_beQuota": rows}, FIGURES)


def test_a_deployment_is_scaled_up_on_a_node_full_of_be_work(kubectl, node, namespace):
    """Its pods run without anybody's end; BE has less time, and later all of it again."""
    ask(kubectl, STRATEGY)
    kubectl.apply(deployment(namespace))
    everything = str(offered(kubectl) - MARGIN)
    kubectl.create(batch(namespace, "be", "--cpu", str(CPUS), cpu=everything, memory="64Mi"))
    stored = running(kubectl, namespace, "be")
    groups = PodGroups(node, stored)

    def quota():
        return int(groups.text(groups.pod, "cpu.cfs_quota_us"))

    eventually(lambda: metrics()["quota_cores"] * PERIOD >= FULL, seconds=90, what="a quota decided")
    eventually(lambda: quota() >= FULL, seconds=60, what="all of it")
    record = Record(node, groups)
    with repeating(record.look):
        eventually(lambda: record.event() > BEFORE, what="what was before")
        up = record.event()
        scale(kubectl, namespace, REPLICAS)
        kubectl.run("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
        ran = record.event() - up
        eventually(lambda: quota() < LESS, seconds=60, what="less for BE")
        since = record.event()
        eventually(lambda: record.event() > since + BEFORE, what="some seconds of it")
        down = record.event()
        scale(kubectl, namespace, 0)
        eventually(lambda: quota() >= FULL, seconds=90, what="all of it again")
        again = record.event() - down
    after = kubectl.get("pod", "be", namespace=namespace)
    assert after["metadata"]["uid"] == stored["metadata"]["uid"]
    assert container(after) == container(stored)
    assert "deletionTimestamp" not in after["metadata"]
    show_seconds("online pods come", record.seconds(up))
    show_seconds("online pods go", record.seconds(down))
    times = {"ready": round(ran, 1), "beHasAllAgain": round(again, 1)}
    show("second direction", times, FIGURES)


class Company:
    """Who else works on the node: two pods that want all CPUs, which are stopped and go on."""

    def __init__(self, kubectl, node, namespace):
        self._kubectl, self._namespace = kubectl, namespace
        plain = burner(namespace, "plain", "--cpu", str(CPUS))
        plain["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
        kubectl.create(plain)
        kubectl.create(batch(namespace, "be", "--cpu", str(CPUS), cpu="1000", memory="64Mi"))
        self._groups = {name: PodGroups(node, running(kubectl, namespace, name)) for name in ("plain", "be")}

    def only(self, name):
        """Let one of them work, or none."""
        for each, groups in self._groups.items():
            for process in groups.processes():
                os.kill(int(process), signal.SIGCONT if each == name else signal.SIGSTOP)

    def manage(self, *, managed):
        """Let the agent care for the BE pod or not, and wait until its cgroup says so."""
        text = "colocation-webhook.io/agent" + ("-" if managed else "=observe")
        self._kubectl.run("-n", self._namespace, "annotate", "--overwrite", "pod", "be", text)
        groups = self._groups["be"]

        def as_told():
            idle = groups.text(groups.pod, "cpu.idle") == "1"
            quota = int(groups.text(groups.pod, "cpu.cfs_quota_us")) > 0
            return (idle, quota) == (managed, managed)

        eventually(as_told, seconds=60, what="the BE pod's cgroup")

    def used(self, name):
        """Nanoseconds of CPU time."""
        return self._groups[name].used()


def measured(port):
    """Milliseconds of each answer, over some seconds."""
    command = [sys.executable, CLIENT, str(port), str(SECONDS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603


def test_how_long_a_web_server_takes(kubectl, namespace, node):
    """Alone, beside batch work in an ordinary pod, beside BE that nobody manages, and with the agent."""
    ask(kubectl, STRATEGY)
    (port,) = free_ports(1)
    web = online(namespace, "web", str(port), cpu="200m")
    web["spec"]["containers"][0]["image"] = WEB
    kubectl.create(web)
    running(kubectl, namespace, "web")
    company = Company(kubectl, node, namespace)
    kinds = {"alone": "", "ordinary": "plain", "unmanaged": "be", "agent": "be"}
    found = {kind: [] for kind in kinds}
    for _ in range(TURNS):
        for kind, name in kinds.items():
            company.only(name)
            if name == "be":
                company.manage(managed=kind == "agent")
            before = {each: company.used(each) for each in ("plain", "be")}
            found[kind] += measured(port)
            worked = {each for each in before if company.used(each) > before[each] + 5 * 10**6}
            assert worked == ({name} if name else set())
    company.only("")
    figures = {}
    for kind, times in found.items():
        cuts = statistics.quantiles(times, n=100)
        figures[kind] = {"answers": len(times), "p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}
    for kind in kinds:
        figures[kind]["ofAlone"] = round(figures[kind]["p99"] / figures["alone"]["p99"], 2)
    show("a web server's answers, ms", figures, FIGURES)
