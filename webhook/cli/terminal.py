"""Colours: when, and which."""

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
    """Tell whether to write colours, by the option's value, the environment and the terminal."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def heading(text: str) -> str:
    """Style the title of a section."""
    return click.style(text, bold=True)


def good(text: str) -> str:
    """Style what is as it should be, or new."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Style what is refused, wrong or gone."""
    return click.style(text, fg="red")


def odd(text: str) -> str:
    """Style what deserves a look."""
    return click.style(text, fg="yellow")


def quiet(text: str) -> str:
    """Style what can be passed over."""
    return click.style(text, dim=True)
