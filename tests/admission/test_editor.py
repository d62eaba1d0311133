"""Recorded edits: the patch is what changed, and nothing else."""

import copy
import json

import jsonpatch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from webhook.admission.editor import Cause, ObjectEdit, json_patch

ONE, TWO = Cause("one", "labels"), Cause("two", "patch")
KEYS = st.sampled_from(["a", "b", "c/d", "e~f", "", "~1"])
SCALARS = st.sampled_from([None, 2, "", "x", True])
LEAVES = st.one_of(SCALARS, st.builds(dict), st.lists(SCALARS, max_size=2))


def patch(edit) -> list[dict]:
    """Return the operations as RFC 6902 writes them."""
    return json_patch(edit.operations())


def test_add_replace_and_remove() -> None:
    """A new key is added, a known one replaced, a removed one removed."""
    edit = ObjectEdit({"old": 1, "gone": 2})
    edit.set("new", 3, ONE)
    edit.set("old", 4, ONE)
    edit.remove("gone", ONE)
    edit.remove("never", ONE)
    assert patch(edit) == [
        {"op": "add", "path": "/new", "value": 3},
        {"op": "replace", "path": "/old", "value": 4},
        {"op": "remove", "path": "/gone"},
    ]


def test_keys_are_escaped() -> None:
    """JSON Pointers write ``/`` and ``~`` in keys as ``~1`` and ``~0``."""
    edit = ObjectEdit({})
    edit.set("a/b~c", 1, ONE)
    assert patch(edit) == [{"op": "add", "path": "/a~1b~0c", "value": 1}]


def test_what_comes_back_to_what_it_was_is_no_operation() -> None:
    """Set and set back, added and removed, removed and put back: nothing happened."""
    edit = ObjectEdit({"a": 1, "b": 2})
    edit.set("a", 5, ONE)
    edit.set("a", 1, TWO)
    edit.set("c", 1, ONE)
    edit.remove("c", TWO)
    edit.remove("b", ONE)
    edit.set("b", 2, TWO)
    assert patch(edit) == []


def test_what_is_set_and_emptied_is_empty() -> None:
    """The patch makes what the value says: an object that was set, opened and emptied has no fields."""
    edit = ObjectEdit({})
    edit.set("probe", {"port": 1}, ONE)
    edit.open_object("probe").remove("port", TWO)
    assert edit.value == {"probe": {}}
    assert patch(edit) == [{"op": "add", "path": "/probe", "value": {}}]


def test_parents_are_made_when_something_is_put_in() -> None:
    """A missing parent is added once, whole; one that was only opened is not."""
    edit = ObjectEdit({"null": None})
    edit.open_object("metadata").open_object("labels").set("a", "b", ONE)
    edit.open_object("null").set("x", 1, ONE)
    edit.open_object("unused")
    assert patch(edit) == [
        {"op": "add", "path": "/metadata", "value": {"labels": {"a": "b"}}},
        {"op": "replace", "path": "/null", "value": {"x": 1}},
    ]


def test_everybody_with_a_part_in_a_value_is_named_once() -> None:
    """The causes of an operation are those who wrote it, in order."""
    edit = ObjectEdit({"a": 0})
    for value, cause in enumerate((ONE, TWO, ONE), 1):
        edit.set("a", value, cause)
    edit.set("a", 3, TWO)  # no change, no part
    assert edit.operations()[0].causes == (ONE, TWO)


def test_the_source_is_not_written_to() -> None:
    """Only what is touched is copied, and what was touched is."""
    source = {"a": {"b": {"c": 1}}, "l": [{"x": 1}, {"x": 2}]}
    before = copy.deepcopy(source)
    edit = ObjectEdit(source)
    edit.open_object("a").open_object("b").set("c", 2, ONE)
    items = edit.open_list("l")
    items.open_object(1).set("x", 3, ONE)
    items.arrange([1], ONE)
    items.insert(0, {"x": 9}, ONE)
    assert source == before


class AnyEdits(RuleBasedStateMachine):
    """Any sequence of edits on an object that holds a list and an object."""

    def __init__(self) -> None:
        super().__init__()
        self.source = {
            "a": 1,
            "c/d": {"x": 1, "y": {"z": 2}},
            "list": [{"name": n, "v": 0} for n in "pqrs"],
        }
        self.before = copy.deepcopy(self.source)
        self.edit = ObjectEdit(self.source)

    @rule(key=KEYS, value=LEAVES)
    def set(self, key, value) -> None:
        """Write a value."""
        self.edit.set(key, copy.deepcopy(value), ONE)

    @rule(key=KEYS)
    def remove(self, key) -> None:
        """Take a key away."""
        self.edit.remove(key, ONE)

    @rule(key=st.sampled_from(["new", "c/d"]), inner=KEYS, value=LEAVES)
    def set_inside(self, key, inner, value) -> None:
        """Write into an object, making it if need be."""
        if isinstance(self.edit.get(key), (dict, type(None))):
            self.edit.open_object(key).set(inner, copy.deepcopy(value), TWO)

    @rule(index=st.integers(0, 5), inner=KEYS, value=LEAVES)
    def set_in_list(self, index, inner, value) -> None:
        """Write into an element."""
        items = self.edit.open_list("list")
        if index < len(items.value):
            items.open_object(index).set(inner, copy.deepcopy(value), TWO)

    @rule(index=st.integers(0, 5))
    def insert(self, index) -> None:
        """Add an element."""
        items = self.edit.open_list("list")
        items.insert(min(index, len(items.value)), {"name": "new"}, ONE)

    @rule(index=st.integers(0, 5))
    def remove_from_list(self, index) -> None:
        """Take an element away."""
        items = self.edit.open_list("list")
        items.arrange([i for i in range(len(items.value)) if i != index], ONE)

    @rule(data=st.data())
    def arrange(self, data) -> None:
        """Reorder the elements."""
        items = self.edit.open_list("list")
        items.arrange(data.draw(st.permutations(range(len(items.value)))), ONE)

    @invariant()
    def the_patch_gives_the_value(self) -> None:
        """Applied to the source, the operations give the value as it stands."""
        operations = patch(self.edit)
        result = jsonpatch.apply_patch(
            json.loads(json.dumps(self.source)), json.loads(json.dumps(operations))
        )
        wanted = json.loads(json.dumps(self.edit.value))
        for opened in ("new", "list"):  # opened and left empty is as good as absent
            if result.get(opened) is None and not wanted.get(opened):
                wanted.pop(opened, None)
                result.pop(opened, None)
        assert result == wanted
        assert self.source == self.before
        assert all(operation.causes for operation in self.edit.operations())


TestAnyEdits = AnyEdits.TestCase
TestAnyEdits.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@given(st.dictionaries(KEYS, LEAVES), st.dictionaries(KEYS, LEAVES))
def test_from_any_object_to_any_other(source, target) -> None:
    """Edits that lead from one object to another give a patch that does the same."""
    edit = ObjectEdit(copy.deepcopy(source))
    for key in source:
        if key not in target:
            edit.remove(key, ONE)
    for key, value in target.items():
        edit.set(key, value, ONE)
    result = jsonpatch.apply_patch(copy.deepcopy(source), patch(edit))
    assert json.dumps(result, sort_keys=True) == json.dumps(target, sort_keys=True)
