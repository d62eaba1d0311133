"""Binds one pod to one node: decide, write the ledger, and only then return the CPUs.

The decision is made from what is watched. If the known ledger was older than the stored one, the
write fails; the ledger is then read, and the decision made again. A refusal is checked against the
stored ledger before it is given. A replica makes one binding of a node at a time.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from webhook.binding.grant import Claim, Grant, Refusal, counts_of, grant
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.ledgers import Changed
from webhook.binding.recovery import (
    is_finished,
    node_of,
    recover,
    shared,
    unheld,
    with_beyond,
    with_unknown,
)
from webhook.binding.state import Deadline, OutOfTimeError, State
from webhook.kube.client import ApiError
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError

_TRIES: Final = 50

_log = logging.getLogger(__name__)


Change = Callable[[NodeTopology, Ledger, bool], Ledger | None]
"""What becomes of a ledger; see ``Binder.change``."""


class Binder:
    """Gives pods CPUs of nodes, through the nodes' ledgers.

    Attributes:
        grace: seconds that an entry may stand without its pod being bound.
    """

    def __init__(self, state: State, *, opted_in: Callable[[str], bool], grace: float) -> None:
        """Say what is watched and where ledgers are, and in which namespaces sets are put right."""
        self.grace = grace
        self._opted_in = opted_in
        self._state = state
        self._locks: dict[str, Lock] = {}
        self._locks_lock = Lock()

    def bind(self, claim: Claim, node: str, *, deadline: Deadline, dry_run: bool = False) -> Grant | Refusal:
        """Give a pod CPUs of a node; when this returns a Grant, the ledger says so.

        Args:
            claim: the pod.
            node: its name.
            deadline: for the answer.
            dry_run: write nothing.

        Raises:
            OutOfTimeError: there is no time for what is left to do.
            ApiError: the API server did not answer, or refused.
        """
        with self._locked(node, deadline):
            try:
                topology = self._state.node_topology(node, deadline)
            except NodeTopologyError as error:
                return Refusal("NoTopology", str(error))
            ledger, stored = self._state.ledgers.known(node), False
            for _ in range(_TRIES):
                current = self._current(topology, ledger, deadline, but=claim.uid)
                decided = grant(claim, topology, current, now=self._state.now())
                if isinstance(decided, Refusal):
                    if stored:
                        return decided
                elif dry_run:
                    return decided
                else:
                    try:
                        self._state.ledgers.write(decided.ledger, decided.counts, timeout=deadline.left())
                    except Changed:
                        pass
                    else:
                        return decided
                ledger, stored = self._state.ledgers.read(node, timeout=deadline.left()), True
        raise OutOfTimeError(f"the ledger of {node} was changed by others {_TRIES} times in a row")

    def change(self, node: str, change: Change, *, deadline: Deadline) -> Ledger | None:
        """Change a node's ledger as it is stored.

        Args:
            node: its name.
            change: gets the topology, the ledger, and whether that was rebuilt and is not stored like
                this; returns what is to be written, None where nothing is. May be called several times.
            deadline: for the whole change.

        Returns:
            The ledger as it was written; None where nothing was.

        Raises:
            NodeTopologyError: the node does not exist, or has no topology.
            OutOfTimeError: there is no time for what is left to do.
            ApiError: the API server did not answer, or refused.
        """
        with self._locked(node, deadline):
            topology = self._state.node_topology(node, deadline)
            for _ in range(_TRIES):
                stored = self._state.ledgers.read(node, timeout=deadline.left())
                ledger = self._valid(topology, stored, deadline)
                wanted = change(topology, ledger, ledger is not stored)
                if wanted is None:
                    return None
                try:
                    return self._state.ledgers.write(
                        wanted, counts_of(topology, wanted), timeout=deadline.left()
                    )
                except Changed:
                    continue
        raise OutOfTimeError(f"the ledger of {node} was changed by others {_TRIES} times in a row")

    def _valid(self, topology: NodeTopology, ledger: Ledger | None, deadline: Deadline) -> Ledger:
        """Return a ledger that is valid for this node.

        One that does not exist, is of an earlier Node of that name, or is partly unreadable is rebuilt
        from the pods that are bound to the node, and from what was promised to others lately.
        """
        if ledger is None or ledger.node_uid != topology.uid or ledger.problems:
            return self._rebuilt(topology, ledger, deadline)
        return ledger

    def _current(
        self, topology: NodeTopology, ledger: Ledger | None, deadline: Deadline, *, but: str
    ) -> Ledger:
        """Return a valid ledger, with the sets of all other pods that this replica knows."""
        ledger = self._valid(topology, ledger, deadline)
        pods = self._state.pods.on_node(topology.name)
        return self.with_pods(topology, ledger, pods, deadline=deadline, but=but)

    def with_pods(
        self,
        topology: NodeTopology,
        ledger: Ledger,
        pods: Iterable[Mapping[str, Any]],
        *,
        deadline: Deadline,
        but: str = "",
    ) -> Ledger:
        """Return a node's ledger with the sets of pods that it does not know.

        Args:
            topology: of the node.
            ledger: of the node.
            pods: as they were read or watched at some time.
            deadline: for reading those of them that are believed only as they are stored.
            but: the uid of a pod that is left out.

        Raises:
            OutOfTimeError: there was no time to read.
            ApiError: the API server did not answer, or refused.
        """
        now, pods = self._state.now(), list(pods)
        wanted = with_unknown(ledger, pods, topology, self._opted_in, but=but, now=now)
        if wanted is ledger:
            return ledger
        gone = self._gone(wanted, wanted.entries.keys() - ledger.entries.keys(), deadline)
        if not gone:
            return wanted
        there = [pod for pod in pods if pod["metadata"]["uid"] not in gone]
        return with_unknown(ledger, there, topology, self._opted_in, but=but, now=now)

    def _rebuilt(self, topology: NodeTopology, old: Ledger | None, deadline: Deadline) -> Ledger:
        node = topology.name
        found = recover(self._state.pods_on(node, deadline), node, now=self._state.now())
        for problem in (*(old.problems if old is not None else ()), *found.problems):
            _log.warning("ledger of node %s: an entry cannot be read: %s", node, problem)
        before = old or self._state.ledgers.last_seen(node)
        known: Mapping[str, Entry] = {}
        kept: list[Entry] = []
        if before is not None:
            known = before.entries
            since = self._state.now() - dt.timedelta(seconds=self.grace)
            readable = bool(before.problems) and before.node_uid == topology.uid
            kept = [e for e in known.values() if readable or e.allocated_at >= since]
        fresh = replace(old or Ledger(node, ""), node_uid=topology.uid, entries={}, problems=())
        _log.info("ledger of node %s: rebuilt with %d CPU sets of its pods", node, len(found.entries))
        ledger = fresh.with_entries(*kept).with_entries(*found.entries)
        promised = ledger.entries.keys() - {each.uid for each in found.entries}
        ledger = ledger.without(self._gone(ledger, promised, deadline))
        for each in found.entries:
            # Of a pod that became smaller, or is being moved, more was held than its request says now.
            held = known.get(each.uid)
            if held is not None and held.cpus > each.cpus:
                more = unheld(held.cpus, ledger, topology, but=each.uid)
                ledger = ledger.with_entries(held._replace(cpus=each.cpus | more))
        return with_beyond(ledger, found.beyond, topology, self._opted_in)

    def _gone(self, ledger: Ledger, heard: Iterable[str], deadline: Deadline) -> set[str]:
        """Return of pods that were only heard of, by uid, those that are gone and whose CPUs others have.

        A watch may be late, by seconds after the API server was away: a pod that another one shares a CPU
        with is looked up.
        """
        return {each.uid for each in shared(ledger, heard) if not self._there(each, ledger.node, deadline)}

    def _there(self, entry: Entry, node: str, deadline: Deadline) -> bool:
        """Whether the pod of an entry runs on a node, or may still be bound to it; if in doubt it does."""
        try:
            pod = self._state.live_pod(entry.namespace, entry.name, deadline)
        except ApiError as error:
            if error.of_server:
                raise
            return True
        if pod is None or pod["metadata"]["uid"] != entry.uid or is_finished(pod):
            return False
        return node_of(pod) in ("", node)

    @contextmanager
    def _locked(self, node: str, deadline: Deadline) -> Iterator[None]:
        """Keep other threads from changing this node's ledger."""
        with self._locks_lock:
            if len(self._locks) > 10_000:  # noqa: PLR2004 — more nodes than a cluster has
                self._locks = {name: lock for name, lock in self._locks.items() if lock.locked()}
            lock = self._locks.setdefault(node, Lock())
        if not lock.acquire(timeout=deadline.left()):
            raise OutOfTimeError(f"other bindings to {node} took all the time")
        try:
            yield
        finally:
            lock.release()
