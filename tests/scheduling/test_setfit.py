"""What is said of a node where a pod would get no CPU set."""

import re
from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from tests.binding.builders import NOW, claim, ledger, node_topology
from webhook.binding.grant import Refusal, grant
from webhook.binding.ledger import Entry
from webhook.cpuset.allocation import BindPolicy, Exclusive, Strategy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.hints import NumaPolicy
from webhook.scheduling.setfit import fit

FULL = BindPolicy.FULL_PCPUS
POLICIES = st.sampled_from([FULL, BindPolicy.SPREAD_BY_PCPUS])
DEMANDED = st.sampled_from([BindPolicy.NONE, FULL, BindPolicy.SPREAD_BY_PCPUS])
NUMA = st.sampled_from(NumaPolicy)
HELD = st.sampled_from(["", "0-1", "0-7", "0-3,8-11", "2-15"])
"""CPUs of a node of 16, by other pods."""


def entry(name, cpus):
    """What a pod holds."""
    return Entry(name, "d", name, "LSR", parse_cpulist(cpus), FULL, False, Exclusive.NONE, NOW)


@st.composite
def questions(draw):
    """A pod, a node and its ledger, where the pod may have CPUs of an earlier binding."""
    wanted = claim(
        cpus=draw(st.integers(1, 18)),
        policy=draw(POLICIES),
        required=draw(st.booleans()),
        numa_policy=draw(NUMA),
    )
    on = node_topology(
        bind_policy=draw(DEMANDED),
        numa_policy=draw(NUMA),
        max_bindable=draw(st.sampled_from([None, 4])),
        strategy=draw(st.sampled_from(Strategy)),
    )
    entries = [entry("other", cpus)] if (cpus := draw(HELD)) else []
    if draw(st.booleans()):
        entries.append(entry(wanted.uid, draw(st.sampled_from(["0,8", "5-7,13-15"]))))
    return wanted, on, ledger(*entries)


@given(questions())
def test_a_reason_has_no_figures_and_no_names(question):
    """It is there where binding refuses, and the same for a node and a moment of another name and date."""
    wanted, on, book = question
    decided = grant(wanted, on, book, now=NOW)
    reason = fit(wanted, on, book, now=NOW).reason
    assert bool(reason) == isinstance(decided, Refusal)
    if isinstance(decided, Refusal):
        event(decided.reason)
        assert not re.search(r"[0-9,;:]|node-|\.$", reason), reason
        assert fit(wanted, replace(on, name="node-2"), book, now=NOW).reason == reason


def points(cpus, held, *, emptier):
    """50 for one NUMA node, 30 for whole cores, 20 for the node that is the fuller, or the emptier, by then.

    CPUs 8 apart are a core, and four cores a NUMA node.
    """
    nodes = {cpu % 8 // 4 for cpu in cpus}
    cores = {cpu % 8 for cpu in cpus}
    broken = {
        core for core in cores if not {core, core + 8} <= cpus and not {core, core + 8} & held
    }  # of a core that another pod has a part of nothing is lost
    there = {cpu for cpu in range(16) if cpu % 8 // 4 in nodes}
    used = len(there & (cpus | held))
    full = len(there) - used if emptier else used
    return 50 // len(nodes) + 30 * len(cores - broken) // len(cores) + 20 * full // len(there)


@given(questions())
def test_a_set_is_as_good_as_it_is_whole(question):
    """The score of a set is that of a second reckoning, from its CPUs and those of other pods."""
    wanted, on, book = question
    found = fit(wanted, on, book, now=NOW)
    if found.entry is None:
        assert found.score == 0
        return
    held = {cpu for each in book.entries.values() if each.uid != wanted.uid for cpu in each.cpus}
    want = points(set(found.entry.cpus), held, emptier=on.strategy is Strategy.LEAST_ALLOCATED)
    event(f"{want // 10 * 10}")
    assert found.score == want


def test_cpus_of_an_earlier_binding():
    """Where a binding may be under way the pod waits, and is not told when that began."""
    found = fit(claim(cpus=4), node_topology(), ledger(entry("p", "0,8")), now=NOW)
    assert found.reason == "a binding of the pod with other CPUs may be under way"
    assert "at 2026-11-23T07:00:00Z" in found.message
