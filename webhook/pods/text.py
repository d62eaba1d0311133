"""Values as messages quote them."""

from collections.abc import Iterator, Mapping
from typing import Final

_MOST: Final = 80  # characters: a line of a terminal
_LONG: Final = 1000  # of a text: which quotes stand around it depends on what comes later


def shown(value: object) -> str:
    """Return a value as messages quote it: on one line, at most 80 characters.

    No more of it is written out, however large it is.
    """
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > _MOST:
            return f"{text[: _MOST - 1]}…"
    return text


def _pieces(value: object) -> Iterator[str]:
    """Yield ``repr(value)`` in parts, each made when it is asked for and none empty."""
    if isinstance(value, Mapping):
        separator = "{"
        for key, item in value.items():
            yield separator
            yield from _pieces(key)
            yield ": "
            yield from _pieces(item)
            separator = ", "
        yield "}" if value else "{}"
    elif isinstance(value, list):
        separator = "["
        for item in value:
            yield separator
            yield from _pieces(item)
            separator = ", "
        yield "]" if value else "[]"
    else:
        yield repr(value[:_LONG] if isinstance(value, str) else value)
