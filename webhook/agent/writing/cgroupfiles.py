"""The files of cgroups, read and written: the only place from which cgroups are written.

Two settings of processes are read and written like them: ``PROC/PID/oom_score_adj``, and the nice value of a
thread as ``PROC/PID/task/TID/nice``, which is no file: it needs the process ids of PROC.
"""

import os
from typing import Final, Protocol

OOM_SCORE_ADJ: Final = "oom_score_adj"
NICE: Final = "nice"

_MOST: Final = 65_536
_THREAD: Final = f"/{NICE}"
_PROCESS: Final = (_THREAD, f"/{OOM_SCORE_ADJ}")
_STARTED: Final = 19  # of the fields after the name, which is in brackets


class CgroupFiles(Protocol):
    """What reads and writes files of cgroups; a kernel, or a model of one."""

    def read(self, path: str) -> str:
        """Return what a file holds; OSError as the kernel answers."""

    def write(self, path: str, text: str) -> None:
        """Write a file that exists; OSError as the kernel answers."""

    def identity(self, path: str) -> int:
        """Return the number of the folder in which a file stands: no other cgroup has it. OSError: gone."""


class KernelFiles:
    """The kernel's own."""

    def read(self, path: str) -> str:
        """Return what a file holds; OSError as the kernel answers."""
        if path.endswith(_THREAD):
            return str(os.getpriority(os.PRIO_PROCESS, _number(path)))
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.read(handle, _MOST).decode("ascii", "replace").rstrip("\n")
        finally:
            os.close(handle)

    def write(self, path: str, text: str) -> None:
        """Write a file that exists, in one call; OSError as the kernel answers."""
        if path.endswith(_THREAD):
            os.setpriority(os.PRIO_PROCESS, _number(path), int(text))
            return
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(handle, f"{text}\n".encode())
        finally:
            os.close(handle)

    def identity(self, path: str) -> int:
        """Return the inode of a file's folder; of a process, when it was started."""
        folder = os.path.dirname(path)  # noqa: PTH120 — a path is text here
        if path.endswith(_PROCESS):
            # The inodes of /proc do not last as long as a process.
            return int(self.read(f"{folder}/stat").rpartition(")")[2].split()[_STARTED])
        return os.stat(folder).st_ino  # noqa: PTH116


def _number(path: str) -> int:
    """Return the id of the thread of a path."""
    return int(path.split("/")[-2])
