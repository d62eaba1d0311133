"""The agent as the chart's DaemonSet: what it publishes of a burner is what the kernel has counted."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from pathlib import Path

import pytest

from tests.e2e.cluster.fakenodes import TOPOLOGY
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import MEAN_SECONDS, NAMESPACE
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import burner, running
from webhook.agent.hierarchy import find_hierarchy
from webhook.protocol import KubeQoS

MEBIBYTE = 1 << 20


def milli(text):
    """Milli-cores of a quantity of CPU."""
    return int(text.removesuffix("m")) * (1 if text.endswith("m") else 1000)


def size(text):
    """Bytes of a quantity of memory."""
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(text[:-2]) * units[text[-2:]] if text[-2:] in units else int(text)


@pytest.fixture
def pod(kubectl, namespace, release):
    """A pod that wants a CPU, may have a quarter of one, and holds 40 MiB."""
    del release
    figures = {"cpu": "250m", "memory": "96Mi"}
    kubectl.create(burner(namespace, "burner", "--cpu", "1", "--memory", "40", figures=figures))
    stored = running(kubectl, namespace, "burner")
    written = lambda: kubectl.run("-n", namespace, "logs", "burner").stdout  # noqa: E731
    eventually(lambda: "ready" in written(), what="its memory written")
    return stored


def mean(samples, begin, end):
    """Milli-cores between two moments, by the samples next to them."""
    (first, before), (last, after) = (min(samples, key=lambda each: abs(each[0] - at)) for at in (begin, end))
    return (after - before) / (last - first) / 1e6


def test_a_pod_is_reported_as_the_kernel_counts_it(kubectl, node, namespace, pod):
    """CPU by cpuacct.usage over the window of the report, memory by memory.stat, both of the pod's cgroup."""
    hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")
    group = hierarchy.pod(KubeQoS.GUARANTEED, pod["metadata"]["uid"])
    usage = Path(hierarchy.file("cpuacct", group, "cpuacct.usage"))
    samples = []

    def reported():
        samples.append((time.time(), int(usage.read_text())))
        status = kubectl.get("nodemetric", NAME)["status"]
        when = dt.datetime.fromisoformat(status["updateTime"]).timestamp()
        # The whole window is one in which the pod burnt and held; memory is looked at every ten seconds.
        assert when > samples[0][0] + MEAN_SECONDS + 10, f"of {status['updateTime']}"
        (found,) = (each for each in status["podsMetric"] if each["namespace"] == namespace)
        return status, found, when

    status, found, when = eventually(reported, seconds=4 * MEAN_SECONDS, what="a report of the pod")
    resources = found["podUsage"]["resources"]
    counted = mean(samples, when - MEAN_SECONDS, when)
    assert 0.9 * counted <= milli(resources["cpu"]) <= 1.1 * counted
    lines = Path(hierarchy.file("memory", group, "memory.stat")).read_text().splitlines()
    statistics = {name: int(figure) for name, figure in map(str.split, lines)}
    held = sum(statistics[f"total_{name}"] for name in ("active_anon", "inactive_anon", "unevictable"))
    assert held >= 40 * MEBIBYTE
    assert abs(size(resources["memory"]) - held) <= 2 * MEBIBYTE
    whole = status["nodeMetric"]["nodeUsage"]["resources"]
    assert milli(whole["cpu"]) >= milli(resources["cpu"])
    assert size(whole["memory"]) >= held


@pytest.mark.usefixtures("release")
def test_the_topology_is_this_machines(kubectl):
    """Each CPU that is online, once."""
    stored = eventually(lambda: kubectl.get(TOPOLOGY, NAME), seconds=60, what="NodeResourceTopology")
    told = json.loads(stored["metadata"]["annotations"]["node.koordinator.sh/cpu-topology"])
    assert sorted(each["id"] for each in told["detail"]) == sorted(os.sched_getaffinity(0))


@pytest.mark.usefixtures("release")
def test_it_has_few_rights(kubectl):
    """No capability, none to be gained, system calls filtered, and one folder of its own to write to."""
    (pod,) = kubectl.items("pods", namespace=NAMESPACE, selector="app.kubernetes.io/component=agent")
    looking = (
        "import json, os; status = dict(line.split(':', 1) for line in open('/proc/1/status'));"
        "places = {each: os.statvfs(each).f_flag & os.ST_RDONLY for each in ('/', '/var/lib/kubelet',"
        " '/var/lib/colocation-webhook')}; print(json.dumps([status, places]))"
    )
    said = kubectl.run("-n", NAMESPACE, "exec", pod["metadata"]["name"], "--", "python3", "-c", looking)
    status, places = json.loads(said.stdout)
    rights = {name: int(value, 16) for name, value in status.items() if name.startswith("Cap")}
    assert set(rights.values()) == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert places == {"/": 1, "/var/lib/kubelet": 1, "/var/lib/colocation-webhook": 0}
