"""Terminal colours: when they are used, and which one for what."""

import os
import sys

import click

color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="auto: on a terminal, unless NO_COLOR is set.",
)


def coloured(choice: str) -> bool:
    """Return whether to use colours, by the option's value, the environment and the terminal."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def heading(text: str) -> str:
    """Style the title of a section."""
    return click.style(text, bold=True)


def good(text: str) -> str:
    """Style a success, or an addition."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Style an error or a denial, or a removal."""
    return click.style(text, fg="red")


def warning(text: str) -> str:
    """Style a warning, or a replacement."""
    return click.style(text, fg="yellow")


def muted(text: str) -> str:
    """Style a detail."""
    return click.style(text, dim=True)
