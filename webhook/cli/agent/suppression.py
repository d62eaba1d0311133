"""The options of ``agent`` that say whether and how BE pods are suppressed."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from webhook.agent.suppression.decision import Options

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LEAST, _PERCENT, _MOST_CPUS = 2, 100, 8192


def suppression_options(command: _Command) -> Callable[..., Any]:
    """Add the options to a command, which gets them as ``suppression``: None where it is off."""

    @click.option(
        "--suppress-be",
        is_flag=True,
        help="Let BE pods give way while others need CPUs, as far as the NodeSLO switches that on.",
    )
    @click.option(
        "--suppress-least-cpus",
        type=click.IntRange(1, _MOST_CPUS),
        default=_LEAST,
        show_default=True,
        help="So many CPUs BE pods keep.",
    )
    @click.option(
        "--suppress-pressure",
        type=click.IntRange(0, _PERCENT),
        default=0,
        metavar="PERCENT",
        help="BE pods give way further while an online pod waits longer than that for a CPU; 0: never.",
    )
    @wraps(command)
    def with_flags(
        *args: object, suppress_be: bool, suppress_least_cpus: int, suppress_pressure: int, **fields: object
    ) -> object:
        suppression: Options | None = None
        if suppress_be:
            from webhook.agent.suppression.decision import Options as Made

            suppression = Made(suppress_least_cpus, suppress_pressure)
        return command(*args, suppression=suppression, **fields)

    return with_flags
