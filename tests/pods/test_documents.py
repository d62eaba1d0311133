"""Text into objects."""

import pytest

from webhook.pods.documents import MAX_DEPTH, Document, DocumentError, objects_of, read_documents


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
        (b"a: " + b"9" * 5000, "f.yaml", "not of its type"),
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


def test_a_list_that_holds_itself_is_refused():
    """An alias can do that; the message names the file."""
    (document,) = read_documents(b"&a {kind: List, items: [*a, *a]}", "f")
    with pytest.raises(DocumentError, match=r"^f:1: a List holds itself"):
        list(objects_of(document))
