"""How nodes stand for pods that are alike, remembered: a node is looked at again when it has changed.

Pods of one workload ask for the same, and between two of them few nodes change. What differs between such
pods (a set that one brings along or was promised, pods nominated to a node that go before it) is looked at
for each pod, on the nodes that it concerns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from webhook.scheduling.cluster.journal import Journal
from webhook.scheduling.loadaware.podload import Vector
from webhook.scheduling.settings import SchedulingSettings
from webhook.scheduling.verbs import Asked, Filtered, Place, answer, prioritize, reasons

_MOST_KINDS: Final = 16


class Visitor(Place, Protocol):
    """The cluster as a pod finds it, and what the pod has in common with others."""

    @property
    def asked(self) -> Asked:
        """What is asked of nodes."""

    @property
    def request(self) -> object:
        """Which CPU set is asked for."""

    def alike(self) -> "Visitor":
        """Return the cluster as any pod finds it that asks for the same."""

    @property
    def singular(self) -> bool:
        """Whether no other pod is like this one."""

    def special(self) -> frozenset[str]:
        """Return the nodes, of those looked at, where this pod finds something else than those alike."""

    def exists(self, node: str) -> bool:
        """Say whether there is such a node."""


@dataclass(eq=False, slots=True)
class _Ranking:
    """Points of nodes where pods may go, and reasons of those where they may not.

    Attributes:
        place: the cluster, as such pods find it.
        read: how far the journal has been read.
        points, reasons: by node; each node is in one of them, or not known.
        stale: nodes that were known, and have changed.
    """

    place: Visitor
    read: int
    points: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    stale: dict[str, None] = field(default_factory=dict)


class Rankings:
    """The rankings of the kinds of pods that were asked about last; used by one thread at a time."""

    def __init__(self, settings: SchedulingSettings, journal: Journal) -> None:
        """Begin empty; the journal names what changes."""
        self._settings = settings
        self._journal = journal
        self._kinds: dict[tuple[tuple[bool, Vector, bool] | None, object], _Ranking] = {}

    def filter(self, visit: Visitor, names: list[str], now: float) -> Filtered:
        """Say which nodes a pod may go to; see ``verbs.filter_nodes``."""
        if visit.singular:
            found = reasons(visit.asked, names, visit, self._settings, now)
        else:
            ranking, others = self._of(visit, names, now)
            found = {name: ranking.reasons[name] for name in others if name in ranking.reasons}
            strange = self._strange(visit, names, [name for name in others if name not in ranking.reasons])
            for name in strange:
                found.pop(name, None)
            if strange:
                found.update(reasons(visit.asked, strange, visit, self._settings, now))
        return answer(visit.asked, names, found, visit, self._settings, now)

    def prioritize(self, visit: Visitor, names: list[str], now: float) -> dict[str, int]:
        """Score nodes; see ``verbs.prioritize``."""
        if visit.singular:
            return prioritize(visit.asked, names, visit, self._settings, now)
        ranking, others = self._of(visit, names, now)
        known, strange = ranking.points, self._strange(visit, names, others)
        if not strange:
            return {name: known[name] for name in names}
        found = prioritize(visit.asked, strange, visit, self._settings, now)
        return {name: found[name] if name in found else known[name] for name in names}

    def look_again(self, most: int, now: float) -> bool:
        """Look at so many of the nodes that have changed, and say whether some are left."""
        for ranking in reversed(list(self._kinds.values())):
            self._read(ranking)
            names = list(islice(ranking.stale, most))
            self._rank(ranking, names, now)
            most -= len(names)
            if ranking.stale:
                return True
        return False

    def _strange(self, visit: Visitor, names: list[str], unknown: list[str]) -> list[str]:
        """Return the nodes that are not known, and those where this pod finds something else than others."""
        special = visit.special()  # after those that have changed were looked at
        return list(dict.fromkeys([*unknown, *filter(special.__contains__, names)])) if special else unknown

    def _of(self, visit: Visitor, names: Iterable[str], now: float) -> tuple[_Ranking, list[str]]:
        """Return the ranking of a pod, with all of these nodes that exist, and the ones it may not go to."""
        load = visit.asked.load
        kind = (None if load is None else (load.prod, load.estimate, visit.asked.everywhere), visit.request)
        ranking = self._kinds.pop(kind, None)
        if ranking is None:
            ranking = _Ranking(visit.alike(), self._journal.read())
        self._kinds[kind] = ranking
        if len(self._kinds) > _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._read(ranking)
        points, out = ranking.points, ranking.reasons
        others = [name for name in names if name not in points]
        if missing := [name for name in others if name not in out]:
            self._rank(ranking, missing, now)
            others = [name for name in others if name not in points]
        return ranking, others

    def _read(self, ranking: _Ranking) -> None:
        """Forget what was found of nodes that have changed."""
        ranking.place.loads()  # what has changed there is noted, then
        read = self._journal.read()
        if read == ranking.read:
            return
        changed = self._journal.since(ranking.read)
        ranking.read = read
        if changed is None:
            changed = {*ranking.points, *ranking.reasons}
        for name in changed:
            known = ranking.points.pop(name, None) is not None
            if ranking.reasons.pop(name, None) is not None or known:
                ranking.stale[name] = None

    def _rank(self, ranking: _Ranking, names: list[str], now: float) -> None:
        """Look at nodes, and remember what was found of those that exist."""
        place = ranking.place
        there = [name for name in names if place.exists(name)]
        out = reasons(place.asked, there, place, self._settings, now)
        passed: Iterable[str] = [name for name in there if name not in out] if out else there
        ranking.reasons.update(out)
        ranking.points.update(prioritize(place.asked, passed, place, self._settings, now))
        if ranking.stale:
            for name in names:
                ranking.stale.pop(name, None)
