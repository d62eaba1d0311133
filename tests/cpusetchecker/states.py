"""A state without violations, and changes that break one rule each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from tests.cpusetchecker.facts import (
    SPEC,
    SPREAD,
    STATUS,
    WHOLE,
    NodeTopology,
    cpulist,
    read_topology,
)
from tests.cpusetchecker.rules import Seen
from tests.e2e.cluster.fakenodes import FakeNode

PLAIN = FakeNode(name="plain", shape=(1, 2, 4, 2), linux=True, reserved="0,8")
WHOLE_ONLY = FakeNode(name="whole", shape=(1, 1, 4, 2), bind_policy="FullPCPUsOnly")


def facts(node: FakeNode) -> NodeTopology:
    """The topology as the checker reads it."""
    return read_topology(node.node("pool"), node.topology("uid"))


def pod(name: str, qos: str, cpus: int, node: str = "", cpuset: str = "", **spec: Any) -> dict[str, Any]:
    """A stored pod; its set, if any, lies on PLAIN or on WHOLE_ONLY."""
    annotations = {SPEC: json.dumps(spec)} if spec else {}
    if cpuset:
        cores = facts(PLAIN if node == "plain" else WHOLE_ONLY).cores
        nodes = [cores[cpu][1] for cpu in cpulist(cpuset) if cpu in cores]
        amounts = [
            {"node": number, "resources": {"cpu": str(nodes.count(number))}} for number in sorted(set(nodes))
        ]
        annotations[STATUS] = json.dumps({"cpuset": cpuset, "numaNodeResources": amounts})
    labels = {"koordinator.sh/qosClass": qos} if qos else {}
    stored: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": "d",
            "uid": f"uid-{name}",
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "containers": [{"name": "main", "resources": {"requests": {"cpu": str(cpus)}}}],
            "schedulerName": "default-scheduler",
        },
        "status": {"phase": "Pending"},
    }
    if node:
        stored["spec"]["nodeName"] = node
    return stored


def entry(name: str, qos: str, cpuset: str, policy: str = "", **more: Any) -> dict[str, Any]:
    """A ledger's entry."""
    required = {"required": True} if policy else {}
    told = {"qosClass": qos, "cpuset": cpuset, "bindPolicy": policy or WHOLE}
    return {"podUID": f"uid-{name}", "namespace": "d", "name": name, **told, **required, **more}


def ledger(node: FakeNode, *entries: dict[str, Any]) -> dict[str, Any]:
    """A ledger whose summary is right."""
    held = frozenset[int]().union(*(cpulist(each["cpuset"]) for each in entries))
    read = facts(node)
    free = frozenset(read.cores) - read.closed - held
    whole = len(read.whole(free))
    status = {
        "cpus": node.cpus,
        "allocated": len(held & read.cores.keys()),
        "free": len(free),
        "wholeCoresFree": whole,
    }
    return {
        "metadata": {"name": node.name},
        "spec": {"allocations": list(entries)},
        "status": {**status, "pods": len(entries)},
    }


def good() -> Seen:
    """A state without fault: every class, both policies, a full node, pods that ended and pods that wait."""
    done = pod("done", "LSR", 2, "plain", "1,9")
    done["status"]["phase"] = "Succeeded"
    refused = pod("refused", "LSR", 4)
    said = {"type": "PodScheduled", "status": "False"}
    told = "no room: whole: needs 4 CPUs"
    refused["status"]["conditions"] = [{**said, "reason": "SchedulerError", "message": told}]
    waiting = pod("waiting", "LSE", 400)
    waiting["status"]["conditions"] = [{**said, "reason": "Unschedulable", "message": "0/2 nodes"}]
    pods = [
        pod("lse", "LSE", 2, "plain", "1,9", requiredCPUBindPolicy=WHOLE),
        pod("lsr", "LSR", 3, "plain", "2-4", requiredCPUBindPolicy=SPREAD),
        pod("ls", "LS", 2, "plain"),
        pod("be", "BE", 0, "plain"),
        pod("none", "", 1, "plain"),
        pod("by-node", "LSR", 6, "whole", "0-5"),
        pod("burst", "LSR", 2, "plain", requiredCPUBindPolicy="ConstrainedBurst"),
        done,
        refused,
        waiting,
    ]
    ledgers = [
        ledger(PLAIN, entry("lse", "LSE", "1,9", WHOLE), entry("lsr", "LSR", "2-4", SPREAD)),
        ledger(WHOLE_ONLY, entry("by-node", "LSR", "0-5", WHOLE)),
    ]
    topologies = {"plain": facts(PLAIN), "whole": facts(WHOLE_ONLY), "bare": None}
    stuck = frozenset({"uid-lsr"})  # once: its ledger does not say so
    return Seen(topologies, frozenset({"d"}), pods, ledgers, copy.deepcopy(pods), stuck=stuck)


def named(seen: Seen, name: str) -> list[dict[str, Any]]:
    """A pod in both lists."""
    return [each for each in (*seen.pods, *seen.later) if each["metadata"]["name"] == name]


