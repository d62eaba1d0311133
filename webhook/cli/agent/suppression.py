"""The options of ``agent`` that say whether and how BE pods are suppressed."""

from typing import TYPE_CHECKING

import click

from webhook.cli.options.declarations import grouped

if TYPE_CHECKING:
    from webhook.agent.suppression.decision import Options

_LEAST, _PERCENT, _MOST_CPUS = 2, 100, 8192


def _options(*, suppress_be: bool, suppress_least_cpus: int, suppress_pressure: int) -> "Options | None":
    if not suppress_be:
        return None
    from webhook.agent.suppression.decision import Options

    return Options(suppress_least_cpus, suppress_pressure)


suppression_options = grouped(
    "suppression",
    _options,
    click.option(
        "--suppress-be",
        is_flag=True,
        help="Let BE pods give way while others need CPUs, as far as the NodeSLO switches that on.",
    ),
    click.option(
        "--suppress-least-cpus",
        type=click.IntRange(1, _MOST_CPUS),
        default=_LEAST,
        show_default=True,
        help="How many CPUs BE pods keep at least.",
    ),
    click.option(
        "--suppress-pressure",
        type=click.IntRange(0, _PERCENT),
        default=0,
        metavar="PERCENT",
        help="BE pods give way further while an online pod waits longer than that for a CPU; 0: never.",
    ),
)
"""Add the options; pass ``suppression``: None where it is off."""
