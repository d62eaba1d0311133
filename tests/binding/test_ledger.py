"""The ledger as an object and back."""

import datetime as dt
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import NOW, ledger
from webhook.binding.ledger import Condition, Counts, Entry, read_ledger, write_ledger
from webhook.cpuset import BindPolicy, Exclusive

CHART = Path(__file__).parents[2] / "charts" / "colocation-webhook"
(PATTERN,) = re.findall(
    r"pattern: '(.+)'", (CHART / "templates" / "crd-nodecpuallocation.yaml").read_text()
)  # of a line, in the definition

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
moments = st.integers(0, 10**9).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
entries = st.builds(
    Entry,
    names,
    names,
    names,
    st.sampled_from(["LSE", "LSR", "LS", "BE", "SYSTEM", ""]),
    st.frozensets(st.integers(0, 300), min_size=1, max_size=40),
    st.sampled_from(BindPolicy),
    st.booleans(),
    st.sampled_from(Exclusive),
    moments,
)
texts = st.text("abc ", min_size=1)
conditions = st.builds(Condition, texts, texts, texts, texts, texts)


@given(st.lists(entries, max_size=8), st.lists(conditions, max_size=2))
def test_it_comes_back_as_it_was_written(listed, told):
    """Through YAML, as kubectl shows it."""
    written = ledger(*listed, version="7", uid="object-uid", conditions=tuple(told))
    raw = yaml.safe_load(yaml.safe_dump(write_ledger(written, Counts(16, 1, 2, 3, 4))))
    assert read_ledger(raw) == written
    assert all(re.search(PATTERN, line) for line in raw["spec"]["allocations"])


def test_what_is_not_said_is_not_written():
    """A preference without a wish for exclusivity has neither field; a new ledger has no version."""
    entry = Entry("u", "d", "p", "LSR", frozenset({0, 1}), BindPolicy.FULL_PCPUS, False, Exclusive.NONE, NOW)
    raw = write_ledger(ledger(entry), Counts(16, 2, 14, 7, 1))
    assert raw["spec"]["allocations"] == ["d/p LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z u"]
    assert raw["metadata"] == {
        "name": "node-1",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-uid"}],
    }
    assert raw["status"] == {
        "conditions": [], "cpus": 16, "allocated": 2, "free": 14, "wholeCoresFree": 7, "pods": 1,
        "holders": "d/p: 0-1",
    }  # fmt: skip


WRONG = [
    ("", "must be a line NAMESPACE/NAME QOS CPUS POLICY[,required][,EXCLUSIVE] TIME UID, not ''"),
    ("d/p LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z", "must be a line NAMESPACE/NAME QOS"),
    ("d/p LSR  FullPCPUs 2026-11-23T07:00:00Z u", "must be a line NAMESPACE/NAME QOS"),
    ({"podUID": "u", "cpuset": "0-1"}, "must be a line NAMESPACE/NAME QOS"),
    (7, "must be a line NAMESPACE/NAME QOS"),
    ("p LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z u", "pod: must be NAMESPACE/NAME, not 'p'"),
    ("d/ LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z u", "pod: must be NAMESPACE/NAME, not 'd/'"),
    ("d/p GOLD 0-1 FullPCPUs 2026-11-23T07:00:00Z u", "QoS: 'GOLD' is none of BE, LS, LSE, LSR, SYSTEM"),
    ("d/p LSR 5-3 FullPCPUs 2026-11-23T07:00:00Z u", "cpuset '5-3': a range runs backwards"),
    ("d/p LSR 0-1 Sideways 2026-11-23T07:00:00Z u", "policy: 'Sideways' is none of None, FullPCPUs, Spr"),
    ("d/p LSR 0-1 FullPCPUs,alone 2026-11-23T07:00:00Z u", "exclusive policy: 'alone' is none of None, "),
    (
        "d/p LSR 0-1 FullPCPUs,PCPULevel,required 2026-11-23T07:00:00Z u",
        "policy: 'FullPCPUs,PCPULevel,required' is not POLICY[,required][,EXCLUSIVE]",
    ),
    ("d/p LSR 0-1 FullPCPUs soon u", "time: 'soon' is no time such as 2026-01-31T07:00:00Z"),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_an_entry_that_cannot_be_read_is_named_and_the_others_stay(line, said):
    """Which entry, which field, which value."""
    other = "d/q LSR 2 FullPCPUs 2026-11-23T07:00:00Z v"
    found = read_ledger({"metadata": {"name": "n"}, "spec": {"allocations": [line, other]}})
    assert list(found.entries) == ["v"]
    (problem,) = found.problems
    assert problem.startswith("spec.allocations[0]: ")
    assert said in problem


@pytest.mark.parametrize("line", [line for line, said in WRONG if "backwards" not in said])
def test_the_definition_refuses_it(line):
    """All but what a regular expression cannot tell."""
    assert not isinstance(line, str) or not re.search(PATTERN, line)


@pytest.mark.parametrize("spec", [None, {}, {"allocations": None}, {"allocations": []}])
def test_an_empty_ledger_is_no_problem(spec):
    """Somebody made it by hand."""
    assert read_ledger({"metadata": {"name": "n"}, "spec": spec}).problems == ()
