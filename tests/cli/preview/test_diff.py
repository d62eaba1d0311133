"""What is different between two objects."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.cli.preview.diff import difference, yaml_of

BEFORE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}], "x": 1},
}


MORE = ("0X1F", "0B101", "0O17", "-0X1", "1_0e3", "12e_3", "0o1_7", "1_0.5e3", "-_1", "1e+3_0")


@pytest.mark.parametrize("text", ["y", "N", "1e3", "-1.e+2", ".5E1", "0o7", "123", "on", "0x1f", *MORE])
def test_a_text_that_looks_like_something_else_has_quotes(text):
    """Helm and kubectl read YAML otherwise than PyYAML does: to them 1e3 is a number, and y is true."""
    assert yaml_of({text: text}) == f"'{text}': '{text}'\n"


def test_nothing_differs():
    """The same objects give no lines."""
    assert difference(BEFORE, BEFORE) == []


def test_lines_and_place():
    """What is gone, what is new, around it a little of what stayed, under the path of the change."""
    after = {
        **BEFORE,
        "spec": {
            **BEFORE["spec"],
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}],
        },
    }
    lines = difference(BEFORE, after)
    assert lines[0] == ("path", "spec.containers[].resources.requests")
    assert [line.text.strip() for line in lines if line.kind == "removed"] == ["cpu: '1'"]
    assert [line.text.strip() for line in lines if line.kind == "added"] == ["cpu: '2'"]
    assert sum(line.kind == "same" for line in lines) == 4


def test_what_occurs_twice_is_written_twice():
    """No anchors; lines of a text one below the other."""
    shared = {"k": "one\ntwo\n"}
    assert yaml_of([shared, shared]) == "- k: |\n    one\n    two\n" * 2


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(json)
def test_yaml_says_what_the_object_is(value):
    """Reading it gives the object again."""
    assert yaml.safe_load(yaml_of(value)) == value


@given(st.dictionaries(st.text(), json, max_size=4), st.dictionaries(st.text(), json, max_size=4))
def test_any_two_objects_can_be_compared(before, after):
    """There are lines exactly where they differ."""
    assert bool(difference(before, after)) is (yaml_of(before) != yaml_of(after))
