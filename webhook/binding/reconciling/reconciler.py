"""Repairs drift between ledgers and pods; runs on the leader.

Level-triggered: every round checks the present state, however it came about. What is watched only
says where to look; no entry is dropped or added before the live pod has been read. A refusal that is
about one node's ledger, or about one pod, costs that one only.
"""

import datetime as dt
import heapq
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from threading import Event
from typing import Final, NamedTuple

from webhook.binding.binder import Binder
from webhook.binding.caches import Object
from webhook.binding.grant import counts_of
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.metrics import BindingMetrics
from webhook.binding.reconciling.audit import condition, reason_to_drop
from webhook.binding.reconciling.repair import Repair, retry_seconds
from webhook.binding.recovery import is_finished, recover
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.kube.client import ApiError
from webhook.kube.conditions import with_conditions
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError
from webhook.pods.pod import is_mirror
from webhook.pods.resourcespec import BOUND_CLASSES

STEP_SECONDS: Final = 20.0
"""What one step of a round may take."""

CHECK_AGAIN_SECONDS: Final = 10.0
"""An entry that is right by the live pod is not checked again before this long."""

FOREIGN_SECONDS: Final = 300.0
"""In this time the pods of every node with a ledger are listed once, for CPU sets that no watch shows."""

_log = logging.getLogger(__name__)


class _Wait(NamedTuple):
    """A node whose ledger was refused: until when nothing is done there, and how often in a row."""

    until: float
    refusals: int


class _Look(NamedTuple):
    """A ledger, and when this replica first saw each of its entries, by its own clock."""

    ledger: Ledger
    since: Mapping[tuple[str, dt.datetime], float]


class _Marks(NamedTuple):
    """What a node's state is made of: others than before mean that it has changed."""

    ledger: Ledger | None
    topology: NodeTopology | None
    pods: tuple[Object, ...]


