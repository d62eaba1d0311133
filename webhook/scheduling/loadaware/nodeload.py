"""Load awareness: how much of a node is in use, whether a pod may still go there, and how good it would be.

What a node uses is what was measured, and for each pod that the measurement cannot show yet what it is
expected to use beyond. All of it but the pod in question is known beforehand, so a node is judged once
for many pods: see ``Side``. Source: Koordinator's plugin LoadAwareScheduling, whose answers these are.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from operator import le
from typing import Final, NamedTuple

from webhook.scheduling.loadaware.loadsettings import PERCENT, Aggregation, LoadSettings
from webhook.scheduling.loadaware.nodeshape import NodeShape
from webhook.scheduling.loadaware.nodeusage import NodeUsage
from webhook.scheduling.loadaware.podload import PodLoad, Vector

EXPIRED: Final = "node(s) nodeMetric expired"


class Side(NamedTuple):
    """A node as prod pods see it, or as all others do.

    Attributes:
        limits: percent of each resource above which a pod does not fit; 0: not looked at.
        aggregated: whether the limits are for a recorded usage, which the reason then says.
        filter_use: what is in use as the filter counts it.
        room: what a pod may be expected to use of each resource, and still fit; infinite where not looked at.
        score_use: what is in use as the score counts it.
        until: when the metric is too old to let a pod in, in seconds since the epoch.
    """

    limits: Vector
    aggregated: bool
    filter_use: Vector
    room: tuple[float, ...]
    score_use: Vector
    until: float = math.inf


class NodeLoad(NamedTuple):
    """A node, judged for whatever pod may come.

    Attributes:
        allocatable: how much it has of each resource.
        score_until: when it is too old for a score; 0: there is no metric to score by.
        prod, other: for pods of class prod, and for all others.
    """

    allocatable: Vector
    score_until: float
    prod: Side
    other: Side

    def side(self, *, prod: bool) -> Side:
        """Return what holds for pods of class prod, or for others."""
        return self.prod if prod else self.other


def judge(
    shape: NodeShape, usage: NodeUsage | None, pods: Iterable[PodLoad], settings: LoadSettings
) -> NodeLoad:
    """Judge a node.

    Args:
        shape: what the Node says.
        usage: its metric; None: there is none, so any pod may go there.
        pods: those that are assigned to it, without any that the metric alone knows.
        settings: in force.
    """
    if usage is None:
        nothing = (0,) * len(settings.resources)
        anything = Side(nothing, False, nothing, (math.inf,) * len(settings.resources), nothing)  # noqa: FBT003
        return NodeLoad(shape.allocatable, 0.0, anything, anything)
    assigned = list(pods)
    expires = usage.update_time + settings.expiration if usage.update_time else 0.0
    mean_use = _use(usage, None, assigned)
    wanted = settings.score_aggregation
    score_use = mean_use if wanted is None else _use(usage, wanted, assigned)
    thresholds, over = _thresholds(shape, settings)
    filter_use = mean_use if over is None else _use(usage, over, assigned)
    other = _side(shape, thresholds, filter_use, score_use, aggregated=over is not None)
    prod = other
    prod_limits = _vector(_stated(shape.thresholds.prod, settings.prod_thresholds), settings)
    if settings.score_by_prod or any(prod_limits):
        prod_use = _prod_use(usage, assigned, with_system=settings.with_system)
        if any(prod_limits):
            prod = _side(shape, prod_limits, prod_use, score_use, aggregated=False)
        if settings.score_by_prod:
            prod = prod._replace(score_use=prod_use)
    if not usage.measured:
        prod, other = _with_room(prod), _with_room(other)
    if settings.filter_expired:
        prod, other = (side._replace(until=expires) if any(side.limits) else side for side in (prod, other))
    return NodeLoad(shape.allocatable, expires if usage.measured else 0.0, prod, other)


def why_not(load: NodeLoad, pod: PodLoad, settings: LoadSettings, now: float) -> str:
    """Say why a pod may not go to a node, "" where it may."""
    side = load.prod if pod.prod else load.other
    if now >= side.until:
        return "" if settings.schedule_when_expired else EXPIRED
    for resource, expected, room in zip(settings.resources, pod.estimate, side.room, strict=True):
        if expected > room:
            kind = "aggregated usage" if side.aggregated else "usage"
            return f"node(s) {resource} {kind} exceed threshold"
    return ""


def passing(loads: Mapping[str, NodeLoad], names: Iterable[str], pod: PodLoad, now: float) -> list[str]:
    """Return the nodes to which a pod may go, for many nodes at once.

    Of the others ``why_not`` says why they are out; with ``schedule_when_expired`` it lets some of them in.
    """
    get, expected = loads.get, pod.estimate
    if pod.prod:
        return [
            name
            for name in names
            if (load := get(name)) is None
            or ((side := load.prod).until > now and all(map(le, expected, side.room)))
        ]
    return [
        name
        for name in names
        if (load := get(name)) is None
        or ((side := load.other).until > now and all(map(le, expected, side.room)))
    ]


def scores(
    loads: Mapping[str, NodeLoad], names: Iterable[str], pod: PodLoad, settings: LoadSettings, now: float
) -> Iterator[int]:
    """Yield how good each node is for a pod, 0 to 100: the share that stays free, weighted."""
    get, prod, dominant = loads.get, pod.prod, settings.dominant_weight
    parts = [(i, settings.weights.get(each, 0), pod.estimate[i]) for i, each in enumerate(settings.resources)]
    weights = sum(weight for _, weight, _ in parts) + dominant
    for name in names:
        load = get(name)
        if load is None or now >= load.score_until or not weights:
            yield 0
            continue
        allocatable, used = load.allocatable, (load.prod if prod else load.other).score_use
        total, worst = 0, PERCENT
        for i, weight, expected in parts:
            has = allocatable[i]
            left = has - used[i] - expected
            free = left * PERCENT // has if left > 0 else 0
            total += weight * free
            worst = min(worst, free)
        yield (total + dominant * worst) // weights


def _with_room(side: Side) -> Side:
    """A node of which no usage was measured takes any pod, as long as its metric is not too old."""
    return side._replace(room=(math.inf,) * len(side.room))


def _side(
    shape: NodeShape, limits: Vector, filter_use: Vector, score_use: Vector, *, aggregated: bool
) -> Side:
    room = tuple(
        greatest_use(limit, has) - uses if limit and has else math.inf
        for limit, has, uses in zip(limits, shape.allocatable, filter_use, strict=True)
    )
    return Side(limits, aggregated, filter_use, room, score_use)


def greatest_use(limit: int, has: int) -> int:
    """Return the greatest use whose percentage, rounded half up, is not above ``limit``."""
    return (has * (2 * limit + 1) - 1) // (2 * PERCENT)


def _use(usage: NodeUsage, wanted: Aggregation | None, pods: Iterable[PodLoad]) -> Vector:
    """Return what is in use by the mean, or by a recorded usage.

    Where the wanted usage is not known, the sum of what all pods are expected to use.
    """
    measured = usage.usage(wanted)
    if measured is None and wanted is not None and wanted.duration:
        return _sum([pod.estimate for pod in pods], len(usage.system))
    since = usage.update_time - usage.interval
    parts = [measured] if measured is not None else []
    for pod in pods:
        reported = usage.pods.get(pod.key)
        if reported is None:
            parts.append(pod.estimate)
        elif _not_shown(pod, since, usage.update_time):
            parts.append(_beyond(pod.estimate, reported[0]))
    return _sum(parts, len(usage.system))


def _prod_use(usage: NodeUsage, pods: Iterable[PodLoad], *, with_system: bool) -> Vector:
    """Return what prod pods use, or are expected to; usage counts of those that were measured as prod."""
    since = usage.update_time - usage.interval
    parts = [usage.system] if with_system else []
    for pod in pods:
        if not pod.prod:
            continue
        used, prod = usage.pods.get(pod.key) or (pod.estimate, False)
        if not prod:
            parts.append(pod.estimate)
            continue
        parts.append(used)
        if _not_shown(pod, since, usage.update_time):
            parts.append(_beyond(pod.estimate, used))
    return _sum(parts, len(usage.system))


def _not_shown(pod: PodLoad, since: float, update_time: float) -> bool:
    """Whether a metric is too early to show what a pod will use."""
    return not update_time or pod.scheduled > since or pod.estimated_until > update_time


def _beyond(estimate: Vector, usage: Vector) -> Vector:
    """Return what a pod is expected to use beyond what it was measured to use."""
    return tuple(max(0, expected - used) for expected, used in zip(estimate, usage, strict=True))


def _sum(parts: list[Vector], size: int) -> Vector:
    return tuple(map(sum, zip(*parts, strict=True))) if parts else (0,) * size


def _thresholds(shape: NodeShape, settings: LoadSettings) -> tuple[Vector, Aggregation | None]:
    """Return the limits of pods that are not prod, or have no limits of their own, and of which usage."""
    aggregated = shape.thresholds.aggregated or settings.aggregated
    if aggregated is not None:
        return _vector(aggregated.thresholds, settings), aggregated.usage
    return _vector(_stated(shape.thresholds.plain, settings.thresholds), settings), None


def _stated(of_node: Mapping[str, int] | None, otherwise: Mapping[str, int]) -> Mapping[str, int]:
    return otherwise if of_node is None else of_node


def _vector(thresholds: Mapping[str, int], settings: LoadSettings) -> Vector:
    return tuple(thresholds.get(each, 0) for each in settings.resources)