def rewrite(seen: Seen, name: str, cpuset: str, amounts: dict[int, int] | None = None) -> None:
    """Give a pod another set, with its NUMA amounts, in both lists and in the ledger."""
    for each in named(seen, name):
        node = each["spec"]["nodeName"]
        told = pod(name, "LSR", 1, node, cpuset)["metadata"]["annotations"][STATUS]
        if amounts is not None:
            stated = [{"node": node, "resources": {"cpu": str(cpus)}} for node, cpus in amounts.items()]
            told = json.dumps({"cpuset": cpuset, "numaNodeResources": stated})
        each["metadata"]["annotations"][STATUS] = told
    for index, nodes in enumerate((PLAIN, WHOLE_ONLY)):
        entries = seen.ledgers[index]["spec"]["allocations"]
        for each in entries:
            if each["name"] == name:
                each["cpuset"] = cpuset
        seen.ledgers[index] |= ledger(nodes, *entries)


def grow(seen: Seen, name: str, cpus: str) -> None:
    """Let a pod ask for so much."""
    for each in named(seen, name):
        each["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpus


def only_in_pods(seen: Seen) -> None:
    """An LSR pod on CPUs of the LSE pod, of which the ledger knows nothing; it is gone a moment later."""
    seen.pods.append(pod("thief", "LSR", 2, "plain", "1,9"))


def only_in_ledger(seen: Seen) -> None:
    """The ledger promises a CPU twice, to pods that are not bound yet."""
    entries = seen.ledgers[0]["spec"]["allocations"]
    seen.ledgers[0] |= ledger(PLAIN, *entries, entry("thief", "LSR", "1"))


def unknown(seen: Seen) -> None:
    """A set has a CPU that the node has not."""
    rewrite(seen, "lsr", "2-3,99")


def unreadable(seen: Seen) -> None:
    """A set is no CPU list."""
    for each in named(seen, "lsr"):
        each["metadata"]["annotations"][STATUS] = '{"cpuset":"4-2"}'


def moved(seen: Seen) -> None:
    """The annotation has other CPUs than the ledger."""
    for each in named(seen, "lsr"):
        text = json.dumps({"cpuset": "5-7", "numaNodeResources": [{"node": 1, "resources": {"cpu": "3"}}]})
        each["metadata"]["annotations"][STATUS] = text


def bare(seen: Seen) -> None:
    """An LSR pod with a set on a node of which nobody knows the CPUs."""
    for pods in (seen.pods, seen.later):
        pods.append(pod("bare", "LSR", 2, "bare"))
        pods[-1]["metadata"]["annotations"][STATUS] = '{"cpuset":"0-1"}'
    entries = [entry("bare", "LSR", "0-1")]
    seen.ledgers.append({"metadata": {"name": "bare"}, "spec": {"allocations": entries}})


def uninvited(seen: Seen) -> None:
    """A BE pod with CPUs of its own."""
    for pods in (seen.pods, seen.later):
        pods.append(pod("greedy", "BE", 0, "plain", "5"))
    entries = seen.ledgers[0]["spec"]["allocations"]
    seen.ledgers[0] |= ledger(PLAIN, *entries, entry("greedy", "BE", "5"))


def crooked(seen: Seen) -> None:
    """The summary of a ledger is of another state."""
    seen.ledgers[0]["status"]["wholeCoresFree"] += 1


ALWAYS: dict[str, Callable[[Seen], None]] = {
    "held twice": only_in_pods,
    "ledger held twice": only_in_ledger,
    "reserved": lambda seen: rewrite(seen, "lsr", "0,2-3"),
    "unknown CPU": unknown,
    "unreadable": unreadable,
    "count": lambda seen: grow(seen, "lsr", "4"),
    "policy": lambda seen: rewrite(seen, "lsr", "2-3,10"),
    "NUMA amounts": lambda seen: rewrite(seen, "lsr", "2-4", {0: 1, 1: 2}),
    "disagree": moved,
    "no topology": bare,
    "uninvited": uninvited,
    "summary": crooked,
}
TOO_MUCH = {"unreadable": {"no set"}, "held twice": {"orphan"}, "ledger held twice": {"orphan"}}
"""What else is wrong at rest."""


def without_set(seen: Seen) -> None:
    """A bound LSR pod never got its set, nor an entry."""
    for each in named(seen, "lsr"):
        del each["metadata"]["annotations"][STATUS]
    seen.ledgers[0] |= ledger(PLAIN, *seen.ledgers[0]["spec"]["allocations"][:1])


def orphan(seen: Seen) -> None:
    """The ledger keeps the entry of a pod that has gone."""
    for pods in (seen.pods, seen.later):
        pods[:] = [each for each in pods if each["metadata"]["name"] != "lse"]


def left_over(seen: Seen) -> None:
    """A pod was refused although there are three whole cores, and it needs two."""
    rewrite(seen, "by-node", "0-1")
    grow(seen, "by-node", "2")


def told(seen: Seen) -> None:
    """The condition of a ledger says that something is wrong."""
    seen.ledgers[0]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]


def not_moved(seen: Seen) -> None:
    """A set has a CPU that is reserved now, as is told, and the node has others."""
    rewrite(seen, "lsr", "0,2-3")
    told(seen)


AT_REST: dict[str, Callable[[Seen], None]] = {
    "no set": without_set,
    "orphan": orphan,
    "left over": left_over,
    "not moved": not_moved,
}
