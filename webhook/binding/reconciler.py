"""What went wrong meanwhile is put right, by the one replica that holds the Lease.

Level-triggered: every round looks at what is there, however it came to be so. What is watched
only says where to look; nothing is dropped or entered before the live pod has been asked.
"""

import datetime as dt
import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from threading import Event
from typing import Final

from webhook.binding.audit import Look, condition, first_look, reason_to_drop
from webhook.binding.binder import Binder
from webhook.binding.ledger import READY, Entry, Ledger
from webhook.binding.metrics import BindingMetrics
from webhook.binding.nodetopology import NodeTopology, NodeTopologyError
from webhook.binding.recovery import is_finished, node_of, seeds
from webhook.binding.repair import Repair
from webhook.binding.state import Cluster, OutOfTimeError
from webhook.kube.backoff import Backoff
from webhook.kube.client import ApiError
from webhook.kube.lease import RENEW_SECONDS, Lease

STEP_SECONDS: Final = 20.0
"""What one step of a round may take."""

LOOK_AGAIN_SECONDS: Final = 10.0
"""An entry that was right by the live pod is not asked about again before."""

FOREIGN_SECONDS: Final = 300.0
"""How often the pods of a node with a ledger are listed, for sets of which no watch tells."""

_FORBIDDEN_SECONDS: Final = 30.0

_OF_ONE_OBJECT: Final = frozenset({400, 404, 409, 413, 422})

_log = logging.getLogger(__name__)


