"""Declarations of options that commands share."""

import click
from click.testing import CliRunner

from webhook.cli.options.declarations import choice_option, grouped, seconds_option


def test_a_group_becomes_one_argument_in_the_order_of_the_help():
    """Groups may stand in groups; other options reach the command as before."""
    inner = grouped(
        "pace", lambda wait: wait * 2, seconds_option("--wait", kind=click.INT, default=3, text="W.")
    )
    outer = grouped(
        "plan", lambda size, pace: (size, pace), choice_option("--size", choices=("small", "large")), inner
    )

    @click.command()
    @outer
    @click.option("--name", default="x")
    def command(plan, name):
        click.echo(f"{plan} {name}")

    assert CliRunner().invoke(command, []).output == "('small', 6) x\n"
    assert CliRunner().invoke(command, ["--size", "large", "--wait", "1"]).output == "('large', 2) x\n"
    shown = CliRunner().invoke(command, ["--help"]).output
    assert shown.index("--size [small|large]") < shown.index("--wait SECONDS") < shown.index("--name")
    assert "[default: small]" in shown
