"""Replicas of the webhook: processes that a test starts, hangs, kills and drains."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e.cluster.processes import Process, eventually


class Replica:
    """One webhook process; it keeps its name and its ports when it is started again, as a container does."""

    def __init__(
        self, name: str, command: str, port: int, admin_port: int, *, env: Mapping[str, str], folder: Path
    ) -> None:
        """Take the command line that serves on the ports of ``env``; nothing runs yet."""
        self.name = name
        self.port = port
        self.admin_port = admin_port
        self._command = command
        self._env = env
        self._folder = folder
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """What runs; an error where nothing was started."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.running

    def start(self, *flags: str) -> None:
        """Start it, with further flags of ``serve``."""
        command = f"exec {' '.join([self._command, *flags])}"
        log = self._folder / f"{self.name}.log"
        self._process = Process(self.name, ["/bin/bash", "-c", command], log, env=self._env, cwd=self._folder)

    def terminate(self) -> None:
        """SIGTERM to the first process; it drains."""
        self.process.signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop all its processes in the middle of whatever they do: it hangs."""
        self.process.signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """End all its processes at once and wait for that."""
        self.process.signal_all(signal.SIGKILL)
        self.process.ended(10)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self.thaw()
            self._process.stop()
            self._process = None

    def admin(self, path: str, *, timeout: float = 5.0) -> tuple[int, str]:
        """Status and body of a path of the admin port; raises OSError where nothing answers."""
        try:
            url = f"http://localhost:{self.admin_port}{path}"
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def readiness(self) -> dict[str, Any]:
        """What it says of itself."""
        result: dict[str, Any] = json.loads(self.admin("/readyz")[1])
        return result

    def ready(self) -> bool:
        """Whether it says so; an AssertionError if it has ended."""
        self.process.require_running()
        return self.admin("/readyz")[0] == 200

    def wait_until_ready(self) -> None:
        """Wait for it."""
        eventually(self.ready, seconds=60, what=f"{self.name} ready")
