"""One pod onto one node: decide, write the ledger, and only then say so.

The decision is made from what is watched. If the ledger was older than the stored one, the
write fails, and it is read and decided on again. A refusal is checked against the stored ledger
before it is given. Within a replica one binding of a node is done at a time.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from webhook.binding.grant import Claim, Grant, Refusal, counts_of, grant
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.ledgers import Changed
from webhook.binding.nodetopology import NodeTopology, NodeTopologyError
from webhook.binding.recovery import seeds
from webhook.binding.state import Cluster, OutOfTimeError

_TRIES: Final = 50

_log = logging.getLogger(__name__)


Change = Callable[[NodeTopology, Ledger, bool], Ledger | None]
"""What becomes of a ledger; see ``Binder.change``."""


class Binder:
    """Gives pods CPUs of nodes, through the nodes' ledgers.

    Attributes:
        grace: seconds that an entry may be without its pod being bound.
    """

    def __init__(self, cluster: Cluster, *, grace: float) -> None:
        """Take what is watched and where ledgers are kept."""
        self.grace = grace
        self._cluster = cluster
        self._locks: dict[str, Lock] = {}
        self._locks_lock = Lock()

    def bind(
        self, claim: Claim, node: str, *, end: float, dry_run: bool = False, anew: bool = False
    ) -> Grant | Refusal:
        """Give a pod CPUs of a node; when this returns a Grant, the ledger says so.

        Args:
            claim: the pod.
            node: its name.
            end: when the answer has to be there, on the clock.
            dry_run: write nothing.
            anew: give other CPUs than those that the pod has.

        Raises:
            OutOfTimeError: there is no time for what is left to do.
            ApiError: the API server did not answer, or refused.
        """
        with self.alone(node, end):
            try:
                machine = self._cluster.machine(node, end)
            except NodeTopologyError as error:
                return Refusal("NoTopology", str(error))
            ledger, stored = self._cluster.ledgers.known(node), False
            for _ in range(_TRIES):
                current = self._current(machine, ledger, end, but=claim.uid)
                if anew:
                    current = current.without([claim.uid])
                decided = grant(claim, machine, current, now=self._cluster.now())
                if isinstance(decided, Refusal):
                    if stored:
                        return decided
                elif dry_run:
                    return decided
                else:
                    try:
                        self._cluster.ledgers.write(
                            decided.ledger, decided.counts, timeout=self._cluster.left(end)
                        )
                    except Changed:
                        pass
                    else:
                        return decided
                ledger, stored = self._cluster.ledgers.read(node, timeout=self._cluster.left(end)), True
        raise OutOfTimeError(f"the ledger of {node} was changed by others {_TRIES} times in a row")

    def change(self, node: str, change: Change, *, end: float) -> Ledger | None:
        """Change a node's ledger as it is stored.

        Args:
            node: its name.
            change: gets the machine, the ledger, and whether that is not stored as it is (it was begun
                again); returns what is to be written, None where nothing is. May be called several times.
            end: when it has to be done, on the clock.

        Returns:
            The ledger as it was written; None where nothing was.

        Raises:
            NodeTopologyError: the node is gone, or has no topology.
        """
        with self.alone(node, end):
            machine = self._cluster.machine(node, end)
            for _ in range(_TRIES):
                stored = self._cluster.ledgers.read(node, timeout=self._cluster.left(end))
                ledger = self._valid(machine, stored, end)
                wanted = change(machine, ledger, ledger is not stored)
                if wanted is None:
                    return None
                try:
                    return self._cluster.ledgers.write(
                        wanted, counts_of(machine, wanted), timeout=self._cluster.left(end)
                    )
                except Changed:
                    continue
        raise OutOfTimeError(f"the ledger of {node} was changed by others {_TRIES} times in a row")

    def _valid(self, machine: NodeTopology, ledger: Ledger | None, end: float) -> Ledger:
        """Return a ledger that holds for this machine.

        One that does not exist, is of an earlier Node of that name, or cannot be read in part begins
        with the pods that are bound to the node, and with what was lately promised to others.
        """
        if ledger is None or ledger.node_uid != machine.uid or ledger.problems:
            return self._begun(machine, ledger, end)
        return ledger

    def _current(self, machine: NodeTopology, ledger: Ledger | None, end: float, *, but: str) -> Ledger:
        """Return a ledger that holds, and has the sets of other pods of which this replica has heard."""
        ledger = self._valid(machine, ledger, end)
        unknown = [
            pod
            for pod in self._cluster.pods.on_node(machine.name)
            if pod["metadata"]["uid"] not in ledger.entries and pod["metadata"]["uid"] != but
        ]
        found = seeds(unknown, machine.name, now=self._cluster.now()).entries if unknown else ()
        return ledger.with_entries(*found) if found else ledger

    def _begun(self, machine: NodeTopology, old: Ledger | None, end: float) -> Ledger:
        node = machine.name
        pods = self._cluster.pods_on(node, timeout=self._cluster.left(end))
        found = seeds(pods, node, now=self._cluster.now())
        for problem in (*(old.problems if old is not None else ()), *found.problems):
            _log.warning("node %s: a CPU set is not known: %s", node, problem)
        before = old or self._cluster.ledgers.last_seen(node)
        kept: list[Entry] = []
        if before is not None:
            since = self._cluster.now() - dt.timedelta(seconds=self.grace)
            readable = bool(before.problems) and before.node_uid == machine.uid
            kept = [e for e in before.entries.values() if readable or e.allocated_at >= since]
        fresh = Ledger(
            node,
            machine.uid,
            version=old.version if old else None,
            uid=old.uid if old else "",
            conditions=old.conditions if old else (),
        )
        _log.info("ledger of node %s: begun with %d sets that pods hold", node, len(found.entries))
        return fresh.with_entries(*kept).with_entries(*found.entries)

    @contextmanager
    def alone(self, node: str, end: float) -> Iterator[None]:
        """Keep other threads away from a node."""
        with self._locks_lock:
            if len(self._locks) > 10_000:  # noqa: PLR2004 — more nodes than a cluster has
                self._locks = {name: lock for name, lock in self._locks.items() if lock.locked()}
            lock = self._locks.setdefault(node, Lock())
        if not lock.acquire(timeout=self._cluster.left(end)):
            raise OutOfTimeError(f"other bindings to {node} took all the time")
        try:
            yield
        finally:
            lock.release()
