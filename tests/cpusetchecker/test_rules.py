"""The checker of CPU sets: each of its rules reports a state that breaks it, and no other."""

from __future__ import annotations

import copy
import inspect
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpusetchecker import rules
from tests.cpusetchecker.facts import (
    SPEC,
    SPREAD,
    STATUS,
    WHOLE,
    NodeTopology,
    UnreadableError,
    cpulist,
    entries,
    read_request,
    read_topology,
)
from tests.cpusetchecker.rules import Seen, at_every_moment, at_rest
from tests.e2e.cluster.fakenodes import ZOO, FakeNode

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


def broken(found: list[rules.Violation]) -> set[str]:
    """The names of the rules that are broken."""
    return {violation.rule for violation in found}


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


def test_a_good_state_has_no_violations() -> None:
    """All classes and policies as they should be: nothing is reported, at no moment."""
    assert at_every_moment(good()) == []
    assert at_rest(good()) == []
    assert at_rest(good()._replace(fail_closed=True)) == []


@pytest.mark.parametrize("rule", ALWAYS)
def test_what_must_never_be(rule: str) -> None:
    """A state that breaks one rule is reported under that rule, at every moment and at rest."""
    seen = good()
    ALWAYS[rule](seen)
    assert broken(at_every_moment(seen)) == {rule}
    assert broken(at_rest(seen)) - TOO_MUCH.get(rule, set()) == {rule}


@pytest.mark.parametrize("rule", AT_REST)
def test_what_may_only_be_for_a_while(rule: str) -> None:
    """What bindings under way look like is no violation before everything is at rest."""
    seen = good()
    AT_REST[rule](seen)
    assert at_every_moment(seen._replace(steady=False)) == []
    assert broken(at_rest(seen)) == {rule}


def test_every_rule_is_tested() -> None:
    """No rule that these tests do not see broken."""
    source = inspect.getsource(rules)
    written = set(re.findall(r'(?:Violation|_shared)\(\s*"([^"]+)"', source))
    assert written == {*ALWAYS, *AT_REST}


def test_every_rule_of_a_ledger() -> None:
    """The ledger's entries are judged by themselves: reserved CPUs, none, no list, a policy, a pod twice."""
    wrong = {
        "reserved": [entry("x", "LSR", "0")],
        "count": [entry("x", "LSR", "")],
        "unreadable": [entry("x", "LSR", "1;2")],
        "policy": [entry("x", "LSR", "1-2", WHOLE)],
        "unknown CPU": [entry("x", "LSR", "1,77")],
        "ledger held twice": [entry("x", "LSR", "1"), entry("x", "LSR", "2")],
    }
    for rule, held in wrong.items():
        seen = good()
        seen.ledgers[0]["spec"]["allocations"] = held
        found = [
            each for each in at_every_moment(seen) if each.subject.startswith(("ledger of plain", "plain"))
        ]
        assert broken(found) - {"summary"} == {rule}


def test_the_lines_of_a_ledger() -> None:
    """They are read as the objects that the rules speak of."""
    end = "2026-01-31T07:00:00Z uid-a"
    lines = [f"d/a LSE 1,9 FullPCPUs,required,PCPULevel {end}", f"d/a - 1 None {end}"]
    required = entry("a", "LSE", "1,9", WHOLE)
    preferred = {**entry("a", "", "1"), "bindPolicy": "None", "required": False}
    assert entries({"spec": {"allocations": lines}}) == [required, preferred]
    assert entries({}) == []
    with pytest.raises(UnreadableError):
        entries({"spec": {"allocations": ["gold"]}})


def test_whom_a_cpu_may_be_shared_with() -> None:
    """LSE with nobody, LSR with BE only; two sets of other classes are apart, too."""
    for one, other in itertools.product(("LSE", "LSR", "LS", "", "BE"), repeat=2):
        seen = good()
        seen.ledgers[0]["spec"]["allocations"] = [entry("a", one, "5"), entry("b", other, "5")]
        shared = "ledger held twice" in broken(at_every_moment(seen))
        assert shared == ("LSE" in {one, other} or "BE" not in {one, other})


def test_a_binding_past_the_webhook() -> None:
    """With failurePolicy Fail a bound LSR pod has its set from the first moment."""
    seen = good()
    without_set(seen)
    assert broken(at_every_moment(seen._replace(fail_closed=True))) == {"no set"}


def test_a_pod_that_cannot_be_repaired() -> None:
    """Without room a bound pod may stay without a set, if an Event says so."""
    seen = good()
    seen.pods.append(pod("late", "LSR", 4, "whole"))
    assert broken(at_rest(seen)) == {"no set"}
    assert at_rest(seen._replace(reported=frozenset({"uid-late"}))) == []


@pytest.mark.parametrize("rule", ["reserved", "unknown CPU", "count", "policy", "NUMA amounts", "summary"])
def test_what_may_be_while_requests_and_cpus_change(rule: str) -> None:
    """A set follows a moment later; but not even then is a CPU held twice."""
    seen = good()
    ALWAYS[rule](seen)
    assert at_every_moment(seen._replace(steady=False)) == []
    only_in_pods(seen)
    only_in_ledger(seen)
    assert broken(at_every_moment(seen._replace(steady=False))) == {"held twice", "ledger held twice"}


def test_a_set_that_changes() -> None:
    """Meanwhile the ledger has the old set and the new one; a ledger that was deleted is made again."""
    seen = good()
    seen.ledgers[0]["spec"]["allocations"][1]["cpuset"] = "2-5"
    assert broken(at_every_moment(seen)) == {"disagree", "summary"}
    assert at_every_moment(seen._replace(steady=False)) == []
    seen.ledgers[0]["spec"]["allocations"][1]["cpuset"] = "2-3"
    assert broken(at_every_moment(seen._replace(steady=False))) == {"disagree"}
    del seen.ledgers[0]
    assert at_every_moment(seen._replace(steady=False)) == []
    assert broken(at_every_moment(seen)) == {"disagree"}


