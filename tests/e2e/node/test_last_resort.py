"""The last resort on a real node: a BE pod that ignores SIGTERM is evicted, announced, killed and gone."""

from __future__ import annotations

import json

import pytest

from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.pods import batch, burner, container, running, wait_for_room

AFTER = 5
"""Seconds for which the pod may ignore that it was asked to end."""

GRACE = 600
"""Seconds that it has asked for."""


@pytest.fixture(scope="module", autouse=True)
def _evicting(release, kubectl, node):
    """The controller evicts, the agent asks and may kill; afterwards neither does."""
    del node
    release.set_eviction({"enabled": True, "killAfterSeconds": AFTER}, mode="enforce")
    wait_for_room(kubectl, 1000)
    yield
    ask(kubectl, {"enable": False})
    release.set_eviction({}, mode="observe")


def said(kubectl, namespace):
    """Reasons and messages of the Events about the BE pod that eviction brought."""
    found = kubectl.items("events", namespace=namespace)
    about = [each for each in found if each["involvedObject"]["name"] == "be"]
    return {
        each["reason"]: each["message"]
        for each in about
        if "ForNode" in each["reason"] or "Last" in each["reason"]
    }


def lines(kubectl, namespace) -> list[Object]:
    """What the agent's ledger says of it."""
    agent = ["exec", "daemonset/release-colocation-webhook-agent", "--", "colocation-webhook", "agent"]
    text = kubectl.run("-n", NAMESPACE, *agent, "log", "--pod", f"{namespace}/be", "-o", "json").stdout
    found = [json.loads(line) for line in text.splitlines()]
    return [each for each in found if each["why"]["rule"] == "last-resort"]


def test_a_pod_that_ignores_sigterm(kubectl, node, namespace):
    """Gone long before its grace period; what was said before and after has figures; online work stays."""
    online = burner(namespace, "online", labels={"koordinator.sh/qosClass": "LS"})
    be = batch(namespace, "be", "--stubborn", "1", "--memory", "32", cpu="500", memory="64Mi")
    be["spec"]["terminationGracePeriodSeconds"] = GRACE
    kubectl.create(online)
    kubectl.create(be)
    before, groups = running(kubectl, namespace, "online"), PodGroups(node, running(kubectl, namespace, "be"))
    assert groups.processes()
    ask(kubectl, {"enable": True, "memoryEvictThresholdPercent": 2, "memoryEvictLowerPercent": 1})

    def gone():
        return not [
            each for each in kubectl.items("pods", namespace=namespace) if each["metadata"]["name"] == "be"
        ]

    eventually(gone, seconds=GRACE / 4, what="the BE pod gone")
    assert not groups.file(groups.pod, "cpu.shares").exists()
    eventually(lambda: "KilledForNode" in said(kubectl, namespace), seconds=60, what="the last Event")
    events = said(kubectl, namespace)
    for reason in ("EvictedForNode", "LastResort", "KilledForNode"):
        message = events[reason]
        assert "BEMemoryEvict: " in message
        assert "are used: at least 2 %, 1 % is the aim" in message
    *announced, killed = lines(kubectl, namespace)
    assert (announced[-1]["new"], killed["new"]) == ("", "1")
    assert [each["new"] for each in announced].count("1") == 0
    assert int(killed["why"]["inputs"]["uses"]) >= 32 << 20
    after = kubectl.get("pod", "online", namespace=namespace)
    assert container(after) == container(before)
    assert after["status"]["containerStatuses"][0]["state"].keys() == {"running"}
    print(
        f"\n  asked to end, killed {killed['why']['inputs']['ending']} later; its grace period is {GRACE} s"
    )
