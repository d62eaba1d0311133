"""Text on a terminal: lines of its width, colours and which one for what."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from shutil import get_terminal_size
from typing import Final

import click

from webhook.cli.options.declarations import choice_option

color_option = choice_option(
    "--color", choices=("auto", "always", "never"), text="auto: on a terminal, unless NO_COLOR is set."
)


def coloured(choice: str) -> bool:
    """Return whether to use colours, by the option's value, the environment and the terminal."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_MARKS: Final = " ✗!✓·→…+~@-"
# What stands before a line's text: a mark, and the first column of a table.
_HANGING: Final = re.compile(r"(?P<mark> *(?:[✗!✓·→…+~@-] )?)(?:\S+(?: \S+)*? {2,})?")


def echo_lines(lines: Iterable[str], color: str) -> None:
    """Print lines, by the value of --color; on a terminal long ones are wrapped to its width."""
    width = get_terminal_size().columns if sys.stdout.isatty() else 0
    click.echo("\n".join(wrapped(line, width) for line in lines), color=coloured(color))


def wrapped(line: str, width: int) -> str:
    """Break a line between words; what follows stands under the text: behind the mark, in its column.

    Args:
        line: may hold colours.
        width: columns; 0 leaves the line as it is.
    """
    if not width:
        return line
    lead = _HANGING.match(click.unstyle(line))
    indent = " " * (0 if lead is None else lead.end() if lead.end() <= width // 2 else lead.end("mark"))
    done, current = [], ""
    for number, word in enumerate(line.split(" ")):
        longer = f"{current} {word}" if number else word
        fits = len(indent) + len(click.unstyle(word)) <= width  # else no line is wide enough
        if fits and len(click.unstyle(longer)) > width and click.unstyle(current).strip(_MARKS):
            done.append(current.rstrip(" "))
            longer = indent + word
        current = longer
    return "\n".join([*done, current])


def first_of(names: Sequence[str], number: int) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - number} more" if len(names) > number else ""
    return ", ".join(names[:number]) + more


heading: Final = partial(click.style, bold=True)
"""The title of a section."""

good: Final = partial(click.style, fg="green")
"""A success, or an addition."""

bad: Final = partial(click.style, fg="red")
"""An error or a denial, or a removal."""

warning: Final = partial(click.style, fg="yellow")
"""A warning, or a replacement."""

muted: Final = partial(click.style, dim=True)
"""A detail."""