@pytest.mark.parametrize("rule", ["count", "reserved", "unknown CPU"])
def test_a_set_that_cannot_follow(rule: str) -> None:
    """It stays as it is only if an Event and the ledger's condition say so: one of them is not enough."""
    seen = good()
    ALWAYS[rule](seen)
    assert rule in broken(at_rest(seen))
    told(seen)
    assert broken(at_rest(seen)) <= {"not moved"}
    assert rule in broken(at_rest(seen._replace(stuck=frozenset())))


def test_a_pod_between_two_looks() -> None:
    """A pod that has gone when its ledger is read, or was bound since, is not held against the ledger."""
    seen = good()
    moved(seen)
    seen.later[:] = [each for each in seen.later if each["metadata"]["name"] != "lsr"]
    assert at_every_moment(seen) == []


def test_left_over_without_a_reason() -> None:
    """A pod of the scheduler's that no message explains is reported, and so is one that needs no set."""
    seen = good()
    for each in named(seen, "refused"):
        each["status"] = {}
    assert broken(at_rest(seen)) == {"left over"}
    young = frozenset(each["metadata"]["uid"] for each in named(seen, "refused"))
    assert at_rest(seen._replace(young=young)) == [], "the scheduler has only begun"
    seen = good()
    for each in named(seen, "refused"):
        each["metadata"]["labels"] = {}
        each["status"]["conditions"][0]["message"] = "plain: no"
    assert broken(at_rest(seen)) == {"left over"}


def test_two_policies_in_conflict() -> None:
    """A pod that requires another policy than its node has no room there."""
    seen = good()
    left_over(seen)
    for each in named(seen, "refused"):
        each["metadata"]["annotations"][SPEC] = json.dumps({"requiredCPUBindPolicy": SPREAD})
    assert at_rest(seen) == []


@pytest.mark.parametrize(("text", "cpus"), [("", []), ("3", [3]), ("0-2,5,7-8", [0, 1, 2, 5, 7, 8])])
def test_cpu_lists(text: str, cpus: list[int]) -> None:
    """Ranges and single CPUs, in order."""
    assert cpulist(text) == frozenset(cpus)


@pytest.mark.parametrize("text", ["a", "1,", "-1", "3-1", "2,1", "0-3,3", "1--2", " 1", "0x1"])
def test_wrong_cpu_lists(text: str) -> None:
    """Anything else is an error."""
    with pytest.raises(UnreadableError):
        cpulist(text)


def test_who_wants_a_set() -> None:
    """LSE and LSR pods of priority prod that request CPU, with a policy that binds."""
    asked = {
        (qos, cpus, *spec.items()): read_request(pod("p", qos, cpus, **spec)).wants_set
        for qos in ("LSE", "LSR", "LS", "BE", "SYSTEM", "")
        for cpus in (0, 2)
        for spec in ({}, {"preferredCPUBindPolicy": SPREAD}, {"requiredCPUBindPolicy": "ConstrainedBurst"})
    }
    wanted = {key for key, wants in asked.items() if wants}
    preferred = ("preferredCPUBindPolicy", SPREAD)
    assert wanted == {("LSE", 2), ("LSR", 2), ("LSE", 2, preferred), ("LSR", 2, preferred)}
    batch = pod("p", "LSR", 2)
    batch["spec"]["priority"] = 5000
    assert not read_request(batch).wants_set


def test_requests() -> None:
    """Init containers run one after another, sidecars beside all that follows; overhead comes on top."""
    made = pod("p", "LSR", 2)
    given = {"resources": {"requests": {"cpu": "1500m"}}}
    made["spec"]["initContainers"] = [{**given, "restartPolicy": "Always"}, {**given}]
    made["spec"]["overhead"] = {"cpu": "0.5"}
    assert read_request(made).milli == 4000
    made["spec"]["initContainers"].append({"resources": {"requests": {"cpu": "4"}}})
    assert read_request(made).milli == 6000


@given(st.sets(st.integers(0, 15)), st.integers(0, 9), st.sampled_from([WHOLE, SPREAD, ""]))
def test_room(taken: set[int], wanted: int, policy: str) -> None:
    """There is room exactly if some choice of free CPUs obeys the policy, and another one stays."""
    read = facts(PLAIN)
    free = read.free(taken)
    choices = itertools.combinations(sorted(free), wanted)
    possible = wanted < len(free) and any(read.obeys(frozenset(choice), policy) for choice in choices)
    assert read.fits(free, wanted * 1000, policy) == possible
    assert not read.fits(free, wanted * 1000 + 500, policy)


def test_the_zoo() -> None:
    """The nodes of the storm: 16 to 256 CPUs, reservations and policies as their names say."""
    read = {node.name: facts(node) for node in ZOO}
    assert [len(each.cores) for each in read.values()] == [16, 16, 32, 48, 64, 72, 128, 256]
    assert [len(each.closed) for each in read.values()] == [0, 2, 2, 2, 2, 0, 0, 4]
    assert [len(each.pooled) for each in read.values()] == [0, 0, 2, 0, 2, 0, 0, 0]
    assert {name: each.policy for name, each in read.items() if each.policy} == {
        "n64-whole": WHOLE,
        "n72-spread": SPREAD,
    }
    assert len(set(read["n128-amplified"].cores.values())) == 64
