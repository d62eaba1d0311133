"""What glibc does with memory that is free: kept for what comes next, given back to the kernel in time.

By itself it keeps blocks of a size that was freed once: buffers of connections that were closed an hour ago,
with a block in use behind them. Another C library has no such calls.
"""

import contextlib
import ctypes
from typing import Final

LARGE_BLOCK: Final = 2**20
"""Bytes of a block that is given back when it is freed. What TLS and JSON take for a review that is decided
on in the event loop is smaller: fetched from the kernel each time, it cost a fifth of the review.
"""

_LIBRARY: Final = ctypes.CDLL(None)
_M_TRIM_THRESHOLD: Final = -1  # of mallopt(3)
_M_MMAP_THRESHOLD: Final = -3


def give_back_large_blocks() -> None:
    """Have large blocks given back as soon as they are free; the others wait for `give_back`."""
    with contextlib.suppress(AttributeError):
        _LIBRARY.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
        _LIBRARY.mallopt(_M_TRIM_THRESHOLD, 2 * LARGE_BLOCK)


def give_back() -> None:
    """Give back all whole pages that are free, also between blocks in use; takes less than a millisecond."""
    with contextlib.suppress(AttributeError):
        _LIBRARY.malloc_trim(0)
