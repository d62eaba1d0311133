"""Where the files of an agent are."""

from pathlib import Path
from typing import Final, NamedTuple

import click

from webhook.cli.options.declarations import Decorator, grouped

FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
"""A folder that is there."""


class Place(NamedTuple):
    """The machine and the state of an agent, as options name them.

    Attributes:
        root: where /sys and /proc are.
        kubepods: the cgroup of all pods; None: the one that there is.
        kubelet_dir: the kubelet's folder; None: it is not read.
        state_dir: what survives a restart.
    """

    root: Path
    kubepods: str | None
    kubelet_dir: Path | None
    state_dir: Path


state_option: Final[Decorator] = click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default="/var/lib/colocation-webhook",
    show_default=True,
    help="What survives a restart; one agent of a node has it.",
)
"""Add --state-dir alone."""

place_options = grouped(
    "place",
    Place,
    click.option(
        "--root", metavar="DIR", type=FOLDER, default="/", show_default=True, help="Where /sys and /proc are."
    ),
    click.option(
        "--kubepods",
        metavar="PATH",
        help="The cgroup of all pods, such as kubepods.slice [default: the one that there is].",
    ),
    click.option(
        "--kubelet-dir",
        metavar="DIR",
        type=FOLDER,
        help="The kubelet's folder: publish its CPU manager's policy, and the CPUs that it gave to pods.",
    ),
    state_option,
)
"""Add these options; pass ``place``."""
