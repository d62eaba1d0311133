"""On a real node BE work gives way, and online work has more: each within bounds, by what is in use.

Online load rises and BE work shrinks, falls and it grows by the step; an online pod that is throttled gets
more than its limit while nobody needs the CPUs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import math
import os
import time

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.ledger import actions
from tests.e2e.node.chart.metrics import metrics
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.pods import batch, online, running
from tests.e2e.repeating import repeating
from webhook.cpuset.cpulist import parse_cpulist

PERIOD = 100_000
STEP = len(os.sched_getaffinity(0)) * PERIOD // 10
"""Microseconds of a period by which a quota may grow in a round."""

FLOOR = 2000
"""Microseconds that BE pods keep."""

LOAD = 0.35
"""Cores of an online pod that leave BE pods one CPU of two, at 65 percent, whatever else runs here."""

MOST_ROUNDS = 2
"""Of the agent, one a second: from the first that knows of risen load to the file that says so."""

pytestmark = pytest.mark.usefixtures("suppressing")


class Groups(PodGroups):
    """The cgroups of a pod, and what suppression changes in them."""

    def cpus(self):
        """Where the container may run."""
        return parse_cpulist(self.text(self.container, "cpuset.cpus"))

    def quota(self):
        """Of the pod."""
        return int(self.text(self.pod, "cpu.cfs_quota_us"))

    def periods(self):
        """In how many periods the pod had a quota and ran."""
        return self.scheduled(self.pod, "nr_periods")

    def running_on(self):
        """On which CPUs each process of the container runs, by the kernel."""
        return {frozenset(parse_cpulist(text)) for text in self.allowed(self.container)}


class Rounds:
    """What is seen of each of the agent's rounds: its metrics, and a BE pod's file."""

    def __init__(self, read):
        self.seen, self._texts, self._read = {}, [], read

    def look(self):
        """Read all that, if the agent answers."""
        with contextlib.suppress(OSError):
            found = metrics()
            if "budget_cores" in found:
                number = int(found["rounds_total"])
                self.seen[number] = found
                self._texts.append((number, self._read()))

    def ordered(self):
        """The rounds, the earliest first."""
        return [self.seen[number] for number in sorted(self.seen)]

    def until(self, less, cores):
        """How many rounds after the budget had fallen below so many cores the file held less."""
        fallen = next(number for number, found in sorted(self.seen.items()) if found["budget_cores"] < cores)
        return next(number for number, value in self._texts if number >= fallen and less(value)) - fallen


def rise(kubectl, node, namespace, *arguments):
    """Start online load, wait until the kernel has counted some, and return when its container began."""
    pod = online(namespace, "online", *arguments)
    pod["spec"]["restartPolicy"] = "Never"
    kubectl.create(pod)
    stored = running(kubectl, namespace, "online")
    groups = Groups(node, stored)
    (status,) = stored["status"]["containerStatuses"]
    begun = dt.datetime.fromisoformat(status["state"]["running"]["startedAt"]).timestamp()

    def seen():
        before, since = groups.used(groups.pod), time.monotonic_ns()
        time.sleep(0.5)
        return groups.used(groups.pod) - before > LOAD * (time.monotonic_ns() - since)

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
    groups = Groups(node, running(kubectl, namespace, "be"))
    eventually(lambda: metrics().get("cpus") == 2, seconds=60, what="two CPUs decided")
    eventually(lambda: groups.quota() == PERIOD, seconds=60, what="its limit, by an agent that writes")
    assert len(groups.cpus()) == 2
    rounds = Rounds(groups.cpus)
    with repeating(rounds.look):
        begun = rise(kubectl, node, namespace, "--cpu", "2")

        def narrowed():
            assert groups.running_on() == {frozenset(groups.cpus())}
            return len(groups.cpus()) == 1

        eventually(narrowed, seconds=60, what="one CPU, also of the process")
        fall(kubectl, namespace)
        eventually(lambda: len(groups.cpus()) == 2, seconds=60, what="two CPUs again")
    for each in rounds.ordered():
        assert each["cpus"] <= max(1, math.ceil(each["budget_cores"])), each
    said = actions(kubectl, f"{namespace}/be", "suppression")
    lines = [each for each in said if each["file"] == "cpuset.cpus"]
    narrow = [each for each in lines if len(parse_cpulist(each["new"])) == 1]
    wide = [each for each in lines if len(parse_cpulist(each["new"])) > 1]
    assert narrow
    assert wide
    assert all(int(each["why"]["inputs"]["budget"]) <= 1000 for each in narrow)
    assert all(int(each["why"]["inputs"]["budget"]) > 1000 for each in wide)
    most = rounds.until(lambda cpus: len(cpus) == 1, 1.0)
    assert most <= MOST_ROUNDS
    seconds = seconds_until(narrow[0], begun)
    print(
        f"\n  one CPU {seconds:.1f} s after the online pod began, to a second, {most} rounds after its load"
    )
    ask(kubectl, {"enable": False})
    eventually(lambda: not metrics(), seconds=30, what="nothing suppressed")


def test_by_quota(kubectl, node, namespace):
    """At once less, by a tenth of the machine more again; the kernel counts no more than the quotas allow."""
    ask(kubectl, {"enable": True, "cpuSuppressPolicy": "cfsQuota", "cpuSuppressThresholdPercent": 65})
    kubectl.create(batch(namespace, "be", "--cpu", "1", cpu="1000", memory="64Mi"))
    groups = Groups(node, running(kubectl, namespace, "be"))
    own = PERIOD  # of 1000 milli-cores
    eventually(lambda: metrics().get("quota_cores", 0) >= 1, seconds=60, what="a core's quota decided")
    eventually(lambda: groups.quota() == own, seconds=60, what="its own quota")
    rounds = Rounds(groups.quota)
    with repeating(rounds.look):
        begun = rise(kubectl, node, namespace, "--cpu", "2")
        eventually(lambda: FLOOR <= groups.quota() < own - STEP, seconds=60, what="less")
        before, periods, most = groups.used(groups.pod), groups.periods(), groups.quota()
        for _ in range(50):
            most = max(most, groups.quota())
            time.sleep(0.1)
        most = max(most, groups.quota())
        used, periods = groups.used(groups.pod) - before, groups.periods() - periods
        assert used <= 1.05 * periods * most * 1000 + 2 * own * 1000, "two periods in part"
        fall(kubectl, namespace)
        eventually(lambda: groups.quota() == own, seconds=90, what="its own quota again")
    found = rounds.ordered()
    for each in found:
        assert each["quota_cores"] <= max(FLOOR / PERIOD, each["budget_cores"]) + 1e-9, each
    for each, after in itertools.pairwise(sorted(rounds.seen.items())):
        grown = after[1]["quota_cores"] - each[1]["quota_cores"]
        assert grown <= (after[0] - each[0]) * STEP / PERIOD + 1e-9
    lines = [
        each
        for each in actions(kubectl, f"{namespace}/be", "suppression")
        if each["file"] == "cpu.cfs_quota_us" and each["path"].endswith(groups.pod.rpartition("/")[2])
    ]
    fallen = [each for each in lines if int(each["new"]) < int(each["old"])]
    risen = [each for each in lines if int(each["new"]) > int(each["old"]) > 0]
    assert fallen
    assert len(risen) > 1
    assert all(int(each["new"]) - int(each["old"]) <= STEP for each in risen)
    most = rounds.until(lambda quota: quota < own - STEP, (own - STEP) / PERIOD)
    assert most <= MOST_ROUNDS
    seconds = seconds_until(fallen[0], begun)
    print(f"\n  less {seconds:.1f} s after the online pod began, to a second; rounds after its load: {most}")
    ask(kubectl, {"enable": False})
    eventually(lambda: not metrics() and groups.quota() == own, seconds=60, what="what it had")


def test_an_online_pod_bursts(kubectl, node, namespace):
    """Up to three times its limit, by a fifth; when a kubelet resizes it, its new limit counts."""
    key = "cpu-burst-config"
    ask(kubectl, {"policy": "cfsQuotaBurstOnly", "sharePoolThresholdPercent": 80}, key)
    pod = online(namespace, "online", "--cpu", "1")
    pod["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "200m"}
    kubectl.create(pod)
    groups = Groups(node, running(kubectl, namespace, "online"))

    def quotas():
        return [int(groups.text(each, "cpu.cfs_quota_us")) for each in (groups.pod, groups.container)]

    eventually(lambda: quotas() == [60_000, 60_000], seconds=60, what="three times its limit")
    limits = {"name": "main", "resources": {"limits": {"cpu": "300m"}}}
    patch = json.dumps({"spec": {"containers": [limits]}})
    kubectl.run("-n", namespace, "patch", "pod", "online", "--subresource=resize", "-p", patch)
    eventually(lambda: quotas()[1] > 60_000, seconds=60, what="more than three times what its limit was")
    said = actions(kubectl, f"{namespace}/online", "quota-burst")
    lines = [each for each in said if each["new"] != each["old"]]
    assert all(int(each["new"]) * 5 <= int(each["old"]) * 6 for each in lines)
    own = [each for each in lines if each["path"].endswith(groups.container.rpartition("/")[2])]
    limited = {each["old"] for each in own if each["old"] == each["why"]["inputs"]["limit"]}
    assert limited == {"20000", "30000"}, "what the kubelet wrote, and from there it rose"
    ask(kubectl, {"policy": "none"}, key)
    eventually(lambda: quotas() == [30_000, 30_000], seconds=30, what="its limit")
