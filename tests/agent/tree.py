"""Trees of files in the shape of a kernel's cgroups, in a folder of a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

V1_CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory")


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files by their paths below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def v1_tree(root: Path, *groups: str, hybrid: bool = True, joined: bool = False) -> None:
    """Make the hierarchies of version 1 with these groups; ``joined``: cpu and cpuacct share one."""
    top = root / "sys/fs/cgroup"
    names = ("cpu,cpuacct", "cpuset", "memory") if joined else V1_CONTROLLERS
    for each in names:
        (top / each).mkdir(parents=True)
        for group in groups:
            (top / each / group).mkdir(parents=True)
    if joined:
        (top / "cpu").symlink_to("cpu,cpuacct")
        (top / "cpuacct").symlink_to("cpu,cpuacct")
    (top / "systemd").mkdir()
    if hybrid:
        write(top, {"unified/cgroup.controllers": "hugetlb\n"})
        for group in groups:
            (top / "unified" / group).mkdir(parents=True)


def v2_tree(root: Path, *groups: str) -> None:
    """Make the hierarchy of version 2 with these groups."""
    top = root / "sys/fs/cgroup"
    write(top, {"cgroup.controllers": "cpuset cpu io memory hugetlb pids\n"})
    for group in groups:
        (top / group).mkdir(parents=True)
