"""Text into objects: YAML with many documents, or JSON.

YAML is read as kubectl reads it: dates, ``12:30`` and ``=`` are plain text, not the
types that YAML 1.1 makes of them. JSON is read by orjson. What a text would make of
little is bounded before it is made: levels, copies by aliases, digits of a number.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson
import yaml

# libyaml's parser is about eight times as fast; PyYAML may be built without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT: Final = "tag:yaml.org,2002:int"
_TEXT_IN_KUBERNETES: Final = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", _INT}
_INT_FORM: Final = re.compile(
    r"[-+]?(?:0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o?[0-7][0-7_]*|0|[1-9][0-9_]*)\Z", re.ASCII
)

# libyaml's reader calls itself for each level and has no limit of its own: a file of
# brackets would end the process. No Kubernetes object comes near.
MAX_DEPTH: Final = 200
MAX_BYTES: Final = 64 * 2**20  # of a text; YAML takes seconds for a megabyte
MAX_DIGITS: Final = 128  # of a number: more than 64 bits have in any notation
# Values and characters that aliases may add to a text, or as many as it has; objects in etcd have fewer.
MAX_COPIED: Final = 4 * 2**20

_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NOT_SPACE: Final = re.compile(r"\S")
_OPENING: Final = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING: Final = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
_LONG_INDENTATION: Final = re.compile(rf"^[-?: ]{{{MAX_DEPTH}}}", re.MULTILINE)


class DocumentError(ValueError):
    """A text that cannot be read; the message names file, line and what is wrong.

    Attributes:
        text: of the document.
    """

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class Document(NamedTuple):
    """One document of a text.

    Attributes:
        value: the object; never None, empty documents are passed over.
        source: where it stands: ``name:line``, and which document of how many.
    """

    value: object
    source: str


class _Loader(_Base):  # type: ignore[misc] # which class it is, is known only at run time
    """Reads scalars as kubectl does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag not in _TEXT_IN_KUBERNETES]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, _INT_FORM, list("-+0123456789"))


def _number(loader: Any, node: yaml.ScalarNode) -> Any:  # noqa: ANN401 — PyYAML has no types for it
    """Read a number, unless it is longer than any number: its digits cost their square."""
    if len(node.value) > MAX_DIGITS:
        raise ValueError(f"a number of {len(node.value)} characters: quote it, if it is a text")
    return _Base.yaml_constructors[node.tag](loader, node)


