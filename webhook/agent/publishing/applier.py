"""Applies the agent's objects: what was refused is said once, counted, and left alone for a while."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.agent.metrics import Publications
from webhook.kube.apply import Pauses, apply
from webhook.kube.client import ApiError, Client
from webhook.protocol import AGENT_MANAGER

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Applier:
    """Applies objects of some kinds, one of each; a kind is for one thread.

    Attributes:
        clock: seconds that never go back.
        pauses: by kind.
    """

    _api: Client
    _publications: Publications
    clock: Callable[[], float] = time.monotonic
    pauses: Pauses = field(init=False)
    _refusals: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Begin without a pause."""
        self.pauses = Pauses(self.clock)

    def due(self, kind: str) -> bool:
        """Whether the object of a kind may be written now."""
        return self.pauses.over(kind)

    def apply(self, kind: str, path: str, body: Mapping[str, Any], again: float = 0.0) -> bool:
        """Apply an object and return whether it was taken; raises ApiError where nobody answers.

        Args:
            kind: of the object.
            path: of the object, or of its status.
            body: what is ours of it.
            again: in how many seconds the next one is due.
        """
        try:
            apply(self._api, path, body, AGENT_MANAGER)
        except ApiError as error:
            owners = self.pauses.refused(kind, error)
            self._publications.refused.labels(kind, "conflict" if owners else "other").inc()
            what = (
                f"its fields belong to {' and '.join(owners)}; end one of the two" if owners else str(error)
            )
            if self._refusals.get(kind) != what:
                self._refusals[kind] = what
                _log.warning("%s is not written: %s", path, what)
            return False
        self._refusals.pop(kind, None)
        self.pauses.pause(kind, again)
        self._publications.written(kind)
        return True
