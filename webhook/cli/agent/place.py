"""Where the files of an agent are."""

from pathlib import Path
from typing import NamedTuple


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
