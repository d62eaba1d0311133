"""A file of the kernel that is read again and again, by a descriptor that is kept.

Opening such a file costs ten times what reading it does. A descriptor of a group that is gone answers
ENODEV, even where a new group has its path.
"""

import errno
import os
from typing import Final

from webhook.agent.machine.hierarchy import GONE

_CHUNK: Final = 8192
_WHOLE: Final = 3072
"""A shorter answer is all there is: the kernel ends one early only before a line that does not fit."""
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE})


class GoneError(OSError):
    """There is no such file: its group was removed, or this kernel has none."""


class KeptFile:
    """One file; not for use from several threads.

    Attributes:
        path: where it is.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        """Take the path; nothing is opened yet."""
        self.path = path
        self._fd = -1

    def read(self) -> bytes:
        """Return what the file holds now; of a group that was removed and made again, the new one's.

        Raises:
            GoneError: there is none.
            OSError: it cannot be read, for another reason.
        """
        if self._fd >= 0:
            try:
                return _content(self._fd)
            except OSError as error:
                self.close()
                if error.errno not in GONE:
                    raise _named(error, self.path) from None
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NO_MORE:
                raise OSError(
                    error.errno, "too many open files: raise the limit of open files", self.path
                ) from None
            raise _named(error, self.path) from None
        try:
            return _content(self._fd)
        except OSError as error:
            self.close()
            raise _named(error, self.path) from None

    def close(self) -> None:
        """Let go of the descriptor; the next read opens the file again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _content(fd: int) -> bytes:
    data = os.pread(fd, _CHUNK, 0)
    if len(data) < _WHOLE:
        return data
    chunks = [data]
    while more := os.pread(fd, _CHUNK, sum(map(len, chunks))):
        chunks.append(more)
    return b"".join(chunks)


def _named(error: OSError, path: str) -> OSError:
    kind = GoneError if error.errno in GONE else OSError
    return kind(error.errno, error.strerror or "", path)
