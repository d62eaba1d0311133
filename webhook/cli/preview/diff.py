"""Two objects as YAML, and what is different between them."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple

import yaml

CONTEXT: Final = 2  # unchanged lines shown around a change
_WIDE: Final = 2**16  # no line is broken: a diff compares lines
_KEY: Final = re.compile(r"( *)((?:- )*)([^\s:][^:]*):(?: |$)")

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Line(NamedTuple):
    """One line of a diff: what kind it is, and its text without a mark."""

    kind: Literal["added", "removed", "same", "place"]
    text: str


class _Dumper(_Base):  # type: ignore[misc] # which class it is, is known only at run time
    """Writes objects as kubectl shows them."""

    def ignore_aliases(self, data: object) -> bool:
        """Write what occurs twice twice."""
        del data
        return True


def _text(dumper: Any, value: str) -> Any:  # noqa: ANN401 — PyYAML's types
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_of(value: object) -> str:
    """Write a JSON value as YAML, fields in the order in which they are."""
    written: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE)
    return written


def difference(before: object, after: object) -> list[Line]:
    """Return the lines of YAML that differ, each group under the path of the object it is in.

    The same objects give no lines.
    """
    old, new = yaml_of(before).splitlines(), yaml_of(after).splitlines()
    lines: list[Line] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        lines += _group(group, old, new)
    return lines


def _group(group: list[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> Iterator[Line]:
    _, i, i_end, j, _ = next(change for change in group if change[0] != "equal")
    yield Line("place", _path(old, i) if i < i_end else _path(new, j))
    for tag, i, i_end, j, j_end in group:
        if tag == "equal":
            yield from (Line("same", text) for text in old[i:i_end])
        else:
            yield from (Line("removed", text) for text in old[i:i_end])
            yield from (Line("added", text) for text in new[j:j_end])


def _path(lines: list[str], index: int) -> str:
    """Return the path of the object that a line of YAML stands in: ``spec.containers[0].resources``."""
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