@dataclass(eq=False)
class Reconciler:
    """Drops entries without a pod, rebuilds ledgers, has pods repaired, and writes conditions.

    The replica that holds the Lease does so.

    Attributes:
        listed: whether the namespaces have been listed, which say whose CPUs are ours to give.
    """

    _state: State
    _binder: Binder
    _repair: Repair
    _lease: Lease
    _metrics: BindingMetrics
    _: KW_ONLY
    listed: Callable[[], bool] = lambda: True
    _checked: dict[str, float] = field(default_factory=dict, init=False)
    _seen: dict[str, _Look] = field(default_factory=dict, init=False)
    _calm: dict[str, _Marks | None] = field(default_factory=dict, init=False)
    _listed: dict[str, float] = field(default_factory=dict, init=False)
    _to_list: float = field(default=0.0, init=False)
    _began: float | None = field(default=None, init=False)
    _waits: dict[str, _Wait] = field(default_factory=dict, init=False)
    _reported: dict[str, tuple[Ledger, NodeTopology, dict[str, str]]] = field(
        default_factory=dict, init=False
    )

    def watch(self, stop: Event, interval: float = 1.0) -> None:
        """Reconcile until ``stop`` is set, then release the Lease; meant to run in a thread."""
        step = partial(self._round, stop)
        run_loop(step, stop, name="CPU sets are not reconciled", interval=interval, lease=self._lease)

    def _round(self, stop: Event) -> None:
        if self._state.synced and self.listed():
            if self._lease.elected():
                self.round(stop)
            else:
                self._observe()
                self._began = None

    def round(self, stop: Event) -> None:
        """Check everything once; raises ApiError."""
        self._observe()
        for step in self._steps():
            if stop.is_set() or not self._lease.elected():
                return
            step()

    def _steps(self) -> Iterator[Callable[[], None]]:
        """What a round has to do; each step is done before the next one is sought."""
        for node in self._to_look_through():
            yield partial(self._at, node, partial(self._look_through, node))
        self._repair.forget(self._state.pods.values)
        if self._repair.namespaces_changed():
            self._calm.clear()
        with_ledger = [name for _, name in list(self._state.ledgers.store.values)]
        for node in dict.fromkeys((*with_ledger, *self._state.pods.nodes())):
            marks = self._marks(node)
            if self._calm.get(node) != marks:
                yield from self._steps_of(node)
                self._calm[node] = marks if self._is_calm(node, marks) else None

    def _steps_of(self, node: str) -> Iterator[Callable[[], None]]:
        """What has to be done for the ledger and the watched pods of a node."""
        ledger = self._state.ledgers.known(node)
        if ledger is not None and (doubtful := self._doubtful(node, ledger)):
            yield partial(self._at, node, partial(self._drop, node, doubtful))
        for pod in self._running(node):
            if self._repair.due(pod):
                yield partial(self._tried, node, partial(self._repair.repair, pod, self._deadline()))
        ledger = self._state.ledgers.known(node)
        if ledger is not None and self._unreported(node, ledger):
            yield partial(self._at, node, partial(self._report, node, ledger))

    def _running(self, node: str) -> list[Object]:
        pods = self._state.pods.on_node(node)
        return [pod for pod in pods if not is_finished(pod) and not is_mirror(pod)]

    def _marks(self, node: str) -> _Marks:
        """What a node's state is made of."""
        try:
            topology = self._state.nodes.topology_of(node)
        except NodeTopologyError:
            topology = None
        return _Marks(self._state.ledgers.known(node), topology, self._state.pods.on_node(node))

    def _is_calm(self, node: str, marks: _Marks) -> bool:
        """Whether nothing has to be done for a node until its marks are others."""
        ledger, pods = marks.ledger, self._running(node)
        if self._marks(node) != marks or not all(self._repair.settled(pod) for pod in pods):
            return False
        if ledger is None:
            return True
        here = {pod["metadata"]["uid"] for pod in pods}
        promised = any(e.qos in BOUND_CLASSES and uid not in here for uid, e in ledger.entries.items())
        return not promised and not self._unreported(node, ledger)

    def _observe(self) -> None:
        """Remember when each entry was first seen, by this replica's own clock: others' may differ."""
        now, before, self._seen = self._state.clock(), self._seen, {}
        for (_, node), ledger in list(self._state.ledgers.store.values.items()):
            look = before.get(node)
            if look is None or look.ledger is not ledger:
                known = look.since if look is not None else {}
                keys = [(entry.uid, entry.allocated_at) for entry in ledger.entries.values()]
                look = _Look(ledger, {key: known.get(key, now) for key in keys})
            self._seen[node] = look

    def _doubtful(self, node: str, ledger: Ledger) -> dict[str, str]:
        """The uids of entries that may have to go by what is watched, each with the reason.

        Pods of other classes than LSE and LSR are not watched: their node is looked through.
        """
        found: dict[str, str] = {}
        pods = self._state.pods.values
        for uid, entry in ledger.entries.items():
            if entry.qos in BOUND_CLASSES:
                pod = pods.get((entry.namespace, entry.name))
                reason = self._reason(node, entry, pod)
                if reason is not None and self._state.clock() >= self._checked.get(uid, 0.0):
                    found[uid] = reason
        return found

    def _reason(self, node: str, entry: Entry, pod: Mapping[str, object] | None) -> str | None:
        look, now = self._seen.get(node), self._state.clock()
        since = look.since.get((entry.uid, entry.allocated_at), now) if look is not None else now
        return reason_to_drop(entry, node, pod, age=now - since, grace=self._binder.grace)

    def _drop(self, node: str, doubtful: Mapping[str, str]) -> None:
        """Drop the entries whose pods do not run on the node; a pod that cannot be read costs no other."""
        gone: dict[str, Entry] = {}
        known = self._state.ledgers.known(node)
        for uid in doubtful:
            entry = known.entries.get(uid) if known is not None else None
            if entry is None:
                continue
            self._checked[uid] = self._state.clock() + CHECK_AGAIN_SECONDS
            try:
                live = self._state.live_pod(entry.namespace, entry.name, self._deadline())
            except ApiError as error:
                if error.of_server:
                    raise
                _log.warning("ledger of %s: %s is not checked: %s", node, entry.pod, error)
                continue
            if (reason := self._reason(node, entry, live)) is not None:
                gone[uid] = entry
                _log.info("ledger of %s: the entry of %s is dropped: %s", node, entry.pod, reason)
        self._change(node, gone)

    def _change(self, node: str, gone: Mapping[str, Entry], pods: Iterable[Object] = ()) -> None:
        """Drop entries that are still as they were, and enter the sets of pods that are not there."""
        dropped = entered = 0
        deadline = self._deadline()

        def changed(topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            nonlocal dropped, entered
            # An entry that was renewed meanwhile is another one.
            left = stored.without(uid for uid, entry in gone.items() if stored.entries.get(uid) == entry)
            wanted = self._binder.with_pods(topology, left, pods, deadline=deadline)
            dropped = len(stored.entries.keys() - wanted.entries.keys())
            entered = len(wanted.entries.keys() - left.entries.keys())
            return wanted if rebuilt or dropped or entered else None

        known = self._state.ledgers.known(node) or Ledger(node, "")
        if changed(self._state.nodes.topology_of(node), known, False) is None:  # noqa: FBT003 — Change
            return
        if self._binder.change(node, changed, deadline=deadline) is not None:
            self._metrics.repairs.labels("dropped").inc(dropped)
            self._metrics.repairs.labels("entered").inc(entered)

    def _to_look_through(self) -> list[str]:
        """The nodes whose turn it is: so many that all are done in FOREIGN_SECONDS, the longest ago first."""
        now = self._state.clock()
        began, self._began = self._began, now
        names = [name for _, name in list(self._state.ledgers.store.values)]
        self._listed = {name: self._listed.get(name, 0.0) for name in names}
        self._reported = {name: known for name, known in self._reported.items() if name in self._listed}
        self._calm = {name: marks for name, marks in self._calm.items() if name in self._listed}
        self._waits = {name: wait for name, wait in self._waits.items() if name in self._listed}
        self._checked = {uid: until for uid, until in self._checked.items() if until > now}
        since = now - began if began is not None else 0.0
        self._to_list = min(self._to_list + len(names) * since / FOREIGN_SECONDS, float(len(names)))
        turn = heapq.nsmallest(int(self._to_list), names, key=self._listed.__getitem__)
        self._to_list -= len(turn)
        return turn

    def _look_through(self, node: str) -> None:
        """Compare a node's ledger with all its pods: of other classes than LSE and LSR none is watched."""
        self._listed[node] = self._state.clock()
        try:
            pods = self._state.pods_on(node, self._deadline())
        except ApiError as error:
            if error.of_server:
                raise
            _log.warning("ledger of %s: its pods are looked through another time: %s", node, error)
            return
        known = self._state.ledgers.known(node)
        entries = known.entries if known is not None else {}
        foreign = {uid: entry for uid, entry in entries.items() if entry.qos not in BOUND_CLASSES}
        theirs = [pod for pod in pods if pod["metadata"]["uid"] in foreign]
        there = {pod["metadata"]["uid"] for pod in theirs if not is_finished(pod)}
        held = {entry.uid: entry.cpus for entry in recover(theirs, node, now=self._state.now()).entries}
        gone = {
            uid: entry
            for uid, entry in foreign.items()
            if uid not in there or held.get(uid, entry.cpus) != entry.cpus
        }
        self._change(node, gone, pods)

    def _unreported(self, node: str, ledger: Ledger) -> bool:
        """Whether ledger, topology or failed repairs are others than when the condition was written."""
        known = self._reported.get(node)
        if known is None or known[0] is not ledger or known[2] != self._repair.unrepaired(node):
            return True
        try:
            return known[1] is not self._state.nodes.topology_of(node)
        except NodeTopologyError:
            return False

    def _report(self, node: str, ledger: Ledger) -> None:
        """Write the condition where it differs from the stored one; rebuild a ledger that is void."""
        topology = self._state.nodes.topology_of(node)
        unrepaired = self._repair.unrepaired(node)

        def reported(topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            wanted = condition(stored, topology, unrepaired)
            conditions = tuple(with_conditions(stored.conditions, [wanted], self._state.now()))
            # The summary is of the machine as it was when the ledger was written.
            if (
                conditions == stored.conditions
                and not rebuilt
                and stored.counts == counts_of(topology, stored)
            ):
                return None
            return replace(stored, conditions=conditions)

        void = ledger.node_uid != topology.uid or bool(ledger.problems)
        if not void and reported(topology, ledger, False) is None:  # noqa: FBT003 — Change
            self._reported[node] = (ledger, topology, unrepaired)
            return
        self._binder.change(node, reported, deadline=self._deadline())

    def _at(self, node: str, step: Callable[[], None]) -> None:
        """Do a step, unless the node's ledger was refused a short while ago."""
        wait, now = self._waits.get(node), self._state.clock()
        if wait is not None and now < wait.until:
            return
        try:
            self._tried(node, step)
        except ApiError as error:
            if error.of_server:
                raise
            refusals = wait.refusals + 1 if wait is not None else 1
            self._waits[node] = _Wait(now + retry_seconds(refusals), refusals)
            _log.warning("ledger of %s: %s", node, error)
        else:
            self._waits.pop(node, None)

    def _tried(self, node: str, step: Callable[[], None]) -> None:
        """Do a step; a node that was deleted, or that others change, waits for another round."""
        try:
            step()
        except NodeTopologyError as error:
            _log.debug("ledger of %s: %s", node, error)
        except OutOfTimeError as error:
            _log.info("ledger of %s: another round: %s", node, error)

    def _deadline(self) -> Deadline:
        return self._state.deadline(STEP_SECONDS)
