"""Promises: CPUs given to pods that are not bound yet. A pod keeps one, the youngest.

Who posts a review of a Binding need not be an API server, and a scheduler may choose another node after
a bind has failed: the older promise goes when a new one is made. Only the one before the youngest stays
for two seconds more, while its bind may be under way: dropped at once, its CPUs might be given to
another pod in the moment in which its own begins to run on them.
"""

import datetime as dt
import logging
from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import Final, NamedTuple

from webhook.binding.binder import Binder
from webhook.binding.grant import Claim, Grant, Refusal
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.recovery import node_of
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.kube.client import ApiError
from webhook.kube.loop import run_loop
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError

UNDER_WAY: Final = dt.timedelta(seconds=2)
"""A bind ends milliseconds after our answer; the time of an entry is that of the second which it is in."""

_STEP_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class _Promise(NamedTuple):
    """An entry in the ledger of a node."""

    node: str
    entry: Entry


class _Check(NamedTuple):
    """When to look for older promises of a pod again."""

    at: float
    uid: str


@dataclass(eq=False)
class Promises:
    """Makes promises, and withdraws those that younger ones replace."""

    _state: State
    _binder: Binder
    _checks: deque[_Check] = field(default_factory=deque, init=False)

    def make(self, claim: Claim, node: str, *, deadline: Deadline, dry_run: bool = False) -> Grant | Refusal:
        """Give an unbound pod CPUs of a node in place of those of other nodes; else as ``Binder.bind``."""
        decided = self._binder.bind(claim, node, deadline=deadline, dry_run=dry_run)
        if isinstance(decided, Grant) and not dry_run:
            self._checks.append(_Check(self._state.clock() + UNDER_WAY.total_seconds(), claim.uid))
            self._withdraw_older(claim.uid, deadline)
        return decided

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Withdraw what is due until ``stop`` is set; meant to run in a thread."""
        run_loop(self.step, stop, name="older promises are not withdrawn", interval=interval)

    def step(self) -> None:
        """Withdraw the promises that are due."""
        while self._checks and self._checks[0].at <= self._state.clock():
            self._withdraw_older(self._checks.popleft().uid, self._state.deadline(_STEP_SECONDS))

    def _withdraw_older(self, uid: str, deadline: Deadline) -> None:
        """Withdraw the promises to a pod but the youngest, and the one before while it may be under way."""
        older = self._of(uid)[:-1]
        if older and self._state.now() - older[-1].entry.allocated_at < UNDER_WAY:
            older.pop()
        for promise in older:
            self._withdraw(promise, deadline)

    def _of(self, uid: str) -> list[_Promise]:
        """The entries of a pod in all ledgers, the youngest one last."""
        ledgers = list(self._state.ledgers.store.values.items())
        found = [
            _Promise(node, ledger.entries[uid]) for (_, node), ledger in ledgers if uid in ledger.entries
        ]
        return sorted(found, key=lambda promise: (promise.entry.allocated_at, promise.node))

    def _withdraw(self, promise: _Promise, deadline: Deadline) -> None:
        """Drop an entry, unless its pod is bound by now; where that fails, the reconciler drops it later."""
        node, entry = promise

        def without(_topology: NodeTopology, stored: Ledger, _rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            return stored.without([entry.uid]) if stored.entries.get(entry.uid) == entry else None

        try:
            live = self._state.live_pod(entry.namespace, entry.name, deadline)
            if live is not None and live["metadata"]["uid"] == entry.uid and node_of(live):
                return
            self._binder.change(node, without, deadline=deadline)
        except (ApiError, NodeTopologyError, OutOfTimeError) as error:
            _log.info("ledger of %s: the entry of %s stays for now: %s", node, entry.pod, error)
        else:
            _log.info("ledger of %s: the entry of %s is dropped for a younger one", node, entry.pod)
