"""What the checker reads: lists of CPUs, requests, and the room on a node."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpusetchecker.facts import (
    SPREAD,
    WHOLE,
    UnreadableError,
    cpulist,
    read_request,
)
from tests.cpusetchecker.states import PLAIN, facts, pod
from tests.e2e.cluster.fakenodes import ZOO


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
