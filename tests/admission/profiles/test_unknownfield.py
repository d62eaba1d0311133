"""Fields that do not exist, and the ones that were meant."""

import pytest

from webhook.admission.profiles.podschema import object_types
from webhook.admission.profiles.unknownfield import UnknownField, note_unknown_field


@pytest.mark.parametrize(
    ("type_name", "written", "meant"),
    [
        ("PodSpec", "toleration", "tolerations"),
        ("PodSpec", "nodeselector", "nodeSelector"),
        ("PodSpec", "hostnetwork", "hostNetwork"),
        ("ObjectMeta", "label", "labels"),
        ("Container", "imagePullpolicy", "imagePullPolicy"),
        ("Toleration", "efect", "effect"),
    ],
)
def test_fields_of_a_pod(type_name, written, meant) -> None:
    """Admission §3.11: a letter more, less or in another case."""
    notes: list[UnknownField] = []
    note_unknown_field(notes, f"at.{written}", object_types()[type_name], "no such field")
    assert notes == [(f"at.{written}: no such field, ignored: did you mean {meant!r}?", True)]


@pytest.mark.parametrize("written", ["x", "unknown", "zzz", "", "a-b", "é"])
def test_nothing_similar(written) -> None:
    """Admission §3.11: a field that resembles none is not guessed."""
    notes: list[UnknownField] = []
    note_unknown_field(notes, f"spec.{written}", ["selector", "labels"])
    assert notes == [(f"spec.{written}: unknown field, ignored", False)]


def test_only_the_first_of_many_are_compared() -> None:
    """Whoever sends thousands of fields that do not exist buys no time with them."""
    notes: list[UnknownField] = []
    for i in range(50):
        note_unknown_field(notes, f"spec.labels{i}", ["labels"])
    assert [note.misspelled for note in notes] == [True] * 20 + [False] * 30
