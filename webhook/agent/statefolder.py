"""A folder for what has to survive a restart of an agent; one agent at a time has it, and the node."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from webhook.kube.files import read_file

_LOCK: Final = "agent.lock"
_log = logging.getLogger(__name__)


class AnotherAgentError(Exception):
    """Another process has the folder, or the node; the message says which."""


@contextlib.contextmanager
def alone(cgroup: Path) -> Iterator[None]:
    """Be the only agent that works on the pods of a kubelet, whatever folder others keep their state in.

    Args:
        cgroup: the folder of all its pods, which every agent of the node sees; it is locked, not written.

    Raises:
        AnotherAgentError: another agent works there.
        OSError: it cannot be opened.
    """
    folder = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherAgentError(
                f"{cgroup}: another agent of this node works on these pods, with another --state-dir: end "
                "one of them, for each would undo what the other writes"
            ) from None
        yield
    finally:
        os.close(folder)


class StateFolder:
    """A folder on the node, ``/var/lib/colocation-webhook``."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is made yet."""
        self.path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the folder for oneself; it is made where it is missing.

        Raises:
            AnotherAgentError: another agent of this node has it.
            OSError: it cannot be made or opened.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
                raise AnotherAgentError(
                    f"{self.path}: another agent of this node has this folder (process {pid} of its "
                    "namespace): end it, or give this one another --state-dir"
                ) from None
            with contextlib.suppress(OSError):  # of a full disk only the number is missing
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    def read(self, name: str) -> object:
        """Return what a file of JSON holds; None, with a word in the log, where it cannot be read."""
        path = self.path / name
        try:
            return orjson.loads(read_file(path))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            _log.warning("%s cannot be read, so it starts again: %s", path, error)
            return None

    def write(self, name: str, value: object) -> bool:
        """Write a file whole, or leave it as it was; return whether it was written, with a word if not."""
        path = self.path / name
        new = path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(orjson.dumps(value))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            _log.warning("%s is not written: %s", path, error)
            with contextlib.suppress(OSError):
                new.unlink()
            return False
        return True
