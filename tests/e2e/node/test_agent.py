"""The agent as the chart's DaemonSet: what it publishes of a batch job is what the kernel has counted."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import time
from pathlib import Path

import pytest

from tests.e2e.cluster.fakenodes import TOPOLOGY
from tests.e2e.cluster.processes import eventually
from tests.e2e.figures import show
from tests.e2e.node.chart.release import MEAN_SECONDS, NAMESPACE
from tests.e2e.node.machine.node import FIGURES, NAME
from tests.e2e.node.workloads.pods import batch, burner, running, wait_for_room
from tests.e2e.repeating import repeating
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.protocol import KubeQoS

MEBIBYTE = 1 << 20
SLACK = 2.0
"""Seconds."""


def milli(text):
    """Milli-cores of a quantity of CPU."""
    return int(text.removesuffix("m")) * (1 if text.endswith("m") else 1000)


def size(text):
    """Bytes of a quantity of memory."""
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(text[:-2]) * units[text[-2:]] if text[-2:] in units else int(text)


def requested(kubectl):
    """Milli-cores that pods on the node have requested, and percent, as kubectl describes it."""
    said = kubectl.run("describe", "node", NAME).stdout.partition("Allocated resources:")[2]
    amount, percent = re.search(r"^ *cpu +(\d+m?) \((\d+)%\)", said, re.MULTILINE).groups()
    return milli(amount), int(percent)


@pytest.fixture
def full(kubectl, namespace, release):
    """A service that has requested what is left of 95 % of the node's CPU, and idles; the agent enforces."""
    release.set_mode("enforce")
    room = milli(kubectl.get("node", NAME)["status"]["allocatable"]["cpu"]) * 95 // 100
    service = burner(namespace, "service", labels={"koordinator.sh/qosClass": "LS"})
    figures = {"requests": {"cpu": f"{room - requested(kubectl)[0]}m"}}
    service["spec"]["containers"][0]["resources"] = figures
    kubectl.create(service)
    running(kubectl, namespace, "service")
    assert requested(kubectl)[1] == 95
    yield
    release.set_mode("observe")


def report(kubectl, namespace, name):
    """The newest NodeMetric's status, as soon as it names a pod."""

    def named():
        status = kubectl.get("nodemetric", NAME)["status"]
        assert (namespace, name) in [(each["namespace"], each["name"]) for each in status["podsMetric"]]
        return status

    return eventually(named, seconds=120, what=f"a report of pod {name}")


def used(status):
    """Milli-cores of the node, and of its pods together."""
    pods = sum(milli(each["podUsage"]["resources"]["cpu"]) for each in status["podsMetric"])
    return milli(status["nodeMetric"]["nodeUsage"]["resources"]["cpu"]), pods


def bounds(samples, end):
    """The least and the most that a report of this moment can say, in milli-cores.

    The agent looks once a second, so where its window begins and ends is not known better.
    """
    begin = end - MEAN_SECONDS
    within = [usage for when, usage in samples if begin + SLACK <= when <= end - SLACK]
    before = [usage for when, usage in samples if when <= begin - SLACK]
    after = [usage for when, usage in samples if when >= end + SLACK]
    least = (within[-1] - within[0]) / (MEAN_SECONDS + SLACK)
    most = (after[0] - before[-1]) / (MEAN_SECONDS - SLACK)
    return least / 1e6, most / 1e6


@pytest.mark.usefixtures("full")
def test_what_services_do_not_use_is_used(kubectl, node, namespace):
    """Utilisation as the first seed prints it: 95 % requested and idle, then a batch job runs beside.

    The report of the job is what the kernel counts: CPU by cpuacct.usage over its window, memory by
    memory.stat, both of the pod's cgroup.
    """
    idle = used(report(kubectl, namespace, "service"))
    wait_for_room(kubectl, 1000)
    kubectl.create(batch(namespace, "job", "--cpu", "1", "--memory", "40", cpu="1000", memory="96Mi"))
    pod = running(kubectl, namespace, "job")
    written = lambda: kubectl.run("-n", namespace, "logs", "job").stdout  # noqa: E731
    eventually(lambda: "ready" in written(), what="its memory written")
    hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")
    group = hierarchy.pod(KubeQoS.BEST_EFFORT, pod["metadata"]["uid"])
    usage = Path(hierarchy.file("cpuacct", group, "cpuacct.usage"))
    samples = [(time.time(), int(usage.read_text()))]

    def reported():
        status = kubectl.get("nodemetric", NAME)["status"]
        when = dt.datetime.fromisoformat(status["updateTime"]).timestamp()
        # The whole window is one in which the pod burnt and held; memory is looked at every ten seconds.
        assert when > samples[0][0] + MEAN_SECONDS + 10, f"of {status['updateTime']}"
        (found,) = (
            each for each in status["podsMetric"] if (each["namespace"], each["name"]) == (namespace, "job")
        )
        return status, found, when

    with repeating(lambda: samples.append((time.time(), int(usage.read_text())))):
        status, found, when = eventually(reported, seconds=4 * MEAN_SECONDS, what="a report of the pod")
        eventually(lambda: samples[-1][0] >= when + SLACK, what="the seconds after that")
    resources = found["podUsage"]["resources"]
    least, most = bounds(samples, when)
    assert least <= milli(resources["cpu"]) <= most
    lines = Path(hierarchy.file("memory", group, "memory.stat")).read_text().splitlines()
    statistics = {name: int(figure) for name, figure in map(str.split, lines)}
    held = sum(statistics[f"total_{name}"] for name in ("active_anon", "inactive_anon", "unevictable"))
    assert held >= 40 * MEBIBYTE
    assert abs(size(resources["memory"]) - held) <= 2 * MEBIBYTE
    whole = status["nodeMetric"]["nodeUsage"]["resources"]
    assert milli(whole["cpu"]) >= milli(resources["cpu"])
    assert size(whole["memory"]) >= held
    busy, cores = used(status), len(os.sched_getaffinity(0)) * 10
    assert busy[1] - idle[1] >= 0.9 * least
    assert requested(kubectl)[1] == 95
    percent = {
        f"{what} {when}": round(figures[of] / cores, 1)
        for when, figures in (("before", idle), ("after", busy))
        for of, what in enumerate(("node", "pods"))
    }
    show("percent of CPU used, 95 requested", percent, FIGURES)


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


@pytest.mark.usefixtures("release")
def test_another_agent_of_the_node_ends(kubectl):
    """It says who is there; the first one goes on."""
    (first,) = kubectl.items("pods", namespace=NAMESPACE, selector="app.kubernetes.io/component=agent")
    (container,) = first["spec"]["containers"]
    own = {"ports", "livenessProbe", "readinessProbe", "startupProbe"}
    second = {
        **first,
        "metadata": {"namespace": NAMESPACE, "name": "second"},
        "spec": {
            **first["spec"],
            "restartPolicy": "Never",
            # The kubelet lets no other pod have the node's ports of the first one.
            "containers": [{key: value for key, value in container.items() if key not in own}],
        },
    }
    del second["status"]
    kubectl.create(second)
    try:
        kubectl.run(
            "-n", NAMESPACE, "wait", "pod/second", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s"
        )
        said = kubectl.run("-n", NAMESPACE, "logs", "second").stdout
    finally:
        kubectl.run("-n", NAMESPACE, "delete", "pod", "second", "--grace-period=1", "--timeout=60s")
    assert "another agent of this node has this folder" in said
    stored = running(kubectl, NAMESPACE, first["metadata"]["name"])
    assert stored["status"]["containerStatuses"] == first["status"]["containerStatuses"]
