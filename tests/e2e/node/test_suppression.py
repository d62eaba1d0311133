"""BE work gives way on a real node: online load rises and it shrinks, falls and it grows by the step.

What others do on this machine is no part of the node: the agent's /proc/stat says of the CPUs' time what the
kernel counted for the node's own pods.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import math
import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import BATCH_CPU, batch, burner, container, running
from webhook.agent.hierarchy import find_hierarchy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.protocol import KubeQoS

PERIOD = 100_000
STEP = len(os.sched_getaffinity(0)) * PERIOD // 10
"""Microseconds of a period by which a quota may grow in a round."""

FLOOR = 2000
"""Microseconds that BE pods keep."""

LOAD = 0.35
"""Cores of an online pod that leave BE pods one CPU of two, at 65 percent, whatever else runs here."""

STAT = "var/lib/machine-stat"
METRICS = "http://127.0.0.1:8083/metrics"
CONFIG = "slo-controller-config"


class OwnStat:
    """A /proc/stat by which this node's pods are all that runs, kept up to date."""

    def __init__(self, path: Path, usage: Path) -> None:
        self._usage = usage
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._stop = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _write(self) -> None:
        ticks = int(self._usage.read_text()) * os.sysconf("SC_CLK_TCK") // 10**9
        cpus = "".join(f"cpu{each} 0 0 0 0 0 0 0\n" for each in sorted(os.sched_getaffinity(0)))
        os.pwrite(self._file, f"cpu  {ticks:020d} 0 0 0 0 0 0\n{cpus}".encode(), 0)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._write()

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        os.close(self._file)


@pytest.fixture(scope="module", autouse=True)
def _suppressing(release, kubectl, node):
    """The agent enforces and may suppress, down to one CPU; afterwards it observes again."""
    usage = Path("/sys/fs/cgroup/cpuacct", node.cgroup, "kubepods/cpuacct.usage")
    own = OwnStat(node.folder / STAT, usage)
    release.set_mode("enforce", f"/{STAT}", suppression={"enabled": True, "leastCPUs": 1})
    figure = lambda: kubectl.get("node", NAME)["status"]["allocatable"][BATCH_CPU]  # noqa: E731
    eventually(lambda: int(figure().replace("k", "000")) >= 1500, seconds=90, what="room for batch pods")
    yield
    ask(kubectl, {"enable": False})
    release.set_mode("observe")
    own.close()


def ask(kubectl, strategy):
    """Write it into the ConfigMap, of which the controller makes the NodeSLO."""
    text = json.dumps({"clusterStrategy": strategy})
    patch = json.dumps({"data": {"resource-threshold-config": text}})
    kubectl.run("-n", NAMESPACE, "patch", "configmap", CONFIG, "--type=merge", "-p", patch)

    def made():
        spec = kubectl.get("nodeslo", NAME)["spec"]["resourceUsedThresholdWithBE"]
        assert spec.items() >= strategy.items(), spec
        return True

    eventually(made, seconds=60, what="the NodeSLO")


def metrics():
    """The agent's metrics of suppression, by their short names."""
    with urllib.request.urlopen(METRICS, timeout=5) as answer:
        text = answer.read().decode()
    prefix = "colocation_webhook_agent_suppression_"
    lines = (line.removeprefix(prefix).split() for line in text.splitlines() if line.startswith(prefix))
    return {name: float(value) for name, value in lines}


class Files:
    """The cgroups of a pod and of its one container."""

    def __init__(self, node, stored, qos=KubeQoS.BEST_EFFORT):
        self._hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")
        self._pod = self._hierarchy.pod(qos, stored["metadata"]["uid"])
        self._container = self._hierarchy.containers(self._pod)[container(stored)]

    def text(self, controller, name, *, pod=False):
        """What a file of the container holds, or of the pod."""
        path = self._hierarchy.file(controller, self._pod if pod else self._container, name)
        return Path(path).read_text().strip()

    @property
    def folder(self):
        """The pod's folder, by its last name."""
        return self._pod.rpartition("/")[2]

    def cpus(self):
        """Where the container may run."""
        return parse_cpulist(self.text("cpuset", "cpuset.cpus"))

    def quota(self):
        """Of the pod."""
        return int(self.text("cpu", "cpu.cfs_quota_us", pod=True))

    def periods(self):
        """In how many periods the pod had a quota and ran."""
        return int(self.text("cpu", "cpu.stat", pod=True).split("nr_periods")[1].split()[0])

    def used(self):
        """Nanoseconds of CPU time of the pod."""
        return int(self.text("cpuacct", "cpuacct.usage", pod=True))

    def allowed(self):
        """On which CPUs each process of the container runs, by the kernel."""
        for pid in self.text("cpuset", "cgroup.procs").split():
            status = dict(
                line.split(":", 1) for line in Path("/proc", pid, "status").read_text().splitlines()
            )
            yield parse_cpulist(status["Cpus_allowed_list"].strip())


def online(namespace, name, *arguments):
    """A pod of class LS that asks for little and may use all."""
    pod = burner(namespace, name, *arguments, labels={"koordinator.sh/qosClass": "LS"})
    pod["spec"]["restartPolicy"] = "Never"
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "50m"}}
    return pod


def told(kubectl, namespace, rule="suppression"):
    """What the ledger says of the BE pod by this rule."""
    agent = ["exec", "daemonset/release-colocation-webhook-agent", "--", "colocation-webhook", "agent"]
    said = kubectl.run("-n", NAMESPACE, *agent, "log", "--pod", f"{namespace}/be", "-o", "json").stdout
    lines = [json.loads(line) for line in said.splitlines()]
    return [each for each in lines if each["why"]["rule"] == rule]


