"""Terminal colours: when they are used, and which one for what."""

import os
import sys
from collections.abc import Sequence
from functools import partial
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
