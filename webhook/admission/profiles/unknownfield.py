"""Fields of a profile that do not exist. They are ignored; many are misspelled."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, NamedTuple

_MOST: Final = 50  # of one profile: an object may have as many as fit into a file
_COMPARED: Final = 20  # fields of one profile: comparing names is slow, and a patch may have many


class UnknownField(NamedTuple):
    """A field that does not exist: what to say about it, and whether a similar one was probably meant."""

    message: str
    misspelled: bool


def note_unknown_field(
    notes: list[UnknownField], path: str, known: Iterable[str], remark: str = "unknown field"
) -> None:
    """Add a field that does not exist to the notes of its profile, while these are few.

    Args:
        notes: of the profile.
        path: of the field: ``spec.selectr``.
        known: the fields that exist at its place.
        remark: what is wrong.
    """
    if len(notes) >= _MOST:
        return
    hint = ""
    if len(notes) < _COMPARED:
        by_lower_case = {field.lower(): field for field in known}
        for close in get_close_matches(path.rpartition(".")[2].lower(), by_lower_case, n=1):
            hint = f": did you mean {by_lower_case[close]!r}?"
    notes.append(UnknownField(f"{path}: {remark}, ignored{hint}", bool(hint)))
