"""Files and streams, read no further than something of their kind is long.

A device or a pipe in the place of a file may have no end.
"""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import IO, AnyStr, Final

MAX_FILE: Final = 16 * 2**20
"""Bytes of certificates, keys, tokens and configurations: more than any has."""


class TooLongError(OSError):
    """Something has more bytes than it may, and perhaps no end."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(errno.EFBIG, f"{what}has more than {most} bytes, perhaps no end: give a file")


def read_file(path: Path, most: int = MAX_FILE) -> bytes:
    """Return the content of a file; raises OSError, also where it has more than ``most`` bytes."""
    with path.open("rb") as file:
        return read_all(file, most)


def read_all(stream: IO[AnyStr], most: int = MAX_FILE) -> AnyStr:
    """Return what a stream holds; raises OSError where that is more than ``most``."""
    data = stream.read(most + 1)
    if len(data) > most:
        raise TooLongError("", most)
    return data


def read_lines(stream: IO[AnyStr], most: int = MAX_FILE) -> Iterator[AnyStr]:
    """Yield the lines of a stream; raises OSError where one is longer than ``most``."""
    number = 0
    while line := stream.readline(most + 1):
        number += 1
        if len(line) > most:
            raise TooLongError(f"line {number} ", most)
        yield line
