"""Eviction on a real node, by figures of its own agent: obedient BE pods, and one that ignores SIGTERM.

Two controllers serve the agent's requests: the chart's pod, and a process with a Lease of its own, so that
both believe to lead. They may evict one pod of the node a minute.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from pathlib import Path

import pytest

from tests.e2e.capacity.controller import CONTROLLER
from tests.e2e.capacity.evicting import protect, replica
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.ledger import actions
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.pods import batch, container, online, running, wait_for_room
from tests.e2e.release.rendering import NEWEST, Helm

AFTER = 5
"""Seconds for which the pod may ignore that it was asked to end."""

GRACE = 600
"""Seconds that it has asked for."""

EVICTION = {"enabled": True, "perMinute": {"cluster": 9, "node": 1, "workload": 9}}
OFF = {"enable": False}
GIBIBYTE = 1 << 30
SIZES = {"protected": 56, "first": 48, "second": 40}
"""MiB of each obedient pod: all of them are less than what is to be released."""


@pytest.fixture(scope="module")
def second(kubectl, cache, node, tmp_path_factory):
    """The second controller, which only evicts, with an administrator's rights."""
    del node
    folder = tmp_path_factory.mktemp("second")
    rendered = Helm(cache, folder).render({"eviction": EVICTION}, NEWEST)
    config = folder / "admin"
    config.write_text(kubectl.run("config", "view", "--raw", "--flatten").stdout)
    flags = (f"--kubeconfig={config}", f"--lease={NAMESPACE}/another")
    found = replica(kubectl, rendered, folder, "second", *flags)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module", autouse=True)
def _evicting(release, kubectl, node):
    """The controller evicts, the agent asks and may kill; afterwards neither does."""
    del node
    release.set_eviction({**EVICTION, "killAfterSeconds": AFTER}, mode="enforce")
    wait_for_room(kubectl, 1000)
    yield
    release.set_eviction({}, mode="observe")


@pytest.fixture(autouse=True)
def _asking_ends(kubectl, second):
    """Both controllers work; afterwards the node is not short any more, whatever it uses."""
    second.wait_until_ready()
    yield
    ask(kubectl, OFF)


