"""filter, prioritize and preempt: from a pod and nodes to answers, with a reason for each node that is out.

A reason is the same text wherever its cause is the same: the scheduler counts equal texts, and each other one
would be another write to the pod, which wakes it again.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from webhook.scheduling.loadaware.nodeload import NodeLoad, passing, scores, why_not
from webhook.scheduling.loadaware.podload import PodLoad
from webhook.scheduling.question import Victims
from webhook.scheduling.setfit import Fit
from webhook.scheduling.settings import SchedulingSettings

OTHERS: Final = "other colocation checks"
_KINDS: Final = 5
_POINT: Final = 10
_HALF: Final = _POINT // 2  # points are rounded half up


class Asked(NamedTuple):
    """The pod in question.

    Attributes:
        load: what it is expected to use; None: load is not looked at.
        wants_set: whether it gets a CPU set at binding.
        nominated: the node that pods were evicted from for it; "": none.
        everywhere: whether load keeps it from no node, though it counts in the score: the pod of a DaemonSet.
    """

    load: PodLoad | None
    wants_set: bool
    nominated: str = ""
    everywhere: bool = False


class Place(Protocol):
    """The cluster, as one pod finds it."""

    def loads(self) -> Mapping[str, NodeLoad]:
        """Return how the load of nodes is judged; any pod may go to a node that is not there."""

    def fit(self, node: str, *, without: frozenset[str] = frozenset()) -> Fit:
        """Return what CPU set the pod would get, once the pods of these uids are gone."""

    def leaving(self, node: str) -> frozenset[str]:
        """Return the uids of pods that are being deleted and hold CPUs of a node."""


class Filtered(NamedTuple):
    """Nodes that are left, and why the others are not.

    Attributes:
        passed: in the order in which they were asked about.
        unresolvable: reasons by node; nothing that the scheduler may evict would help.
        failed: reasons of nodes where the pod only has to wait.
    """

    passed: list[str]
    unresolvable: Mapping[str, str]
    failed: Mapping[str, str]


def filter_nodes(
    asked: Asked, names: Iterable[str], place: Place, settings: SchedulingSettings, now: float
) -> Filtered:
    """Say which nodes a pod may go to; ``now`` is in seconds since the epoch."""
    names = list(names)
    return answer(asked, names, reasons(asked, names, place, settings, now), place, settings, now)


def reasons(
    asked: Asked, names: list[str], place: Place, settings: SchedulingSettings, now: float
) -> dict[str, str]:
    """Return why a pod may not go to some of these nodes."""
    cool = _cool(asked, names, place, settings, now)
    if not asked.wants_set and len(cool) == len(names):
        return {}
    known = set(cool)
    looked_at = names if asked.wants_set else [name for name in names if name not in known]
    found = ((name, _why_not(asked, name, place, settings, now, looked=name in known)) for name in looked_at)
    return {name: reason for name, reason in found if reason}


def answer(
    asked: Asked,
    names: list[str],
    out: dict[str, str],
    place: Place,
    settings: SchedulingSettings,
    now: float,
) -> Filtered:
    """Return the answer to filter, where these reasons keep a pod from nodes."""
    passed = [name for name in names if name not in out] if out else names
    out, waits = _few_kinds(out), {}  # a scheduler counts the kinds of both maps together
    if asked.wants_set and asked.nominated in out:
        leaving = place.leaving(asked.nominated)
        if leaving and not _why_not(asked, asked.nominated, place, settings, now, without=leaving):
            waits[asked.nominated] = out.pop(asked.nominated)
    return Filtered(passed, out, waits)


def prioritize(
    asked: Asked, names: Iterable[str], place: Place, settings: SchedulingSettings, now: float
) -> dict[str, int]:
    """Score nodes: 0 to 10 points for load and for the CPU set each, times their weights."""
    names = list(names)
    points = dict.fromkeys(names, 0)
    if asked.load is not None and settings.load is not None:
        weight = settings.load_weight
        for name, percent in zip(
            names, scores(place.loads(), names, asked.load, settings.load, now), strict=True
        ):
            points[name] = weight * ((percent + _HALF) // _POINT)
    if asked.wants_set:
        weight = settings.set_weight
        for name in points:
            points[name] += weight * ((place.fit(name).score + _HALF) // _POINT)
    return points


def preempt(
    asked: Asked, victims: Victims, place: Place, settings: SchedulingSettings, now: float
) -> list[str]:
    """Return the nodes where the pod could go once the victims are gone.

    What they use is still in use a moment later, so load gives no credit for it. A node without victims is
    left out: a scheduler takes it for an error.
    """
    return [
        name
        for name, uids in victims.items()
        if uids and not _why_not(asked, name, place, settings, now, without=frozenset(uids))
    ]


def _cool(
    asked: Asked, names: list[str], place: Place, settings: SchedulingSettings, now: float
) -> list[str]:
    """Return the nodes that load certainly does not keep a pod from."""
    if asked.load is None or asked.everywhere or settings.load is None:
        return names
    return passing(place.loads(), names, asked.load, now)


def _why_not(  # noqa: PLR0913 — what the three verbs have in common
    asked: Asked,
    name: str,
    place: Place,
    settings: SchedulingSettings,
    now: float,
    *,
    looked: bool = False,
    without: frozenset[str] = frozenset(),
) -> str:
    """Say why a pod may not go to a node, "" where it may; ``looked``: load does not keep it from there."""
    looked = looked or asked.everywhere
    if not looked and asked.load is not None and settings.load is not None:
        load = place.loads().get(name)
        if load is not None and (reason := why_not(load, asked.load, settings.load, now)):
            return reason
    return place.fit(name, without=without).reason if asked.wants_set else ""


def _few_kinds(reasons: dict[str, str]) -> dict[str, str]:
    """Return reasons of so few kinds that a message stays short."""
    kinds = sorted(set(reasons.values()))
    if len(kinds) <= _KINDS:
        return reasons
    kept = set(kinds[: _KINDS - 1])
    return {name: reason if reason in kept else OTHERS for name, reason in reasons.items()}
