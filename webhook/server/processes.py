"""What several processes need before the rest of the service is imported."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def shared_books(workers: int) -> Iterator[None]:
    """With more than one worker, a folder in which their metrics are added up, for as long as the service runs.

    prometheus-client decides when it is imported whether it works that way: enter this first.
    """
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="colocation-webhook-", dir=memory_folder()) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def memory_folder() -> str | None:
    """A folder in memory for heartbeats and metrics, so that a read-only root file system is enough; None: the default."""
    folder = "/dev/shm"  # noqa: S108 - files in it are made by tempfile, with names nobody can guess
    return folder if os.access(folder, os.W_OK) else None
