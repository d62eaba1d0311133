"""The ledger as an object and back."""

import datetime as dt
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import NOW, ledger
from webhook.binding.ledger import LINE, Counts, Entry, read_ledger, write_ledger
from webhook.cpuset.allocation import BindPolicy, Exclusive

CHART = Path(__file__).parents[2] / "charts" / "colocation-webhook"

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
moments = st.integers(0, 10**9).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
entries = st.builds(
    Entry,
    names,
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    names,
    st.sampled_from(["LSE", "LSR", "LS", "BE", "SYSTEM", ""]),
    st.frozensets(st.integers(0, 300), min_size=1, max_size=40),
    st.sampled_from(BindPolicy),
    st.booleans(),
    st.sampled_from(Exclusive),
    moments,
)
texts = st.text("abc ", min_size=1)
conditions = st.fixed_dictionaries(
    dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime"), texts)
)


@given(st.lists(entries, max_size=8), st.lists(conditions, max_size=2))
def test_it_comes_back_as_it_was_written(listed, told):
    """Through YAML, as kubectl shows it."""
    written = ledger(*listed, version="7", uid="object-uid", conditions=tuple(told))
    counts = Counts(16, 1, 2, 3, 4)
    raw = yaml.safe_load(yaml.safe_dump(write_ledger(written, counts)))
    assert read_ledger(raw) == written
    assert read_ledger(raw).counts == counts


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


END = " FullPCPUs 2026-11-23T07:00:00Z u"
NO_LINE = {
    "",
    "d/p LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z",
    "d/p LSR  FullPCPUs 2026-11-23T07:00:00Z u",
    f" d/p LSR 0-1{END}",
    f"d/p LSR 0-1{END} ",
    f"d/p LSR 0-1{END}\n",
    f"d/p\tLSR 0-1{END}",
    f"p LSR 0-1{END}",
    f"d/ LSR 0-1{END}",
    f"../.. LSR 0-1{END}",
    f"d/p/q LSR 0-1{END}",
    f"d/p GOLD 0-1{END}",
    f"d/p LSR 0-31:2/4{END}",
    f"d/p LSR \u0661{END}",
    "d/p LSR 0-1 Sideways 2026-11-23T07:00:00Z u",
    "d/p LSR 0-1 FullPCPUs,alone 2026-11-23T07:00:00Z u",
    "d/p LSR 0-1 FullPCPUs,None 2026-11-23T07:00:00Z u",
    "d/p LSR 0-1 FullPCPUs,PCPULevel,required 2026-11-23T07:00:00Z u",
    "d/p LSR 0-1 FullPCPUs soon u",
    "d/p LSR 0-1 FullPCPUs 2026-11-23T07:00:00+02:00 u",
    "d/p LSR 0-1 FullPCPUs 2026-11-23T07:00:00Z u v",
}
UNREADABLE = {
    f"d/p LSR 5-3{END}": "cpuset '5-3': a range runs backwards",
    f"d/p LSR 99999{END}": "cpuset '99999'",
    "d/p LSR 0-1 FullPCPUs 2026-13-23T07:00:00Z u": "month must be in 1..12",
    "d/q LSR 3 FullPCPUs 2026-11-23T07:00:00Z v": "the pod has another line",
}
"""What the definition cannot refuse, and why it is left out."""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        *((line, "is no line NAMESPACE/NAME QOS CPUS") for line in (*sorted(NO_LINE), {"cpuset": "0"}, 7)),
        *UNREADABLE.items(),
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_the_others_stay(line, said):
    """Which entry, its text, what is wrong with it."""
    other = "d/q LSR 2 FullPCPUs 2026-11-23T07:00:00Z v"
    found = read_ledger({"metadata": {"name": "n"}, "spec": {"allocations": [other, line]}})
    assert {uid: entry.cpus for uid, entry in found.entries.items()} == {"v": {2}}
    (problem,) = found.problems
    assert problem.startswith("spec.allocations[1]: ")
    assert said in problem


def test_the_definition_has_the_same_pattern():
    """Somebody who edits a ledger by hand hears of it at once."""
    template = CHART / "templates" / "crd-nodecpuallocation.yaml"
    assert re.findall(r"pattern: '(.+)'", template.read_text()) == [f"^{LINE.pattern}$"]


def test_the_lines_of_the_document_are_lines():
    """As they are read, and in the order in which they are written."""
    document = (CHART.parents[1] / "docs" / "binding.md").read_text()
    lines = re.findall(r"^  - (.+)$", document, re.MULTILINE)
    found = read_ledger({"metadata": {"name": "n"}, "spec": {"allocations": lines}})
    assert lines
    assert found.problems == ()
    assert write_ledger(found, None)["spec"]["allocations"] == lines


@pytest.mark.parametrize("year", [1, 999, 9999])
def test_any_year_comes_back(year):
    """An entry that somebody made up does not become one that nobody can read."""
    moment = dt.datetime(year, 12, 31, tzinfo=dt.UTC)
    entry = Entry("u", "d", "p", "", frozenset({0}), BindPolicy.NONE, False, Exclusive.NONE, moment)
    written = write_ledger(ledger(entry), None)
    assert read_ledger(written).entries == {"u": entry}


@pytest.mark.parametrize("spec", [None, {}, {"allocations": None}, {"allocations": []}])
def test_an_empty_ledger_is_no_problem(spec):
    """Somebody made it by hand."""
    assert read_ledger({"metadata": {"name": "n"}, "spec": spec}).problems == ()
