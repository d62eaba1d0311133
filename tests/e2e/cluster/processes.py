"""Processes that a test run starts, each with its own log, each ended by its own pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

STOP_SECONDS = 20.0
T = TypeVar("T")


class NotInTimeError(AssertionError):
    """Something that was waited for did not come; the message has the last state seen."""


class Process:
    """A child process and its log file."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            # A session of its own: what a shell starts in turn is reached by the group's id.
            self._child = subprocess.Popen(  # noqa: S603 — the tests' own command lines
                command, stdout=output, stderr=output, env=dict(env), cwd=cwd, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def log(self) -> str:
        """Everything it has written so far."""
        return self._log.read_text(errors="replace")

    def require_running(self) -> None:
        """Raise with the end of its log if it has ended."""
        if not self.running:
            raise NotInTimeError(f"{self.name} ended with {self._child.returncode}:\n{self.log()[-4000:]}")

    @property
    def pid(self) -> int:
        """Of the process itself, which leads its group."""
        return self._child.pid

    def signal(self, signum: signal.Signals) -> None:
        """Send it to the process alone, as a kubelet does to the first process of a container."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signum)

    def signal_all(self, signum: signal.Signals) -> None:
        """Send it to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signum)

    def ended(self, seconds: float) -> bool:
        """Wait for its end so long at most; tell whether it came."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        return not self.running

    def stop(self) -> None:
        """SIGTERM to the group, then SIGKILL to what is left of it."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            self.signal_all(signum)
            if self.ended(STOP_SECONDS):
                return


def eventually(look: Callable[[], T], *, seconds: float = 30.0, what: str = "") -> T:
    """Look again and again until something true is seen, and return it.

    An AssertionError or a failed command counts as not yet; the last one is part of the message.
    """
    deadline = time.monotonic() + seconds
    seen: object = None
    while True:
        try:
            if value := look():
                return value
            seen = value
        except (AssertionError, subprocess.CalledProcessError, OSError, LookupError) as error:
            seen = f"{error!r} {getattr(error, 'stderr', '') or ''}"
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what or look.__name__}: not within {seconds:g} s; last seen: {seen}")
        time.sleep(0.1)


@contextlib.contextmanager
def stopping(process: Process) -> Iterator[Process]:
    """End the process at the end of the block."""
    try:
        yield process
    finally:
        process.stop()
