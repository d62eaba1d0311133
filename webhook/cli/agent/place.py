"""Where the files of an agent are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from webhook.cli.options.declarations import Decorator, grouped

if TYPE_CHECKING:
    from webhook.agent.machine.hierarchy import Hierarchy
    from webhook.agent.machine.kubelet import Kubelet
    from webhook.cpuset.topology import Topology

FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
"""A folder that is there."""


class Found(NamedTuple):
    """What is there: the cgroups, the CPUs, and what the kubelet's files say; None: they are not read."""

    hierarchy: "Hierarchy"
    cpus: "Topology"
    kubelet: "Kubelet | None"


@dataclass(frozen=True)
class Place:
    """A machine, this one or a recorded one, as options name it.

    Attributes:
        root: where /sys and /proc are.
        kubepods: the cgroup of all pods; None: the one that there is.
        kubelet_dir: the kubelet's folder; None: it is not read.
    """

    root: Path
    kubepods: str | None
    kubelet_dir: Path | None

    def find(self) -> Found:
        """Look at it.

        Raises:
            click.ClickException: there are no cgroups of a kubelet, or no CPUs.
        """
        from webhook.agent.machine.hierarchy import HierarchyError, find_hierarchy
        from webhook.agent.machine.kubelet import read_kubelet
        from webhook.cpuset.discovery import topology_from_sysfs
        from webhook.cpuset.errors import CpuSetError

        try:
            hierarchy = find_hierarchy(self.root, self.kubepods)
            cpus = topology_from_sysfs(self.root / "sys")
        except (HierarchyError, CpuSetError) as error:
            raise click.ClickException(str(error)) from None
        return Found(hierarchy, cpus, None if self.kubelet_dir is None else read_kubelet(self.kubelet_dir))


@dataclass(frozen=True)
class AgentPlace(Place):
    """A machine, and the state of its agent.

    Attributes:
        state_dir: what survives a restart.
    """

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

_OPTIONS: Final[tuple[Decorator, ...]] = (
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
        help="The kubelet's folder: heed its CPU manager's policy, and the CPUs that it gave to pods.",
    ),
)

root_options = grouped("place", Place, *_OPTIONS)
"""Add the options of a machine alone; pass ``place``."""

place_options = grouped("place", AgentPlace, *_OPTIONS, state_option)
"""The same with --state-dir."""
