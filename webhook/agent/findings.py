"""What cannot be read or done as it is asked: logged once each, whoever of the agent finds it."""

import logging
from threading import Lock
from typing import Final

MOST_FINDINGS: Final = 1000
"""So many are remembered; with more, all are forgotten and may be logged again."""

_log = logging.getLogger(__name__)


class Findings:
    """What was said already; for all threads of one agent."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: set[str] = set()
        self._lock = Lock()

    def say(self, finding: str) -> None:
        """Log a finding, unless it was."""
        with self._lock:
            if finding in self._said:
                return
            if len(self._said) >= MOST_FINDINGS:
                self._said.clear()
            self._said.add(finding)
        _log.warning("%s", finding)
