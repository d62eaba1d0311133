"""What is foreseen of pods: trained each minute, and kept in a file for the next agent."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from webhook.agent.measuring.peak import TRAIN_SECONDS, Peaks, Prediction
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.usage import Use
from webhook.agent.pods import NodePod
from webhook.agent.statefolder import StateFolder

FILE: Final = "peaks.json"
KEEP_SECONDS: Final = 600.0
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class History:
    """The peaks of a node, kept in its state folder.

    Attributes:
        clock: seconds since the epoch.
    """

    _sampler: Sampler
    _folder: StateFolder
    clock: Callable[[], float] = time.time
    _peaks: Peaks = field(default_factory=Peaks, init=False)
    _trained: float | None = field(default=None, init=False)
    _kept: float | None = field(default=None, init=False)

    def restore(self) -> None:
        """Take what the agent before kept, if that can be read; else begin again, with a word."""
        kept = self._folder.read(FILE)
        if kept is None:
            return
        try:
            self._peaks.restore(kept if isinstance(kept, dict) else {})
        except ValueError as error:
            _log.warning("%s cannot be used, so peaks are learnt again: %s", self._folder.path / FILE, error)

    def step(self, pods: Iterable[NodePod]) -> None:
        """Train and keep what is known, if it is time."""
        at = self._sampler.now()
        if self._trained is not None and at - self._trained < TRAIN_SECONDS:
            return
        with self._sampler.lock:
            means = self._sampler.node.mean(at, TRAIN_SECONDS)
            used = [(pod.subject, use) for pod in pods if (use := self._sampler.pod(pod.uid, TRAIN_SECONDS))]
        if means is None:
            return
        self._trained = at
        self._peaks.train(self.clock(), used, means[1])
        if self._kept is None or at - self._kept >= KEEP_SECONDS:
            self._kept = at
            self.keep()

    def keep(self) -> None:
        """Write what is known."""
        self._folder.write(FILE, self._peaks.to_json())

    def predict(self, pods: Iterable[NodePod], allocatable: Use) -> Prediction | None:
        """Return what is foreseen; None before the first training."""
        return self._peaks.predict((pod.subject for pod in pods), allocatable)
