"""The cgroup that an agent in a container cannot write to: that container's own.

In version 2 the kernel takes no write from within a namespace of cgroups to the group at its root, where they
are mounted with ``nsdelegate``. Source: the kernel's documentation, cgroup-v2, "Delegation Containment".
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from webhook.agent.writing.cgroupfiles import CgroupFiles

_AT_THE_ROOT: Final = "0::/"
_TYPE, _OPTIONS = 2, 3


def holds_us(folder: str, files: CgroupFiles) -> bool:
    """Whether this process is in the cgroup of a folder; the ids of others mean nothing here."""
    try:
        return str(os.getpid()) in files.read(f"{folder}/cgroup.procs").split()
    except OSError:
        return False


def left_alone(folder: str) -> str:
    """Return the finding about such a cgroup."""
    why = "the kernel refuses writes from within it, so it is left as it is"
    return f"{folder}: this is the agent's own container: {why}"


def refused_folder(folders: Iterable[str], files: CgroupFiles, proc: Path) -> str:
    """Return the one of these folders that cannot be written from here, "" where there is none.

    Args:
        folders: of cgroups of version 2.
        files: of cgroups.
        proc: the /proc in which this process is ``self``.
    """
    try:
        groups = (proc / "self/cgroup").read_text().splitlines()
        mounts = [line.split() for line in (proc / "self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    delegated = any(
        len(each) > _OPTIONS and each[_TYPE] == "cgroup2" and "nsdelegate" in each[_OPTIONS].split(",")
        for each in mounts
    )
    if not delegated or _AT_THE_ROOT not in groups:
        return ""
    return next((each for each in folders if holds_us(each, files)), "")
