"""What goes on beside a test: a function that is called again and again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def repeating(function: Callable[[], object], seconds: float = 0.1) -> Iterator[None]:
    """Call a function in a thread as long as the block lasts, with a pause in ``seconds`` before each call.

    What it raises ends the calls, and is raised at the end of the block.
    """
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            function()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(run)
        try:
            yield
        finally:
            over.set()
        done.result()
