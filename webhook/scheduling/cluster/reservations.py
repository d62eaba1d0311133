"""What was scored highest for a pod counts as held for a moment: between a score and its binding others ask.

A scheduler assumes a pod at once, and says so to nobody; its binding comes some calls later, the watch later
still. Without this the best fit would send all of a burst to one node. Used by one thread at a time.
"""

from collections.abc import Callable
from typing import NamedTuple

from webhook.binding.ledger import Entry
from webhook.scheduling.loadaware.podload import PodLoad


class Reservation(NamedTuple):
    """A pod that is about to be bound.

    Attributes:
        uid: of the pod.
        node: that was best for it.
        load: what it is expected to use; None: load is not looked at.
        entry: the CPUs that it would get; None: none.
        until: when it does not count any more, on the clock.
    """

    uid: str
    node: str
    load: PodLoad | None
    entry: Entry | None
    until: float


class Reservations:
    """The reservations of this process."""

    def __init__(
        self,
        clock: Callable[[], float],
        is_bound: Callable[[Reservation], bool],
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Begin empty.

        Args:
            clock: seconds.
            is_bound: whether a pod is known to be bound, or to hold its CPUs, so that it counts without this.
            note: called with each node where something else is held from then on.
        """
        self._clock = clock
        self._is_bound = is_bound
        self._note = note
        self._held: dict[str, Reservation] = {}
        self._loads: dict[str, tuple[PodLoad, ...]] = {}
        self._entries: dict[str, tuple[Entry, ...]] = {}

    def hold(self, reservation: Reservation) -> None:
        """Hold something for a pod, in place of what was held for it."""
        before = self._held.get(reservation.uid)
        self._held[reservation.uid] = reservation
        self._arrange({each.node for each in (before, reservation) if each is not None})

    def release(self, uid: str) -> None:
        """Drop what is over, and what is held for a pod that is asked about again."""
        now = self._clock()
        left = {
            each.uid: each
            for each in self._held.values()
            if each.uid != uid and each.until > now and not self._is_bound(each)
        }
        gone = {each.node for each in self._held.values() if each.uid not in left}
        if gone:
            self._held = left
            self._arrange(gone)

    def granted(self, uid: str, node: str) -> None:
        """Drop what is held for a pod on any other node than the one whose ledger has its CPUs by now."""
        held = self._held.get(uid)
        if held is not None and held.node != node:
            del self._held[uid]
            self._arrange({held.node})

    def loads(self, node: str) -> tuple[PodLoad, ...]:
        """Return the loads that are held on a node; the same tuple as long as they are the same."""
        return self._loads.get(node, ())

    def entries(self, node: str) -> tuple[Entry, ...]:
        """Return the CPU sets that are held on a node; the same tuple as long as they are the same."""
        return self._entries.get(node, ())

    def _arrange(self, nodes: set[str]) -> None:
        loads: dict[str, tuple[PodLoad, ...]] = {}
        entries: dict[str, tuple[Entry, ...]] = {}
        for each in self._held.values():
            if each.load is not None:
                loads[each.node] = (*loads.get(each.node, ()), each.load)
            if each.entry is not None:
                entries[each.node] = (*entries.get(each.node, ()), each.entry)
        self._loads = _kept(self._loads, loads)
        self._entries = _kept(self._entries, entries)
        for node in nodes:
            self._note(node)


def _kept(old: dict[str, tuple], new: dict[str, tuple]) -> dict[str, tuple]:  # type: ignore[type-arg] # of either
    """Return the new tuples, but the old one of each node where it is equal."""
    return {node: old[node] if old.get(node) == held else held for node, held in new.items()}
