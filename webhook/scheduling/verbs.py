"""filter, prioritize and preempt: from a pod and nodes to answers, with a reason for each node that is out.

A reason is the same text wherever its cause is the same: the scheduler counts equal texts, and each other one
would be another write to the pod, which wakes it again.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from webhook.scheduling.nodeload import NodeLoad, score, why_not
from webhook.scheduling.podload import PodLoad
from webhook.scheduling.question import Victims
from webhook.scheduling.setfit import Fit
from webhook.scheduling.settings import SchedulingSettings

OTHERS: Final = "other colocation checks"
_KINDS: Final = 5
_POINT: Final = 10


class Asked(NamedTuple):
    """The pod in question.

    Attributes:
        load: what it is expected to use; None: load is not looked at, or not for this pod.
        wants_set: whether it gets a CPU set at binding.
        nominated: the node that pods were evicted from for it; "": none.
    """

    load: PodLoad | None
    wants_set: bool
    nominated: str = ""


class Place(Protocol):
    """The cluster, as one pod finds it."""

    def load(self, node: str) -> NodeLoad | None:
        """Return how a node's load is judged; None: nothing is known of it, so any pod may go there."""

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
    passed: list[str] = []
    reasons: dict[str, str] = {}
    for name in names:
        reason = _why_not(asked, name, place, settings, now)
        if reason:
            reasons[name] = reason
        else:
            passed.append(name)
    waits = {}
    if asked.wants_set and asked.nominated in reasons:
        leaving = place.leaving(asked.nominated)
        if leaving and not _why_not(asked, asked.nominated, place, settings, now, leaving):
            waits[asked.nominated] = reasons.pop(asked.nominated)
    return Filtered(passed, _few_kinds(reasons), waits)


def prioritize(
    asked: Asked, names: Iterable[str], place: Place, settings: SchedulingSettings, now: float
) -> dict[str, int]:
    """Score nodes: 0 to 10 points for load and for the CPU set each, times their weights."""
    points = dict.fromkeys(names, 0)
    load_settings, load_weight, set_weight = settings.load, settings.load_weight, settings.set_weight
    pod = asked.load
    for name in points:
        total = 0
        if pod is not None and load_settings is not None:
            load = place.load(name)
            if load is not None:
                total = load_weight * _points(score(load, pod, load_settings, now))
        if asked.wants_set:
            total += set_weight * _points(place.fit(name).score)
        points[name] = total
    return points


def preempt(
    asked: Asked, victims: Victims, place: Place, settings: SchedulingSettings, now: float
) -> list[str]:
    """Return the nodes where the pod could go once the victims are gone.

    What they use is still in use a moment later, so load gives no credit for it.
    """
    return [
        name
        for name, uids in victims.items()
        if not _why_not(asked, name, place, settings, now, frozenset(uids))
    ]


def _why_not(
    asked: Asked,
    name: str,
    place: Place,
    settings: SchedulingSettings,
    now: float,
    without: frozenset[str] = frozenset(),
) -> str:
    """Say why a pod may not go to a node, "" where it may."""
    if asked.load is not None and settings.load is not None:
        load = place.load(name)
        if load is not None and (reason := why_not(load, asked.load, settings.load, now)):
            return reason
    return place.fit(name, without=without).reason if asked.wants_set else ""


def _points(percent: int) -> int:
    """Return 0 to 10 points, rounded half up."""
    return (percent + _POINT // 2) // _POINT


def _few_kinds(reasons: dict[str, str]) -> dict[str, str]:
    """Return reasons of so few kinds that a message stays short."""
    kinds = sorted(set(reasons.values()))
    if len(kinds) <= _KINDS:
        return reasons
    kept = set(kinds[: _KINDS - 1])
    return {name: reason if reason in kept else OTHERS for name, reason in reasons.items()}
