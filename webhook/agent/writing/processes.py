"""The processes of containers, found by what the host's /proc says of their cgroups.

An agent without the host's process ids sees no process in ``cgroup.procs``, but /proc of the host, mounted
somewhere, names all of them.
"""

import re
import time
from collections.abc import Callable, Mapping
from os import listdir
from pathlib import Path
from typing import Final

from webhook.agent.plan.target import Knob
from webhook.agent.writing.cgroupfiles import NICE, OOM_SCORE_ADJ

AGAIN_SECONDS: Final = 5.0
"""So long what was found holds: with all containers together, each process is looked at once."""

_CONTAINER: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Processes:
    """The processes of a machine; not for use from several threads.

    Attributes:
        knobs: what may be set of them; for anything else the agent may not have the rights.
    """

    def __init__(
        self, proc: Path, knobs: frozenset[Knob], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the host's /proc, what may be set, and seconds that never go back."""
        self.knobs = knobs
        self._proc, self._clock = str(proc), clock
        self._found: Mapping[str, list[str]] = {}
        self._until = 0.0

    def paths(self, container: str, knob: Knob) -> list[str]:
        """Return where a setting of each process of a container is, or of each of their threads."""
        if self._clock() >= self._until:
            self._found, self._until = self._look(), self._clock() + AGAIN_SECONDS
        found = self._found.get(container, [])
        if knob is Knob.OOM_SCORE_ADJ:
            return [f"{each}/{OOM_SCORE_ADJ}" for each in found]
        return [f"{each}/task/{thread}/{NICE}" for each in found for thread in _names(f"{each}/task")]

    def _look(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in _names(self._proc):
            folder = f"{self._proc}/{name}"
            try:
                groups = Path(folder, "cgroup").read_text("ascii", "replace")
            except OSError:
                continue
            for container in set(_CONTAINER.findall(groups)):
                found.setdefault(container, []).append(folder)
        return found


def _names(folder: str) -> list[str]:
    try:
        return [each for each in listdir(folder) if each.isdecimal()]  # noqa: PTH208 — numbers are names here
    except OSError:
        return []
