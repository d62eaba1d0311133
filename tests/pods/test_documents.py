"""Text into objects."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods import documents
from webhook.pods.documents import (
    MAX_DEPTH,
    Document,
    DocumentError,
    objects_of,
    read_documents,
    read_each,
)


def values(text, name="f.yaml"):
    """Read a text and return what its documents say."""
    return [document.value for document in read_documents(text.encode(), name)]


def test_many_documents_name_their_line_and_number():
    """Each document says where it stands; empty ones are passed over but counted by line."""
    assert read_documents(b"a: 1\n---\n\n---\nb: 2\n", "f.yaml") == [
        Document({"a": 1}, "f.yaml:1 (document 1 of 2)"),
        Document({"b": 2}, "f.yaml:5 (document 2 of 2)"),
    ]


def test_a_single_document_has_no_number():
    """One document is named by file and line."""
    assert read_documents(b"# comment\na: 1\n", "f.yaml")[0].source == "f.yaml:2"


def test_scalars_are_those_of_kubectl():
    """Dates, times and = are text; numbers and booleans are what YAML says."""
    text = "[2024-01-01, 12:30, =, 0x10, 010, -5, yes, 1.5, 08, ~, '1']"
    assert values(text) == [["2024-01-01", "12:30", "=", 16, 8, -5, True, 1.5, "08", None, "1"]]


def test_a_byte_order_mark_is_no_content():
    """Editors on Windows write one."""
    assert read_documents(b"\xef\xbb\xbfa: 1", "f.yaml")[0].value == {"a": 1}


def test_json_is_read_by_its_suffix():
    """JSON has one document; an empty file has none."""
    assert values('{"a": [1]}', "f.json") == [{"a": [1]}]
    assert values(" \n", "f.json") == []


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"a: 1\nb: [1,\n", "f.yaml", "f.yaml:3:1: not YAML"),
        (b"a: 1\n b: 2\n", "f.yaml", "f.yaml:2:3: not YAML"),
        (b"a: 1\nb: \xff\n", "f.yaml", "f.yaml:2: byte 0xff is not UTF-8"),
        (b"a: 1\n\0\n", "f.yaml", "f.yaml:2: holds a NUL byte"),
        (b"a: 1\nb: \x01\n", "f.yaml", "f.yaml:2: not YAML: control characters"),
        (b"? {a: b}\n: c", "f.yaml", "unhashable"),
        (b"a: *x", "f.yaml", "undefined alias"),
        (b"a: !!python/object:os.system x", "f.yaml", "f.yaml:1:4: not YAML: could not determine"),
        (b"a: !!bool x", "f.yaml", "not of its type"),
        (b'{"a":', "f.json", "f.json:1:6: not JSON"),
        (b"[" * 5000, "f.json", "not JSON"),
        (b"{}\0", "f.json", "holds a NUL byte"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(data, name, message):
    """Every kind of broken text gives a message that leads to it."""
    with pytest.raises(DocumentError) as caught:
        read_documents(data, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[\n" * 100_000,
        "[" * 100_000,
        "{" * 100_000,
        "- " * 100_000,
        "\n".join(" " * i + "a:" for i in range(1000)),
    ],
)
def test_deep_nesting_is_refused_before_it_is_entered(text):
    """The parser would run out of stack and end the process. libyaml 0.2.6 has a limit, too."""
    with pytest.raises(DocumentError, match=f"nested deeper than {MAX_DEPTH}|exceeded maximum nesting depth"):
        read_documents(text.encode(), "f.yaml")


def test_many_brackets_side_by_side_are_not_deep():
    """Only depth is limited."""
    assert len(values("\n".join(f"- [{i}]" for i in range(1000)))[0]) == 1000


def test_lists_are_opened():
    """Items of a typed list get its kind; what is no List is itself."""
    pods = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {}}, {"kind": "Job"}]}
    listed = Document({"kind": "List", "apiVersion": "v1", "items": [pods, 3]}, "f:1")
    assert list(objects_of(listed)) == [
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {}}, "f:1 items[0] items[0]"),
        ({"kind": "Job", "apiVersion": "v1"}, "f:1 items[0] items[1]"),
        (3, "f:1 items[1]"),
    ]
    for value in (3, {"kind": "List"}, {"kind": "Pod", "items": []}, {"kind": ["List"], "items": []}):
        assert list(objects_of(Document(value, "f"))) == [(value, "f")]


LAUGH = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGH, "aliases add more than"),
        (LAUGH.replace("[", "{<<: [").replace("]", "]}").replace("[lol]", "{a: b}"), "aliases add more than"),
        (LAUGH.replace("\n", "\n---\n", 3) + LAUGH, "aliases add more than"),
        ("a: &a " + "x" * 99_999 + "\nb: [" + "*a, " * 99 + "]", "aliases add more than"),
        ("a: &a [" + "1," * 99_999 + "]\nb:\n" + "".join(f"  k{i}: *a\n" for i in range(99)), "aliases add"),
        ("a0: &a0 {}\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300)), "nested deeper than"),
        ("&a {kind: List, items: [*a, *a]}", "or in itself"),
        ("&a [[*a]]", "or in itself"),
        ("a: " + "9" * 4000, "a number of 4000 characters"),
        ("a: 0x" + "f" * 9_000_000, "a number of 9000002 characters"),
        ("a: 0b" + "1" * 9_000_000, "a number of 9000002 characters"),
        ("a: 1" + ":0" * 99_999 + ".5", "a number of 200001 characters"),
        ("a: !!int '" + "7" * 200 + "'", "a number of 200 characters"),
        ("a: 1." + "1" * 195 + "e+5", "a number of 200 characters"),
    ],
    ids=lambda value: value[:20],
)
def test_a_text_that_would_make_much_of_little_is_refused(text, message):
    """Before anything is made of it: copies by aliases, levels, digits."""
    with pytest.raises(DocumentError, match=message) as caught:
        read_documents(text.encode(), "f.yaml")
    assert str(caught.value).startswith("f.yaml:")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &a {x: [1, 2]}\nb: {<<: *a, y: 3}\n", {"a": {"x": [1, 2]}, "b": {"x": [1, 2], "y": 3}}),
        ("a: &a [1]\nb: [" + "*a, " * 999 + "]", {"a": [1], "b": [[1]] * 999}),
        ("a: &a 1\n---\na: &a 2\nb: *a", {"a": 1}),
        ("a: '" + "9" * 5000 + "'", {"a": "9" * 5000}),
        (f"a: {2**64 - 1}\nb: 0b" + "1" * 64, {"a": 2**64 - 1, "b": 2**64 - 1}),
        ("a: &a\n- " + "x" * 3_000_000 + "\nb: *a", {key: ["x" * 3_000_000] for key in "ab"}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_honest_text_is_read(text, value):
    """Anchors that are used now and then, long texts in quotes, numbers of 64 bits."""
    assert values(text)[0] == value


SHAPES = st.recursive(
    st.text("ab", min_size=1, max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)


@given(SHAPES, st.integers(1, 6), st.integers(1, 12))
def test_what_aliases_make_is_counted(shape, levels, copies):
    """A text is read exactly where what its aliases add, written out, keeps within the bound."""

    def size(value):
        return 1 + (sum(map(size, value)) if isinstance(value, list) else len(value))

    lines = [f"- &a0 {json.dumps(shape)}"]
    sizes = [size(shape)]
    for i in range(1, levels + 1):
        lines.append(f"- &a{i} [{', '.join([f'*a{i - 1}'] * copies)}]")
        sizes.append(1 + copies * sizes[-1])
    added = sum(copies * each for each in sizes[:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "MAX_COPIED", 1000)
        text = "\n".join(lines)
        if added > max(1000, len(text)):
            with pytest.raises(DocumentError, match="aliases add more than"):
                values(text)
        else:
            assert len(values(text)[0]) == levels + 1


def test_a_text_that_is_too_long_is_refused_unread(monkeypatch):
    """Reading it would take minutes."""
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    with pytest.raises(DocumentError, match=r"f\.yaml: has 11 bytes; at most 10 are read: split it"):
        read_documents(b"a: 12345678", "f.yaml")
    assert values("a: 1234567") == [{"a": 1234567}]


def test_lists_in_lists_have_an_end():
    """JSON has no aliases, but may be deep."""
    value = {"kind": "List", "items": []}
    for _ in range(MAX_DEPTH + 5):
        value = {"kind": "List", "items": [value]}
    with pytest.raises(DocumentError, match=r"^f:1: Lists are nested deeper than"):
        list(objects_of(Document(value, "f:1")))


def each(text, name="f.yaml"):
    """Read a text; values, and the messages of what cannot be read."""
    found = read_each(text.encode(), name)
    return [str(one) if isinstance(one, DocumentError) else one.value for one in found]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("a: [", "not YAML"),
        ("a: b: c", "not YAML: mapping values are not allowed"),
        ("\t- x", "not YAML"),
        ("{{ .Values.x }}", "not YAML"),
        ("a: !!int x", "in this document a value is not of its type"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_document_costs_only_itself(bad, message, place):
    """The others are read; lines are those of the file."""
    parts = ["a: 1\n", "# comment\nb: 2\n"]
    parts.insert(place, f"{bad}\n")
    found = each("---\n".join(parts))
    assert [one for one in found if not isinstance(one, str)] == [{"a": 1}, {"b": 2}]
    (error,) = (one for one in found if isinstance(one, str))
    assert message in error
    before = "---\n".join(parts)[: "---\n".join(parts).index(bad)].count("\n")
    assert int(error.split(":")[1]) in (before + 1, before + 2)


def test_the_lines_of_other_documents_are_those_of_the_file():
    """Also when each document is read by itself."""
    found = read_each(b"a: [\n---\n# x\nb: 2\n---\nc: 3\n", "f.yaml")
    assert [one.source for one in found if isinstance(one, Document)] == ["f.yaml:4", "f.yaml:6"]


@pytest.mark.parametrize("name", ["f.json", "f.yaml", "standard input"])
@pytest.mark.parametrize("between", ["", "\n", "\n\n  "])
def test_json_documents_may_follow_each_other(name, between):
    """As kubectl writes and reads them, whatever the file is called."""
    text = between.join(['{"a": 1}', '{"b": [{}, "---"]}', '{"c": {"d": 2}}'])
    assert each(text, name) == [{"a": 1}, {"b": [{}, "---"]}, {"c": {"d": 2}}]


def test_a_json_document_that_ends_early_is_named():
    """With line and column of what is wrong."""
    (error,) = each('{"a": 1}\n{"b": ', "f.json")
    assert error.startswith("f.json:2:")
    assert "not JSON" in error
