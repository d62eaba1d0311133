"""What many checks of objects need."""

from webhook.admission.profiles.demands.flaw import one_of, present, repeated, texts


def test_one_of() -> None:
    """One of some fields, of which empty ones do not count; all but the name where none are given."""
    needed, any_of = one_of("a", "b", needed=True), one_of()
    assert [flaw.key for flaw in needed({"a": {}, "b": {}})] == ["many"]
    assert [flaw.key for flaw in needed({"a": None, "b": ""})] == ["none"]
    assert list(needed({"a": 0, "c": 1})) == []
    assert [flaw.key for flaw in any_of({"name": "n", "a": {}, "b": {}})] == ["many"]
    assert list(any_of({"name": "n", "a": {}, "$patch": "merge"})) == []


def test_lists_of_any_shape() -> None:
    """What is of another type is not looked at; what a patch deletes is not there."""
    assert present([{"name": "a"}, "b", {"name": "c", "$patch": "delete"}]) == [{"name": "a"}]
    assert (present("a"), texts({"a": 1}), texts(["a", 1])) == ([], [], ["a", "1"])
    assert repeated(["a", "b", "a", "a"]) == ["a"]
