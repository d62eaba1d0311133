"""``colocation-webhook``: the command group, which imports a command when it is used."""

from difflib import get_close_matches
from importlib import import_module, metadata
from typing import Final

import click

PROGRAM: Final = "colocation-webhook"
DISTRIBUTION: Final = "colocation-webhook"


COMMANDS: Final = {
    "serve": ("serve.command", "Serve admission reviews over TLS."),
    "certs": ("certs", "Create certificates; show and rotate managed ones in a cluster."),
    "review": ("review", "Answer AdmissionReviews from standard input, one per line."),
    "preview": ("preview.command", "Show how the pods of a manifest would be changed, and why."),
    "check": ("check", "Find errors in profiles, and profiles that conflict."),
    "doctor": ("doctor.command", "Diagnose an installation in a cluster; every finding has a remedy."),
    "cpuset": ("cpuset", "Allocate CPU sets, plan a node, draw a machine."),
    "controller": ("controller", "Publish in a cluster what nodes offer to batch work."),
    "agent": ("agent.command", "Measure a node, publish what its pods use, enforce CPU sets and limits."),
    "capacity": ("capacity.command", "Explain what nodes offer to batch work, pod by pod."),
    "scheduler": ("scheduler.command", "Explain where a pod may go; translate Koordinator's configuration."),
    "completion": ("completion", "Print a shell completion script."),
}
"""Module and summary of each command, so that ``--help`` imports none."""


class LazyGroup(click.Group):
    """A group that imports a command only when it runs; ``--help`` and ``--version`` import none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of COMMANDS."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; return None for an unknown name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"webhook.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown name suggests the nearest one."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS and not ctx.resilient_parsing:
            close = get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"No such command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 — click's signature
    if value and not ctx.resilient_parsing:
        try:
            version = metadata.version(DISTRIBUTION)
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        click.echo(f"{PROGRAM} {version}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 success; 1 something was denied, found or failed; 2 wrong usage.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Colocation for Kubernetes: mutates and validates pods by ClusterColocationProfiles.

    \b
    Examples:
      colocation-webhook check --objects examples/objects
      colocation-webhook preview --objects examples/objects examples/manifests/spark-tc-complex.yaml
      colocation-webhook serve --objects examples/objects
      colocation-webhook COMMAND --help
    """  # noqa: D301 — \b makes click keep the line breaks
