"""A view that is too old, and what follows from it.

An old view is better than none: when the API server is away for all replicas, they go on with what they
know. But when it is only this replica that hears nothing (a network that is cut, a token that is refused),
and another one is ready with a fresh view, this one says that it is not ready, so that reviews go there.
The other is asked in a thread of its own; readiness and reviews never wait for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field

from webhook.cluster.source import Source
from webhook.kube.loop import run_loop

MAX_VIEW_AGE = 180.0
"""Seconds: an idle API server is heard of once a minute, and a dead connection is noticed after 90 s."""

ASK_AGAIN_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Freshness:
    """How old what is watched is, kind by kind: one that is not heard of counts, however well the others do.

    Attributes:
        source: what is watched.
        limit: seconds after which a kind counts as old.
        find_peer: returns the address of a fresh peer, None: there is none; may block.
        clock: the time of day, in seconds.
        timer: seconds, for the pauses between questions.
        substitute: the peer that can serve in our place, None: there is none, or none is needed.
    """

    source: Source
    limit: float = MAX_VIEW_AGE
    _: KW_ONLY
    find_peer: Callable[[], str | None] = lambda: None
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic
    substitute: str | None = field(default=None, init=False)
    _warned: frozenset[str] = field(default=frozenset(), init=False)
    _ask_at: float = field(default=0.0, init=False)

    @property
    def stale(self) -> Mapping[str, float]:
        """The kinds that have not been heard of for too long, and for how many seconds."""
        now = self.clock()
        ages = {name: now - kind.contact_at for name, kind in self.source.status.kinds.items() if kind.synced}
        return {name: age for name, age in ages.items() if age > self.limit}

    @property
    def yields(self) -> bool:
        """Whether reviews should go to another replica."""
        return self.substitute is not None and bool(self.stale)

    def look(self) -> None:
        """Look at the ages, say once what changed, and ask the peers while something is old."""
        stale = self.stale
        if new := {name: age for name, age in stale.items() if name not in self._warned}:
            listed = ", ".join(f"{name} for {age:.0f} s" for name, age in new.items())
            _LOG.warning(
                "the view is too old: nothing was heard of %s (--max-view-age %g)", listed, self.limit
            )
        if self._warned and not stale:
            _LOG.info("the view is fresh again")
        self._warned = frozenset(stale)
        before = self.substitute
        if not stale:
            self.substitute, self._ask_at = None, 0.0
        elif self.timer() >= self._ask_at:
            self.substitute = self.find_peer()
            self._ask_at = self.timer() + ASK_AGAIN_SECONDS
        if stale and self.substitute and not before:
            _LOG.warning("not ready, because %s is, with a fresh view", self.substitute)
        elif stale and before and not self.substitute:
            _LOG.warning("ready with an old view, because no other replica has a fresh one")

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Look every ``interval`` seconds until ``stop``; runs in a thread of its own."""
        run_loop(self.look, stop, name="checking the age of the view", interval=interval, pause=interval)
