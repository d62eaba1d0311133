"""The files of cgroups, read and written: the only place from which cgroups are written."""

import os
from typing import Final, Protocol

_MOST: Final = 65_536


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
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.read(handle, _MOST).decode("ascii", "replace").rstrip("\n")
        finally:
            os.close(handle)

    def write(self, path: str, text: str) -> None:
        """Write a file that exists, in one call; OSError as the kernel answers."""
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(handle, f"{text}\n".encode())
        finally:
            os.close(handle)

    def identity(self, path: str) -> int:
        """Return the inode of a file's folder."""
        return os.stat(os.path.dirname(path)).st_ino  # noqa: PTH116, PTH120 — a path is text here
