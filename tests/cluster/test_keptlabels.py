"""What replicas tell each other in the status of a profile."""

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.mutating.relabelling import Owner
from webhook.cluster.keptlabels import (
    LABELS_KEPT,
    MAX_ENTRIES,
    REPORT_SECONDS,
    Entry,
    has_entries,
    read_entries,
    status_with_entries,
)

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
READY = {"type": "Ready", "status": "True", "reason": "Applied", "message": "", "lastTransitionTime": "x"}


def entry(uid="u", replica="one", seconds=0.0, kept=None, generation=1):
    """An entry seen so many seconds before now, and kept until so many after."""
    until = None if kept is None else NOW + dt.timedelta(seconds=kept)
    owner = Owner("d", "apps/v1", "ReplicaSet", f"rs-{uid}", uid)
    return Entry(owner, replica, NOW - dt.timedelta(seconds=seconds), until, generation)


def written(old, *entries, generation=1, later=0.0):
    """The status, which must be one that is kept when it is written again."""
    now = NOW + dt.timedelta(seconds=later)
    status = status_with_entries(old, entries, generation, now)
    assert status is not None
    assert status_with_entries(status, entries, generation, now) is None
    return status


ENTRIES = st.lists(
    st.builds(
        entry,
        uid=st.sampled_from("abc"),
        replica=st.sampled_from(["one", "two"]),
        seconds=st.integers(0, 50),
        kept=st.none() | st.integers(1, 600),
    ),
    max_size=8,
    unique_by=lambda each: (each.owner.uid, each.replica),
)


@given(ENTRIES)
def test_what_is_written_is_read(entries) -> None:
    """A decision about an owner stands for all that was said of it."""
    status = status_with_entries({"conditions": [READY]}, entries, 1, NOW)
    read = read_entries(status or {}, 1)
    decided = {each.owner.uid for each in entries if each.kept_until}
    assert {each.owner.uid for each in read if each.kept_until} == decided
    reports = {(e.owner.uid, e.replica) for e in entries if not e.kept_until and e.owner.uid not in decided}
    assert {(e.owner.uid, e.replica) for e in read if not e.kept_until} == reports
    kinds = [each["type"] for each in status["conditions"]] if status else ["Ready"]
    assert sorted(kinds) == sorted(["Ready", LABELS_KEPT] if decided else ["Ready"])


def test_the_condition_names_owner_end_and_remedy() -> None:
    """And of many owners a few."""
    status = written({}, *(entry(uid=str(n), kept=600) for n in range(7)))
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        LABELS_KEPT,
        "True",
        "PodsWithoutEnd",
    )
    assert "ReplicaSet d/rs-0 until 2026-01-02T03:14:05Z" in condition["message"]
    assert "and 2 more" in condition["message"]
    assert "take the labels by which these owners select out of the profile" in condition["message"]


def test_it_is_over_after_its_time_and_when_the_profile_changes() -> None:
    """Other conditions and fields stay."""
    old = written({"conditions": [READY], "observedGeneration": 1}, entry(kept=600))
    for over in (written(old, later=601), written(old, generation=2)):
        assert over == {"conditions": [READY], "observedGeneration": 1, "relabelledOwners": []}
        assert not has_entries(over)
    assert status_with_entries(old, (), 1, NOW + dt.timedelta(seconds=599)) is None
    assert read_entries(old, 2) == []
    pruned = {key: value for key, value in old.items() if key != "relabelledOwners"}
    assert has_entries(pruned), "by a CustomResourceDefinition without the field"
    assert written(pruned)["conditions"] == [READY]
    reported = written({}, entry())
    assert written(reported, later=REPORT_SECONDS + 1)["relabelledOwners"] == []


def test_decisions_go_before_reports_when_there_are_many() -> None:
    """A flood of reports takes no decision's place."""
    flood = [entry(uid=f"r{n}", seconds=0) for n in range(2 * MAX_ENTRIES)]
    status = written({}, entry(uid="kept", kept=100, seconds=50), *flood)
    read = read_entries(status, 1)
    assert len(read) == MAX_ENTRIES
    assert read[0].owner.uid == "kept"


GOOD = {
    "namespace": "d",
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "name": "rs-u",
    "uid": "u",
    "replica": "one",
    "seenAt": "2026-01-02T03:04:05Z",
    "keptUntil": "2026-01-02T03:14:05Z",
    "observedGeneration": 1,
}


def test_what_cannot_be_read_is_left_out() -> None:
    """A status is written by others, too."""
    assert read_entries({"relabelledOwners": [GOOD]}, 1) == [entry(kept=600)]
    wrong = [None, 1, "x", [], {}]
    for field, value in itertools.product(GOOD, (None, [], "", {})):
        wrong.append(GOOD | {field: value})
    read = read_entries({"relabelledOwners": [*wrong, GOOD]}, 1)
    assert read[-1] == entry(kept=600)
    for listed in (None, 1, "x", {}):
        assert read_entries({"relabelledOwners": listed}, 1) == []
        assert written({"relabelledOwners": listed}, entry(kept=600))["relabelledOwners"] == [GOOD]
