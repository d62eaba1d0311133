"""Repairs drift between ledgers and pods; runs on the leader.

Level-triggered: every round checks the present state, however it came about. What is watched only
says where to look; no entry is dropped or added before the live pod has been read.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from typing import Final

from webhook.binding.audit import condition, reason_to_drop
from webhook.binding.binder import Binder, Change
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.metrics import BindingMetrics
from webhook.binding.nodetopology import NodeTopology, NodeTopologyError
from webhook.binding.recovery import is_finished, node_of, recover
from webhook.binding.repair import Repair
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.kube.client import ApiError
from webhook.kube.conditions import with_conditions
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop

STEP_SECONDS: Final = 20.0
"""What one step of a round may take."""

CHECK_AGAIN_SECONDS: Final = 10.0
"""An entry that is right by the live pod is not checked again before this long."""

FOREIGN_SECONDS: Final = 300.0
"""How often the pods of a node with a ledger are listed, for CPU sets that no watch shows."""

_OF_ONE_OBJECT: Final = frozenset({400, 404, 409, 413, 422})

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Reconciler:
    """Drops entries without a pod, rebuilds ledgers, has pods repaired, and writes conditions.

    The replica that holds the Lease does so.
    """

    _state: State
    _binder: Binder
    _repair: Repair
    _lease: Lease
    _metrics: BindingMetrics
    _checked: dict[str, float] = field(default_factory=dict, init=False)
    _seen: dict[tuple[str, dt.datetime], float] = field(default_factory=dict, init=False)
    _listed: dict[str, float] = field(default_factory=dict, init=False)
    _reported: dict[str, tuple[Ledger, NodeTopology, dict[str, str]]] = field(
        default_factory=dict, init=False
    )

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Reconcile until ``stop`` is set, then release the Lease; meant to run in a thread."""
        step = partial(self._round, stop)
        run_loop(step, stop, name="CPU sets are not reconciled", interval=interval, lease=self._lease)

    def _round(self, stop: Event) -> None:
        if self._state.synced:
            self._observe()
            if self._lease.elected():
                self.round(stop)

    def round(self, stop: Event) -> None:
        """Check everything once; raises ApiError."""
        self._observe()
        for node, step in self._steps():
            if stop.is_set() or not self._lease.elected():
                return
            self._step(node, step)

    def _steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What a round may have to do, node by node; each step is done before the next one is sought."""
        ledgers = self._state.ledgers.store
        for (_, node), ledger in list(ledgers.values.items()):
            yield node, partial(self._drop, node, ledger)
        for pod in list(self._state.pods.values.values()):
            node = node_of(pod)
            if node and not is_finished(pod) and self._repair.due(pod, self._state.ledgers.known(node)):
                yield node, partial(self._repair.repair, pod, self._deadline())
        self._repair.forget(self._state.pods.values)
        yield from self._foreign()
        for (_, node), ledger in list(ledgers.values.items()):
            yield node, partial(self._report, node, ledger)

    def _observe(self) -> None:
        """Remember when each entry was first seen, by this replica's own clock: others' may differ."""
        now = self._state.clock()
        self._seen = {
            key: self._seen.get(key, now)
            for ledger in list(self._state.ledgers.store.values.values())
            for key in ((entry.uid, entry.allocated_at) for entry in ledger.entries.values())
        }

    def _drop(self, node: str, ledger: Ledger) -> None:
        """Drop the entries whose pods do not run on the node."""
        gone: dict[str, Entry] = {}
        for entry in ledger.entries.values():
            known = self._state.pods.values.get((entry.namespace, entry.name))
            since = self._seen.get((entry.uid, entry.allocated_at), self._state.clock())
            age, grace = self._state.clock() - since, self._binder.grace
            reason = reason_to_drop(entry, node, known, age=age, grace=grace)
            if reason is None or self._state.clock() < self._checked.get(entry.uid, 0.0):
                continue
            live = self._state.live_pod(entry.namespace, entry.name, self._deadline())
            reason = reason_to_drop(entry, node, live, age=age, grace=grace)
            if reason is None:
                self._checked[entry.uid] = self._state.clock() + CHECK_AGAIN_SECONDS
            else:
                gone[entry.uid] = entry
                _log.info("ledger of %s: the entry of %s is dropped: %s", node, entry.pod, reason)
        if not gone:
            return

        def without(_topology: NodeTopology, stored: Ledger, _rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            # An entry that was renewed meanwhile is another one.
            uids = [uid for uid, entry in gone.items() if stored.entries.get(uid) == entry]
            return stored.without(uids) if uids else None

        if self._binder.change(node, without, deadline=self._deadline()) is not None:
            self._metrics.repairs.labels("dropped").inc(len(gone))

    def _foreign(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Enter the CPU sets that pods of other classes hold; one node at a time."""
        now = self._state.clock()
        names = [name for _, name in list(self._state.ledgers.store.values)]
        self._listed = {name: self._listed.get(name, now) for name in names}
        self._reported = {name: known for name, known in self._reported.items() if name in self._listed}
        self._checked = {uid: until for uid, until in self._checked.items() if until > now}
        due = [name for name in names if now - self._listed[name] > FOREIGN_SECONDS]
        if not due:
            return
        node = min(due, key=self._listed.__getitem__)
        self._listed[node] = now
        found = recover(self._state.pods_on(node, self._deadline()), node, now=self._state.now()).entries

        def entered(_topology: NodeTopology, stored: Ledger, _rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            new = [entry for entry in found if entry.uid not in stored.entries]
            return stored.with_entries(*new) if new else None

        known = self._state.ledgers.known(node)
        if known is None or any(entry.uid not in known.entries for entry in found):
            yield node, partial(self._enter, node, entered)

    def _enter(self, node: str, entered: Change) -> None:
        if self._binder.change(node, entered, deadline=self._deadline()) is not None:
            self._metrics.repairs.labels("entered").inc()

    def _report(self, node: str, ledger: Ledger) -> None:
        """Write the condition where it differs from the stored one; rebuild a ledger that is void."""
        topology = self._state.nodes.topology_of(node)
        unrepaired = self._repair.unrepaired(node)
        known = self._reported.get(node)
        if known is not None and known[0] is ledger and known[1] is topology and known[2] == unrepaired:
            return

        def reported(topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            wanted = condition(stored, topology, unrepaired)
            conditions = tuple(with_conditions(stored.conditions, [wanted], self._state.now()))
            if conditions == stored.conditions and not rebuilt:
                return None
            return replace(stored, conditions=conditions)

        void = ledger.node_uid != topology.uid or bool(ledger.problems)
        if not void and reported(topology, ledger, False) is None:  # noqa: FBT003 — Change
            self._reported[node] = (ledger, topology, unrepaired)
            return
        self._binder.change(node, reported, deadline=self._deadline())

    def _step(self, node: str, step: Callable[[], None]) -> None:
        """Do one step; a node that was deleted, or that others change, waits for another round."""
        try:
            step()
        except NodeTopologyError as error:
            _log.debug("ledger of %s: %s", node, error)
        except OutOfTimeError as error:
            _log.info("ledger of %s: another round: %s", node, error)
        except ApiError as error:
            # A refusal of the content concerns this node alone.
            if error.status not in _OF_ONE_OBJECT:
                raise
            _log.warning("ledger of %s: %s", node, error)

    def _deadline(self) -> Deadline:
        return self._state.deadline(STEP_SECONDS)
