"""The checker of CPU sets: each of its rules reports a state that breaks it, and no other."""

from __future__ import annotations

import inspect
import itertools
import json
import re

import pytest

from tests.cpusetchecker import rules
from tests.cpusetchecker.facts import (
    SPEC,
    SPREAD,
    WHOLE,
    UnreadableError,
    entries,
)
from tests.cpusetchecker.rules import at_every_moment, at_rest
from tests.cpusetchecker.states import (
    ALWAYS,
    AT_REST,
    TOO_MUCH,
    entry,
    good,
    left_over,
    moved,
    named,
    only_in_ledger,
    only_in_pods,
    pod,
    told,
    without_set,
)


def broken(found: list[rules.Violation]) -> set[str]:
    """The names of the rules that are broken."""
    return {violation.rule for violation in found}


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