def memory():
    """Bytes that the machine has, and that are in use, as the kernel says."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    figures = {words[0]: int(words[1]) << 10 for words in lines}
    return figures["MemTotal:"], figures["MemTotal:"] - figures["MemAvailable:"]


def said(kubectl, namespace):
    """Pods, reasons and messages of the Events that eviction brought."""
    return {
        (each["involvedObject"]["name"], each["reason"]): each["message"]
        for each in kubectl.items("events", namespace=namespace)
        if "ForNode" in each["reason"] or "Last" in each["reason"]
    }


def names(kubectl, namespace):
    """The pods that are there and were not asked to end."""
    found = kubectl.items("pods", namespace=namespace)
    return {each["metadata"]["name"] for each in found if not each["metadata"].get("deletionTimestamp")}


def still(kubectl, stored):
    """Whether a pod runs on in the same container."""
    after = kubectl.get("pod", stored["metadata"]["name"], namespace=stored["metadata"]["namespace"])
    (status,) = after["status"]["containerStatuses"]
    return container(after) == container(stored) and status["state"].keys() == {"running"}


def test_a_pod_that_ignores_sigterm(kubectl, node, namespace):
    """Gone long before its grace period; what was said before and after has figures; online work stays."""
    be = batch(namespace, "be", "--stubborn", "1", "--memory", "32", cpu="500", memory="64Mi")
    be["spec"]["terminationGracePeriodSeconds"] = GRACE
    kubectl.create(online(namespace, "online"), be)
    before, groups = running(kubectl, namespace, "online"), PodGroups(node, running(kubectl, namespace, "be"))
    assert groups.processes()
    ask(kubectl, {"enable": True, "memoryEvictThresholdPercent": 2, "memoryEvictLowerPercent": 1})
    there = lambda: {each["metadata"]["name"] for each in kubectl.items("pods", namespace=namespace)}  # noqa: E731
    eventually(lambda: "be" not in there(), seconds=GRACE / 4, what="the BE pod gone")
    assert not groups.file(groups.pod, "cpu.shares").exists()
    last = ("be", "KilledForNode")
    eventually(lambda: last in said(kubectl, namespace), seconds=60, what="the last Event")
    events = said(kubectl, namespace)
    for reason in ("EvictedForNode", "LastResort", "KilledForNode"):
        message = events["be", reason]
        assert "BEMemoryEvict: " in message
        assert "are used: at least 2 %, 1 % is the aim" in message
    *announced, killed = actions(kubectl, f"{namespace}/be", "last-resort")
    assert (announced[-1]["new"], killed["new"]) == ("", "1")
    assert [each["new"] for each in announced].count("1") == 0
    assert int(killed["why"]["inputs"]["uses"]) >= 32 << 20
    assert still(kubectl, before)
    print(
        f"\n  asked to end, killed {killed['why']['inputs']['ending']} later; its grace period is {GRACE} s"
    )


class Requests:
    """What is seen of the request of the node: the moments of its figures, and the evictions noted there."""

    def __init__(self, kubectl):
        self._kubectl = kubectl
        self.moments, self.evictions = set(), {}

    def look(self):
        """Look once."""
        found = self._kubectl.get("nodeevictionrequest", NAME)
        self.moments.add(found["spec"]["observedAt"])
        for each in found.get("status", {}).get("evictions", ()):
            if "outcome" in each:  # it was refused
                self.evictions.pop(each["uid"], None)
            else:
                self.evictions[each["uid"]] = dt.datetime.fromisoformat(each["time"])
        return True


def obedient(namespace, name, size):
    """A BE pod that holds so many MiB, and ends as soon as it is asked to, though it might take its time."""
    pod = batch(namespace, name, "--memory", str(size), cpu="100", memory="64Mi")
    pod["metadata"]["labels"] |= {"app": name}
    pod["spec"]["terminationGracePeriodSeconds"] = GRACE
    return pod


def test_obedient_pods(kubectl, node, namespace, second):
    """Of three one goes, with its cgroup: the first that no budget of disruption protects, once, and no more.

    Not before the minute is over in which the test before had one evicted.
    """
    requests = Requests(kubectl)
    requests.look()
    kubectl.create(*(obedient(namespace, name, size) for name, size in SIZES.items()))
    before = {name: running(kubectl, namespace, name) for name in SIZES}
    groups = PodGroups(node, before["first"])
    protect(kubectl, namespace, "protected")
    whole, used = memory()
    percent = used * 100 // whole
    threshold, aim = percent - 1, percent - 2
    ask(kubectl, {"enable": True, "memoryEvictThresholdPercent": threshold, "memoryEvictLowerPercent": aim})

    def gone():
        requests.look()
        return SIZES.keys() - names(kubectl, namespace)

    eventually(gone, seconds=150, what="an eviction")
    eventually(lambda: not groups.file(groups.pod, "cpu.shares").exists(), what="its cgroup gone")
    # The node is still short, and says so again and again.
    seen = len(requests.moments)
    eventually(lambda: requests.look() and len(requests.moments) > seen + 1, seconds=60, what="its figures")
    assert gone() == {"first"}
    assert still(kubectl, before["protected"])
    assert still(kubectl, before["second"])
    events = eventually(lambda: said(kubectl, namespace), what="the Event")
    assert events.keys() == {("first", "EvictedForNode")}
    used_up = rf"([\d.]+)Gi of ([\d.]+)Gi memory are used: at least {threshold} %, {aim} % is the aim: "
    figures = re.search(f"BEMemoryEvict: {used_up}", events["first", "EvictedForNode"])
    assert figures is not None, events
    assert float(figures[2]) == pytest.approx(whole / GIBIBYTE, abs=0.1)
    assert float(figures[1]) == pytest.approx(used / GIBIBYTE, abs=0.05 * whole / GIBIBYTE)
    logs = second.process.log() + kubectl.run("-n", NAMESPACE, "logs", f"deployment/{CONTROLLER}").stdout
    assert f"pod {namespace}/protected on {NAME} is not evicted (protected)" in logs
    assert "the budget of the node is spent for this minute" in logs
    assert logs.count(f"pod {namespace}/first evicted from {NAME}") == 1
    moments = sorted(requests.evictions.values())
    assert before["first"]["metadata"]["uid"] in requests.evictions
    assert all((after - each).total_seconds() >= 59 for each, after in itertools.pairwise(moments)), moments