_Loader.add_constructor(_INT, _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def read_documents(data: bytes, name: str) -> list[Document]:
    """Read the documents of a text.

    Args:
        data: the text; JSON when ``name`` ends in ``.json``, else YAML (of which JSON
            is a part). Both may hold several documents.
        name: of the file, for messages.

    Raises:
        DocumentError: not UTF-8, a NUL byte, not YAML or JSON, or too much.
    """
    text = _decoded(data, name)
    return _json(text, name) if name.endswith(".json") else _yaml(text, name)


def read_each(data: bytes, name: str) -> list[Document | DocumentError]:
    """Read the documents of a text, and in the place of one that cannot be read return the error."""
    try:
        return [*read_documents(data, name)]
    except DocumentError as error:
        if not error.text or name.endswith(".json"):
            return [error]
    text = _decoded(data, name)
    if text.lstrip().startswith("{"):
        try:
            return [*_json(text, name)]
        except DocumentError:
            pass  # it may be YAML that begins with a brace
    found: list[Document | DocumentError] = []
    starts = [0, *(mark.start() for mark in _SEPARATOR.finditer(text) if mark.start()), len(text)]
    before = 0
    for start, end in pairwise(starts):
        part = text[start:end]
        try:
            found += _yaml(part, name, before)
        except DocumentError as error:
            found.append(error)
        before += part.count("\n")
    return found


def objects_of(document: Document, depth: int = 0) -> Iterator[Document]:
    """Yield the objects of a document: those of a List, else the document itself.

    Items of a typed list (PodList) get its kind and apiVersion where they carry none.

    Raises:
        DocumentError: Lists are nested too deeply.
    """
    value, source = document
    kind, items = (value.get("kind"), value.get("items")) if isinstance(value, dict) else (None, None)
    if not isinstance(value, dict) or not str(kind).endswith("List") or not isinstance(items, list):
        yield document
        return
    if depth > MAX_DEPTH:
        raise DocumentError(f"{source.partition(' items[')[0]}: Lists are nested deeper than {MAX_DEPTH}")
    item_kind = str(kind).removesuffix("List")
    inherited = {"apiVersion": value.get("apiVersion"), "kind": item_kind} if item_kind else {}
    for i, item in enumerate(items):
        typed = {**inherited, **item} if isinstance(item, dict) else item
        yield from objects_of(Document(typed, f"{source} items[{i}]"), depth + 1)


def _decoded(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise DocumentError(f"{name}: has {len(data)} bytes; at most {MAX_BYTES} are read: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(
            f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise DocumentError(f"{name}:{line}: holds a NUL byte: it is not a text file, or was cut off")
    return text


def _json(text: str, name: str) -> list[Document]:
    """Read JSON: one document or, as kubectl does, several that follow each other."""
    found: list[Document] = []
    try:
        value = orjson.loads(text) if text.strip() else None
        return [] if value is None else [Document(value, name)]
    except orjson.JSONDecodeError as error:
        first = DocumentError(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}", text)
    decoder, at, line = json.JSONDecoder(), 0, 1
    while begins := _NOT_SPACE.search(text, at):
        line += text.count("\n", at, begins.start())
        try:
            _, at = decoder.raw_decode(text, begins.start())
            found.append(Document(orjson.loads(text[begins.start() : at]), f"{name}:{line}"))
        except (ValueError, RecursionError):
            raise first from None
        line += text.count("\n", begins.start(), at)
    return found


def _yaml(text: str, name: str, before: int = 0) -> list[Document]:
    """Read YAML; ``before`` is the number of lines that stand before it in the file."""
    try:
        found = [(value, line + before) for value, line in _constructed(text) if value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + before + 1}:{mark.column + 1}" if mark else ""
        what = " ".join(filter(None, (error.context, error.problem)))
        raise DocumentError(f"{name}{at}: not YAML: {what}", text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + before + 1
        raise DocumentError(f"{name}:{line}: not YAML: {error.reason}", text) from None
    if len(found) == 1:
        return [Document(value, f"{name}:{line}") for value, line in found]
    return [
        Document(value, f"{name}:{line} (document {i} of {len(found)})")
        for i, (value, line) in enumerate(found, 1)
    ]


def _constructed(text: str) -> Iterator[tuple[Any, int]]:
    """Yield each document and the line on which it begins."""
    if _may_be_large(text):
        _check_size(text)
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            try:
                yield loader.construct_document(node), node.start_mark.line + 1
            except (ValueError, LookupError, AttributeError) as error:
                # What PyYAML's constructors raise for "!!bool x" or an endless integer.
                raise yaml.MarkedYAMLError(
                    problem=f"in this document a value is not of its type: {error}",
                    problem_mark=node.start_mark,
                ) from None
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Node:
    """A value of a text: how many values and characters it has with its copies, on how many levels."""

    anchor: str | None = None
    size: int = 1
    levels: int = 0


def _may_be_large(text: str) -> bool:
    """Whether ``text`` may have many levels, or copies; most texts are cleared by counting."""
    # A level takes a bracket or a step of indentation, a copy two signs.
    brackets = text.count("[") + text.count("{")
    return brackets >= MAX_DEPTH or ("&" in text and "*" in text) or bool(_LONG_INDENTATION.search(text))


def _check_size(text: str) -> None:
    """Refuse deep nesting, and aliases that make much of little, before anything is made of either."""
    copied, most = 0, max(MAX_COPIED, len(text))
    anchored: dict[str | None, _Node] = {}
    around = [_Node()]
    for event in yaml.parse(text, Loader=_Loader):
        node = _Node(getattr(event, "anchor", None), 1 + len(getattr(event, "value", "")))
        if isinstance(event, _OPENING):
            # Until it ends: it has itself, without end.
            anchored[node.anchor] = _Node(levels=MAX_DEPTH)
            around.append(node)
        elif isinstance(event, yaml.AliasEvent):
            node = anchored.get(node.anchor, node)  # that there is no such anchor is found later
            copied += node.size
        elif isinstance(event, _CLOSING):
            node = around.pop()
        if len(around) - 1 + node.levels > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH} levels, or in itself", event)
        if copied > most:
            raise _refused(
                f"aliases add more than {most} values and characters: use fewer, or split the file",
                event,
            )
        if isinstance(event, (*_CLOSING, yaml.NodeEvent)) and not isinstance(event, _OPENING):
            anchored[node.anchor] = node
            around[-1].size += node.size
            around[-1].levels = max(around[-1].levels, node.levels + 1)


def _refused(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type] # libyaml's own mark
