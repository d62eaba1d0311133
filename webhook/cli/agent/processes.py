"""The options of ``agent`` for the processes of pods, each of which needs rights of its own."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from webhook.cli.agent.place import FOLDER
from webhook.cli.options.declarations import grouped
from webhook.protocol import QOS_CLASSES

if TYPE_CHECKING:
    from webhook.agent.plan.settings import Settings

_PROC = Path("/proc")
_NICE = re.compile(r"-(20|1?\d)|1?\d", re.ASCII)


class _Nice(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """``CLASS=N``."""

    name = "class=n"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return class and nice value."""
        del param
        if isinstance(value, tuple):
            return value
        name, _, number = value.partition("=")
        if name not in QOS_CLASSES or not _NICE.fullmatch(number):
            classes = ", ".join(sorted(QOS_CLASSES))
            raise click.UsageError(
                f"--nice {value}: write CLASS=N: one of {classes}, and -20, first, to 19, last", ctx
            )
        return name, int(number)


class ProcessFlags(NamedTuple):
    """What is to hold for processes, and the /proc in which they are found."""

    oom_score_adj: bool
    nice: tuple[tuple[str, int], ...]
    host_proc: Path

    def proc(self, root: Path) -> Path:
        """Return where processes are looked for: unless it is said, that of a recorded machine is its own."""
        return root / "proc" if self.host_proc == _PROC else self.host_proc

    def settings(self) -> "Settings":
        """Return the settings of an agent, with what these switch on."""
        from webhook.agent.plan.settings import Settings

        return Settings(oom_score_adj=self.oom_score_adj, nice=dict(self.nice))


process_options = grouped(
    "processes",
    ProcessFlags,
    click.option(
        "--oom-score-adj",
        is_flag=True,
        help="Obey the annotation koordinator.sh/oom-score-adj of pods; needs the host's /proc.",
    ),
    click.option(
        "--nice",
        type=_Nice(),
        metavar="CLASS=N",
        multiple=True,
        help="Nice value of the processes of a QoS class, such as LS=-5; needs the host's process ids.",
    ),
    click.option(
        "--host-proc",
        metavar="DIR",
        type=FOLDER,
        default=_PROC,
        show_default=True,
        help="Where the host's /proc is, for --oom-score-adj and --nice.",
    ),
)
"""Add the options; pass ``processes``."""
