"""YAML of objects, and a diff of two of them."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple

import yaml

_CONTEXT: Final = 2  # unchanged lines shown around a change
_WIDE: Final = 2**16  # lines are never wrapped: a diff compares lines
_OTHERWISE: Final = re.compile(
    r"[yYnN]|[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?0[xXbBoO][0-9a-fA-F]+"
)
"""Texts, each "_" left out, that Helm and kubectl take for a number or a truth value, and PyYAML does not."""

_KEY: Final = re.compile(r"( *)((?:- )*)([^\s:][^:]*):(?: |$)")

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Line(NamedTuple):
    """One line of a diff: its kind, and its text without a mark; ``path`` heads a group of lines."""

    kind: Literal["added", "removed", "same", "path"]
    text: str


class _Dumper(_Base):  # type: ignore[misc] # the base class is known only at run time
    """Writes objects as kubectl prints them."""

    def ignore_aliases(self, data: object) -> bool:
        """Write an object out each time it occurs, without YAML aliases."""
        del data
        return True


def _text(dumper: Any, value: str) -> Any:  # noqa: ANN401 — PyYAML's types
    quoted = "'" if _OTHERWISE.fullmatch(value.replace("_", "")) else None
    style = "|" if "\n" in value else quoted
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_of(value: object) -> str:
    """Return a JSON value as YAML, fields in their own order."""
    written: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE)
    return written


def difference(before: object, after: object) -> list[Line]:
    """Return the lines of YAML that differ, in groups under the path of their object; none if equal."""
    old, new = yaml_of(before).splitlines(), yaml_of(after).splitlines()
    lines: list[Line] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT):
        lines += _group(group, old, new)
    return lines


def _group(group: list[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> Iterator[Line]:
    _, i, i_end, j, _ = next(change for change in group if change[0] != "equal")
    yield Line("path", _path(old, i) if i < i_end else _path(new, j))
    for tag, i, i_end, j, j_end in group:
        if tag == "equal":
            yield from (Line("same", text) for text in old[i:i_end])
        else:
            yield from (Line("removed", text) for text in old[i:i_end])
            yield from (Line("added", text) for text in new[j:j_end])


def _path(lines: list[str], index: int) -> str:
    """Return the path of the object that contains a line of YAML: ``spec.containers[].resources``."""
    path: list[str] = []
    depth = len(lines[index]) - len(lines[index].lstrip(" -")) if index < len(lines) else 0
    items = 0
    for line in reversed(lines[:index]):
        form = _KEY.match(line)
        if form is None:
            continue
        column = form.end(2)  # where the key begins, behind the dashes of list items
        if column == depth and form[2]:  # the first field of the item we are in
            items += 1
            depth = form.end(1) + 1  # its list's key stands at the dash or before
        elif column < depth and not (items and column == form.end(1) and line.lstrip().startswith("- ")):
            path.append(form[3].strip("'\"") + "[]" * bool(items))
            items = 0
            depth = column
            if form[2]:
                items, depth = 1, form.end(1) + 1
    return ".".join(reversed(path))
