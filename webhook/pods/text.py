"""Values as messages quote them."""

from collections.abc import Iterator, Mapping
from typing import Final

_MOST: Final = 80  # characters: a line of a terminal
_LONG: Final = 1000  # of a text: which quotes stand around it depends on what comes later


def shown(value: object) -> str:
    """Return a value as messages quote it: on one line, at most 80 characters; nothing is ``null``.

    No more of it is written out, however large it is.
    """
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > _MOST:
            return f"{text[: _MOST - 1]}…"
    return text


def _pieces(value: object) -> Iterator[str]:
    """Yield ``repr(value)`` in parts, each made when it is asked for."""
    if value is None:
        yield "null"
        return
    if not isinstance(value, (Mapping, list)):
        yield repr(value[:_LONG] if isinstance(value, str) else value)
        return
    opening, closing = "[]" if isinstance(value, list) else "{}"
    yield opening
    for i, item in enumerate(value):
        yield ", " if i else ""
        yield from _pieces(item)
        if isinstance(value, Mapping):
            yield ": "
            yield from _pieces(value[item])
    yield closing
