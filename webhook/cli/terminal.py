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


_HANGING: Final = re.compile(r" *(?:[✗!✓·→…] )?")


def echo_lines(lines: Iterable[str], color: str) -> None:
    """Print lines, by the value of --color; on a terminal long ones are wrapped to its width."""
    width = get_terminal_size().columns if sys.stdout.isatty() else 0
    click.echo("\n".join(wrapped(line, width) for line in lines), color=coloured(color))


def wrapped(line: str, width: int) -> str:
    """Break a line between words; what follows is indented as far as the text behind the line's mark.

    Args:
        line: may hold colours.
        width: columns; 0 leaves the line as it is.
    """
    hanging = _HANGING.match(click.unstyle(line))
    indent = " " * (hanging.end() if hanging else 0)
    done, current = [], ""
    for number, word in enumerate(line.split(" ")):
        longer = f"{current} {word}" if number else word
        if width and len(click.unstyle(longer)) > width and click.unstyle(current).strip(" ✗!✓·→…"):
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
