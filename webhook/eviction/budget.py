"""How many pods may be evicted in a minute: of the cluster, of a node, of a workload; one count for all."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MINUTE: Final = 60.0


class Budget(NamedTuple):
    """Pods a minute, at most."""

    cluster: int
    node: int
    workload: int


class Eviction(NamedTuple):
    """One that counts.

    Attributes:
        uid: of the pod.
        node: on which it was.
        workload: whose it was.
        at: when, by a clock that never goes back.
    """

    uid: str
    node: str
    workload: str
    at: float


@dataclass(eq=False)
class Spending:
    """What was evicted in the last minute."""

    budget: Budget
    _evictions: dict[str, Eviction] = field(default_factory=dict)

    def note(self, eviction: Eviction) -> None:
        """Count one; a pod counts once, with its latest time."""
        known = self._evictions.get(eviction.uid)
        if known is None or known.at < eviction.at:
            self._evictions[eviction.uid] = eviction

    def strike(self, uids: Iterable[str]) -> None:
        """Count these no more: they were refused."""
        for uid in uids:
            self._evictions.pop(uid, None)

    def room(self, now: float) -> "Room":
        """Return what is left, from which one decision takes."""
        self._evictions = {uid: each for uid, each in self._evictions.items() if now - each.at < MINUTE}
        return Room(self.budget, list(self._evictions.values()))


class Room:
    """What is left of a budget."""

    def __init__(self, budget: Budget, spent: Iterable[Eviction]) -> None:
        """Take what is spent already."""
        self._budget = budget
        self._nodes: Counter[str] = Counter()
        self._workloads: Counter[str] = Counter()
        for each in spent:
            self._nodes[each.node] += 1
            self._workloads[each.workload] += 1

    def lacks(self, node: str, workload: str) -> str:
        """Return whose budget is spent, "" where there is room."""
        if self._nodes.total() >= self._budget.cluster:
            return "cluster"
        if self._nodes[node] >= self._budget.node:
            return "node"
        return "workload" if self._workloads[workload] >= self._budget.workload else ""

    def take(self, node: str, workload: str) -> None:
        """Take one."""
        self._nodes[node] += 1
        self._workloads[workload] += 1
