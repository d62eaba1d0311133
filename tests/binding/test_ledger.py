"""The ledger as an object and back."""

import datetime as dt

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import NOW, ledger
from webhook.binding.ledger import Condition, Counts, Entry, read_ledger, write_ledger
from webhook.cpuset import BindPolicy, Exclusive

names = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
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


def test_what_is_not_said_is_not_written():
    """A preference without a wish for exclusivity has neither field; a new ledger has no version."""
    entry = Entry("u", "d", "p", "LSR", frozenset({0, 1}), BindPolicy.FULL_PCPUS, False, Exclusive.NONE, NOW)
    raw = write_ledger(ledger(entry), Counts(16, 2, 14, 7, 1))
    assert raw["spec"]["allocations"] == [
        {
            "podUID": "u", "namespace": "d", "name": "p", "qosClass": "LSR", "cpuset": "0-1",
            "bindPolicy": "FullPCPUs", "allocatedAt": "2026-11-23T07:00:00Z",
        }
    ]  # fmt: skip
    assert raw["metadata"] == {
        "name": "node-1",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-uid"}],
    }
    assert raw["status"] == {
        "conditions": [], "cpus": 16, "allocated": 2, "free": 14, "wholeCoresFree": 7, "pods": 1,
        "holders": "d/p: 0-1",
    }  # fmt: skip


GOOD = {
    "podUID": "u",
    "namespace": "d",
    "name": "p",
    "qosClass": "LSR",
    "cpuset": "0-1",
    "allocatedAt": "2026-11-23T07:00:00Z",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"podUID": ""}, "podUID: must be a text that is not empty, not ''"),
        ({"name": 7}, "name: must be a text"),
        ({"qosClass": "GOLD"}, "qosClass: 'GOLD' is none of BE, LS, LSE, LSR, SYSTEM"),
        ({"cpuset": "5-3"}, "cpuset '5-3': a range runs backwards"),
        ({"bindPolicy": "Sideways"}, "bindPolicy: 'Sideways' is none of None, FullPCPUs, SpreadByPCPUs"),
        ({"allocatedAt": "soon"}, "allocatedAt: 'soon' is no time"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_the_others_stay(change, said):
    """Which entry, which field, which value."""
    other = {**GOOD, "podUID": "v", "cpuset": "2"}
    raw = {"metadata": {"name": "n"}, "spec": {"allocations": [{**GOOD, **change}, other]}}
    found = read_ledger(raw)
    assert list(found.entries) == ["v"]
    (problem,) = found.problems
    assert problem.startswith("spec.allocations[0].")
    assert said in problem


@pytest.mark.parametrize("spec", [None, {}, {"allocations": None}, {"allocations": []}])
def test_an_empty_ledger_is_no_problem(spec):
    """Somebody made it by hand."""
    assert read_ledger({"metadata": {"name": "n"}, "spec": spec}).problems == ()