class Reconciler:
    """Drops entries without a pod, restores ledgers, has pods repaired, and says what is wrong."""

    def __init__(self, cluster: Cluster, binder: Binder, repair: Repair, lease: Lease) -> None:
        """Take what is watched, who changes ledgers and who repairs pods."""
        self.metrics: BindingMetrics | None = None
        self._cluster = cluster
        self._binder = binder
        self._repair = repair
        self._lease = lease
        self._clock = cluster.clock
        self._backoff = Backoff()
        self._next_renewal = 0.0
        self._looked: dict[str, float] = {}
        self._seen: dict[tuple[str, dt.datetime], float] = {}
        self._listed: dict[str, float] = {}
        self._told: dict[str, tuple[Ledger, NodeTopology, dict[str, str]]] = {}

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Reconcile until ``stop`` is set, then give the Lease back; meant to run in a thread."""
        while not stop.wait(interval):
            try:
                if self._cluster.synced:
                    self._observe()
                    if self._elected():
                        self.round(stop)
                self._backoff.reset()
            except ApiError as error:
                _log.warning("CPU sets are not reconciled at the moment: %s", error)
                least = _FORBIDDEN_SECONDS if error.status == HTTPStatus.FORBIDDEN else error.retry_after
                stop.wait(max(least, self._backoff.wait()))
            except Exception:  # noqa: BLE001 — the loop must outlive a fault of ours
                _log.exception("reconciling CPU sets failed")
                stop.wait(_FORBIDDEN_SECONDS)
        try:
            self._lease.release()
        except ApiError as error:
            _log.info("the lease was not given back: %s", error)

    def round(self, stop: Event) -> None:
        """Look at everything once; raises ApiError."""
        self._observe()
        store = self._cluster.ledgers.store
        for (_, node), ledger in list(store.values.items()):
            if self._ended(stop):
                return
            self._step(node, functools.partial(self._drop, node, ledger))
        for pod in list(self._cluster.pods.values.values()):
            if self._ended(stop):
                return
            node = node_of(pod)
            if node and not is_finished(pod) and self._repair.due(pod, self._cluster.ledgers.known(node)):
                self._step(node, functools.partial(self._repair.put_right, pod, self._end()))
        self._repair.forget(self._cluster.pods.values)
        self._foreign()
        for (_, node), ledger in list(store.values.items()):
            if self._ended(stop):
                return
            self._step(node, functools.partial(self._tell, node, ledger))

    def _observe(self) -> None:
        """Remember since when each entry has been there, by this replica's own clock: others' may differ."""
        now = self._clock()
        self._seen = {
            key: self._seen.get(key, now)
            for ledger in list(self._cluster.ledgers.store.values.values())
            for key in ((entry.uid, entry.allocated_at) for entry in ledger.entries.values())
        }

    def _drop(self, node: str, ledger: Ledger) -> None:
        """Drop the entries whose pods do not run here."""
        gone: dict[str, Entry] = {}
        for entry in ledger.entries.values():
            known = self._cluster.pods.values.get((entry.namespace, entry.name))
            since = self._seen.get((entry.uid, entry.allocated_at), self._clock())
            age, grace = self._clock() - since, self._binder.grace
            look = first_look(entry, node, known, age=age, grace=grace)
            if look is not Look.CHECK or self._clock() < self._looked.get(entry.uid, 0.0):
                continue
            live = self._cluster.live_pod(entry.namespace, entry.name)
            reason = reason_to_drop(entry, node, live, age=age, grace=grace)
            if reason is None:
                self._looked[entry.uid] = self._clock() + LOOK_AGAIN_SECONDS
            else:
                gone[entry.uid] = entry
                _log.info("ledger of %s: the entry of %s is dropped: %s", node, entry.pod, reason)
        if not gone:
            return

        def without(_machine: NodeTopology, stored: Ledger, _begun: bool) -> Ledger | None:  # noqa: FBT001 — Change
            # An entry that was given again meanwhile is another one.
            uids = [uid for uid, entry in gone.items() if stored.entries.get(uid) == entry]
            return stored.without(uids) if uids else None

        if self._binder.change(node, without, end=self._end()) is not None:
            for _ in gone:
                self._count("dropped")

    def _foreign(self) -> None:
        """Look, one node at a time, for sets that pods of other classes hold."""
        now = self._clock()
        names = [name for _, name in list(self._cluster.ledgers.store.values)]
        self._listed = {name: self._listed.get(name, now) for name in names}
        self._told = {name: told for name, told in self._told.items() if name in self._listed}
        self._looked = {uid: until for uid, until in self._looked.items() if until > now}
        due = [name for name in names if now - self._listed[name] > FOREIGN_SECONDS]
        if not due:
            return
        node = min(due, key=self._listed.__getitem__)
        self._listed[node] = now
        found = seeds(self._cluster.pods_on(node), node, now=self._cluster.now()).entries

        def entered(_machine: NodeTopology, stored: Ledger, _begun: bool) -> Ledger | None:  # noqa: FBT001 — Change
            new = [entry for entry in found if entry.uid not in stored.entries]
            return stored.with_entries(*new) if new else None

        known = self._cluster.ledgers.known(node)
        if known is None or any(entry.uid not in known.entries for entry in found):
            self._step(node, functools.partial(self._enter, node, entered))

    def _enter(self, node: str, entered: Callable[[NodeTopology, Ledger, bool], Ledger | None]) -> None:
        if self._binder.change(node, entered, end=self._end()) is not None:
            self._count("entered")

    def _tell(self, node: str, ledger: Ledger) -> None:
        """Write the condition, if it is not what stands there; begin a void ledger again."""
        machine = self._cluster.nodes.machine(node)
        unrepaired = self._repair.unrepaired(node)
        known = self._told.get(node)
        if known is not None and known[0] is ledger and known[1] is machine and known[2] == unrepaired:
            return
        wanted = condition(ledger, machine, unrepaired, now=self._cluster.now())
        void = ledger.node_uid != machine.uid or bool(ledger.problems)
        if wanted in ledger.conditions and not void:
            self._told[node] = (ledger, machine, unrepaired)
            return

        def told(machine: NodeTopology, stored: Ledger, begun: bool) -> Ledger | None:  # noqa: FBT001 — Change
            right = condition(stored, machine, unrepaired, now=self._cluster.now())
            if right in stored.conditions and not begun:
                return None
            others = tuple(each for each in stored.conditions if each.type != READY)
            return replace(stored, conditions=(right, *others))

        self._binder.change(node, told, end=self._end())

    def _step(self, node: str, step: Callable[[], None]) -> None:
        """Do one thing; a node that is gone, or is fought over, waits for another round."""
        try:
            step()
        except NodeTopologyError as error:
            _log.debug("ledger of %s: %s", node, error)
        except OutOfTimeError as error:
            _log.info("ledger of %s: another round: %s", node, error)
        except ApiError as error:
            # What is refused for what it says concerns this node alone.
            if error.status not in _OF_ONE_OBJECT:
                raise
            _log.warning("ledger of %s: %s", node, error)

    def _end(self) -> float:
        return self._clock() + STEP_SECONDS

    def _ended(self, stop: Event) -> bool:
        return stop.is_set() or not self._elected()

    def _elected(self) -> bool:
        if self._clock() >= self._next_renewal:
            before = self._lease.held
            held = self._lease.keep()
            self._next_renewal = self._clock() + RENEW_SECONDS
            if held and not before:
                _log.info("this replica reconciles CPU sets from now on")
        return self._lease.held

    def _count(self, what: str) -> None:
        if self.metrics is not None:
            self.metrics.repaired(what)
