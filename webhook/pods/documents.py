"""Text into objects: YAML with many documents, or JSON.

YAML is read as kubectl reads it: dates, ``12:30`` and ``=`` are plain text, not the
types that YAML 1.1 makes of them. JSON is read by orjson.
"""

import re
from collections.abc import Iterator
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
_OPENING: Final = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING: Final = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
_LONG_INDENTATION: Final = re.compile(rf"^[-?: ]{{{MAX_DEPTH}}}", re.MULTILINE)


class DocumentError(ValueError):
    """A text that cannot be read; the message names file, line and what is wrong."""


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


def read_documents(data: bytes, name: str) -> list[Document]:
    """Read the documents of a text.

    Args:
        data: the text; JSON when ``name`` ends in ``.json``, else YAML (of which JSON
            is a part).
        name: of the file, for messages.

    Raises:
        DocumentError: not UTF-8, a NUL byte, or not YAML or JSON.
    """
    text = _decoded(data, name)
    if name.endswith(".json"):
        return _json(text, name)
    try:
        found = [(value, line) for value, line in _yaml(text) if value is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        what = " ".join(filter(None, (error.context, error.problem)))
        raise DocumentError(f"{name}{at}: not YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(f"{name}:{line}: not YAML: {error.reason}") from None
    if len(found) == 1:
        return [Document(value, f"{name}:{line}") for value, line in found]
    return [
        Document(value, f"{name}:{line} (document {i} of {len(found)})")
        for i, (value, line) in enumerate(found, 1)
    ]


def objects_of(document: Document, depth: int = 0) -> Iterator[Document]:
    """Yield the objects of a document: those of a List, else the document itself.

    Items of a typed list (PodList) get its kind and apiVersion where they carry none.

    Raises:
        DocumentError: a List holds itself.
    """
    value, source = document
    kind, items = (value.get("kind"), value.get("items")) if isinstance(value, dict) else (None, None)
    if not isinstance(value, dict) or not str(kind).endswith("List") or not isinstance(items, list):
        yield document
        return
    if depth > MAX_DEPTH:
        raise DocumentError(f"{source.partition(' items[')[0]}: a List holds itself: remove the alias")
    item_kind = str(kind).removesuffix("List")
    inherited = {"apiVersion": value.get("apiVersion"), "kind": item_kind} if item_kind else {}
    for i, item in enumerate(items):
        typed = {**inherited, **item} if isinstance(item, dict) else item
        yield from objects_of(Document(typed, f"{source} items[{i}]"), depth + 1)


def _decoded(data: bytes, name: str) -> str:
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
    if not text.strip():
        return []
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DocumentError(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    return [] if value is None else [Document(value, name)]


def _yaml(text: str) -> Iterator[tuple[Any, int]]:
    """Yield each document and the line on which it begins."""
    _check_depth(text)
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


def _check_depth(text: str) -> None:
    """Refuse nesting deeper than MAX_DEPTH, before anything recurses into it."""
    # A level takes a bracket or a step of indentation: most files are cleared by counting.
    if text.count("[") + text.count("{") < MAX_DEPTH and not _LONG_INDENTATION.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, _OPENING):
            depth += 1
            if depth > MAX_DEPTH:
                raise yaml.MarkedYAMLError(
                    problem=f"nested deeper than {MAX_DEPTH} levels",
                    problem_mark=event.start_mark,  # type: ignore[arg-type] # libyaml's own mark
                )
        elif isinstance(event, _CLOSING):
            depth -= 1