class Rounds:
    """What the agent's metrics say of each round, looked at ten times a second."""

    def __init__(self):
        self.seen = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(0.1):
            with contextlib.suppress(OSError):
                found = metrics()
                if "budget_cores" in found:
                    self.seen[int(found["rounds_total"])] = found

    def ordered(self):
        """The rounds, the earliest first."""
        return [self.seen[number] for number in sorted(self.seen)]


def rise(kubectl, node, namespace, *arguments):
    """Start online load, wait until the kernel has counted some, and return when its container began."""
    kubectl.create(online(namespace, "online", *arguments))
    stored = running(kubectl, namespace, "online")
    files = Files(node, stored, KubeQoS.BURSTABLE)
    (status,) = stored["status"]["containerStatuses"]
    begun = dt.datetime.fromisoformat(status["state"]["running"]["startedAt"]).timestamp()

    def seen():
        before, since = files.used(), time.monotonic_ns()
        time.sleep(0.5)
        return files.used() - before > LOAD * (time.monotonic_ns() - since)

    eventually(seen, seconds=60, what="online load")
    return begun


def fall(kubectl, namespace):
    """End it."""
    kubectl.run("-n", namespace, "delete", "pod", "online", "--grace-period=1")


def seconds_until(line, begun):
    """From a time of day to that of a line of the ledger."""
    return dt.datetime.fromisoformat(line["t"]).timestamp() - begun


def test_by_cpus(kubectl, node, namespace):
    """Two CPUs, one while online load is high, two again: in no round more than the budget has, and why."""
    ask(kubectl, {"enable": True, "cpuSuppressPolicy": "cpuset", "cpuSuppressThresholdPercent": 65})
    kubectl.create(batch(namespace, "be", "--cpu", "1", cpu="1000", memory="64Mi"))
    files = Files(node, running(kubectl, namespace, "be"))
    eventually(lambda: metrics().get("cpus") == 2, seconds=60, what="two CPUs decided")
    eventually(lambda: len(files.cpus()) == 2, what="two CPUs")
    with Rounds() as rounds:
        begun = rise(kubectl, node, namespace, "--cpu", "2")

        def narrowed():
            allowed = {frozenset(each) for each in files.allowed()}
            assert allowed == {frozenset(files.cpus())}
            return len(files.cpus()) == 1

        eventually(narrowed, seconds=60, what="one CPU, also of the process")
        fall(kubectl, namespace)
        eventually(lambda: len(files.cpus()) == 2, seconds=60, what="two CPUs again")
    for each in rounds.ordered():
        assert each["cpus"] <= max(1, math.ceil(each["budget_cores"])), each
    lines = [each for each in told(kubectl, namespace) if each["file"] == "cpuset.cpus"]
    narrow = [each for each in lines if len(parse_cpulist(each["new"])) == 1]
    wide = [each for each in lines if len(parse_cpulist(each["new"])) > 1]
    assert narrow
    assert wide
    assert all(int(each["why"]["inputs"]["budget"]) <= 1000 for each in narrow)
    assert all(int(each["why"]["inputs"]["budget"]) > 1000 for each in wide)
    print(f"\n  one CPU {seconds_until(narrow[0], begun):.1f} s after the online pod began, to a second")
    ask(kubectl, {"enable": False})
    eventually(lambda: not metrics(), seconds=30, what="nothing suppressed")


def test_by_quota(kubectl, node, namespace):
    """At once less, by a tenth of the machine more again; the kernel counts no more than the quotas allow."""
    ask(kubectl, {"enable": True, "cpuSuppressPolicy": "cfsQuota", "cpuSuppressThresholdPercent": 65})
    kubectl.create(batch(namespace, "be", "--cpu", "1", cpu="1000", memory="64Mi"))
    files = Files(node, running(kubectl, namespace, "be"))
    own = PERIOD  # of 1000 milli-cores
    eventually(lambda: metrics().get("quota_cores", 0) >= 1, seconds=60, what="a core's quota decided")
    eventually(lambda: files.quota() == own, seconds=60, what="its own quota")
    with Rounds() as rounds:
        begun = rise(kubectl, node, namespace, "--cpu", "2")
        eventually(lambda: FLOOR <= files.quota() < own - STEP, seconds=60, what="less")
        before, periods, most = files.used(), files.periods(), files.quota()
        for _ in range(50):
            most = max(most, files.quota())
            time.sleep(0.1)
        most = max(most, files.quota())
        used, periods = files.used() - before, files.periods() - periods
        assert used <= 1.05 * periods * most * 1000 + 2 * own * 1000, "two periods in part"
        fall(kubectl, namespace)
        eventually(lambda: files.quota() == own, seconds=90, what="its own quota again")
    found = rounds.ordered()
    for each in found:
        assert each["quota_cores"] <= max(FLOOR / PERIOD, each["budget_cores"]) + 1e-9, each
    for each, after in itertools.pairwise(sorted(rounds.seen.items())):
        grown = after[1]["quota_cores"] - each[1]["quota_cores"]
        assert grown <= (after[0] - each[0]) * STEP / PERIOD + 1e-9
    lines = [
        each
        for each in told(kubectl, namespace)
        if each["file"] == "cpu.cfs_quota_us" and each["path"].endswith(files.folder)
    ]
    fallen = [each for each in lines if int(each["new"]) < int(each["old"])]
    risen = [each for each in lines if int(each["new"]) > int(each["old"]) > 0]
    assert fallen
    assert len(risen) > 1
    assert all(int(each["new"]) - int(each["old"]) <= STEP for each in risen)
    print(
        f"\n  a smaller quota {seconds_until(fallen[0], begun):.1f} s after the online pod began, to a second"
    )
    ask(kubectl, {"enable": False})
    eventually(lambda: not metrics() and files.quota() == own, seconds=60, what="what it had")
