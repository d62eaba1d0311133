"""What a process sets up before the rest of the service is imported."""

import contextlib
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """Have the metrics of more than one worker added up, in a folder of this context.

    prometheus-client decides when it is imported whether it works that way: enter this first.
    """
    if workers == 1:
        yield
        return
    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix="colocation-webhook-", dir=memory_folder())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        if os.getpid() == owner:  # A worker that ends passes here as well, and the others still count.
            shutil.rmtree(folder)


def allow_open_files(number: int) -> None:
    """Raise the limit of open files to ``number``, as far as the kernel lets us: a shell's 1024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory_folder() -> str | None:
    """Return a folder in memory, so that a read-only root is enough; None: the default one."""
    folder = "/dev/shm"  # noqa: S108 — tempfile gives what is in it names nobody can guess
    return folder if os.access(folder, os.W_OK) else None
