"""What a node offers to batch and mid work: `estimate`, from what is known of the node at one time.

The policy says what could be given. What is published follows it with care: down at once, up
slowly, never below what bound pods request already, and without fresh metrics nothing new. A
figure below what bound pods request would make a restarted kubelet refuse to go on running them.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from webhook.capacity.amounts import UNIT, Step, Term, total
from webhook.capacity.demand import PodDemand
from webhook.capacity.extension import BY_THRESHOLD, Extension, Policy
from webhook.capacity.node import Node
from webhook.capacity.nodemetric import NodeMetric
from webhook.capacity.policies import (
    MAX_USAGE_REQUEST,
    REQUEST,
    USAGE,
    batch_terms,
    mid_terms,
)
from webhook.capacity.situation import Situation, situation_of
from webhook.capacity.strategy import Strategy
from webhook.pods.quantities import NANO
from webhook.protocol import (
    BATCH,
    BATCH_CPU,
    BATCH_RESOURCES,
    CPU,
    MEMORY,
    MID,
    MID_CPU,
    NATIVE_RESOURCES,
    TRANSLATION,
)

FLOOR: Final = "floor"
LONGEST_SECONDS: Final = 10**8
"""Three years: no interval of a configuration is taken for longer."""

_REPORTS_MISSED: Final = 3
_UNMEASURED: Final = frozenset({Policy.STATIC, Policy.TIME_OF_DAY})
"""Policies that look at no metric."""

_POLICIES: Final = {
    CPU: ("", USAGE, MAX_USAGE_REQUEST),
    MEMORY: ("", USAGE, MAX_USAGE_REQUEST, REQUEST),
}


class State(StrEnum):
    """What became of the figures."""

    APPLIED = "applied"
    HELD = "held"  # the metric is late: nothing new fits
    WITHDRAWN = "withdrawn"  # there is no metric, or an old one: what bound pods request, if anything
    OFF = "off"  # colocation is not enabled for the node: as withdrawn


@dataclass(frozen=True, slots=True)
class Before:
    """What was published last, for the next estimate.

    Attributes:
        offered: milli-cores and bytes by resource; a resource that was never offered is absent.
        greater_since: since when the policy has given more than is offered, by resource.
        high_band: whether the watermark policy was in its high band.
    """

    offered: Mapping[str, int] = field(default_factory=dict)
    greater_since: Mapping[str, dt.datetime] = field(default_factory=dict)
    high_band: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One resource.

    Attributes:
        offered: milli-cores or bytes to publish; None: the resource is taken off the node.
        terms: the sum that ``offered`` is the result of, rounded down.
        calculated: what the policy alone gives; None without fresh metrics.
        origin: the whole amount, of which third parties have a part.
        floor: what bound pods request.
    """

    offered: int | None
    terms: tuple[Term, ...] = ()
    calculated: int | None = None
    origin: int = 0
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node offers.

    Attributes:
        state: what became of the figures.
        why: of the state.
        policy: by which they were found.
        age: of the metric; None: there is none.
        figures: by resource; those of batch and of mid, cpu before memory.
        warnings: what was ignored or looks wrong, with its place.
        next: for the next estimate of this node.
    """

    state: State
    why: str
    policy: str
    age: dt.timedelta | None
    figures: Mapping[str, Figure]
    warnings: tuple[str, ...]
    next: Before


def estimate(
    node: Node,
    metric: NodeMetric | None,
    pods: Iterable[PodDemand],
    strategy: Strategy,
    now: dt.datetime,
    before: Before | None = None,
) -> Capacity:
    """Return what a node offers now.

    Args:
        node: the node.
        metric: its NodeMetric; None where there is none.
        pods: those bound to it.
        strategy: what holds for it.
        now: the time, with its zone.
        before: the last estimate's ``next``; None: whatever the policy gives is offered at once.
    """
    listed = list(pods)
    known = metric or NodeMetric()
    was_high = before is not None and before.high_band
    at = situation_of(node, known, listed, strategy, now, was_high=was_high)
    age = None if known.update_time is None else now - known.update_time
    fresh, late = _freshness(strategy, metric, age)
    missing = [each for each in NATIVE_RESOURCES if not node.capacity.of(each)]
    if missing and fresh is State.APPLIED:
        fresh, late = State.HELD, f"the node states no capacity of {' and '.join(missing)}"
    state, why = _state(strategy, fresh, late, sized=not missing)
    figures: dict[str, Figure] = {}
    rising: dict[str, dt.datetime] = {}
    for of, terms_of in ((BATCH, batch_terms), (MID, mid_terms)):
        for resource in NATIVE_RESOURCES:
            name = TRANSLATION[of][resource]
            floor = at.demand.floor.get(name, 0)
            # What mid work may have is a matter of metrics under each policy.
            now_is, reason = (state, why) if of == BATCH or state is State.OFF else (fresh, late)
            if now_is is not State.APPLIED:
                figures[name] = _kept(now_is, floor, resource, reason)
                continue
            figures[name] = _figure(at, name, terms_of(at, resource), floor, before, rising)
    offered = {name: figure.offered for name, figure in figures.items() if figure.offered is not None}
    return Capacity(
        state,
        why,
        strategy.extension.policy,
        age,
        figures,
        tuple(_warnings(at, metric, listed)),
        Before(offered, rising, at.high_band),
    )


def _figure(
    at: Situation,
    name: str,
    terms: list[Term],
    floor: int,
    before: Before | None,
    rising: dict[str, dt.datetime],
) -> Figure:
    """Return a figure from its policy's terms: for others first, slowly, and never below the floor."""
    resource = CPU if name in {BATCH_CPU, MID_CPU} else MEMORY
    unit, node, value = UNIT[resource], at.node, total(terms)
    calculated = origin = value // unit
    more: list[Term] = []
    if name in BATCH_RESOURCES:
        if resource == CPU and node.ratio > NANO:
            more.append(Term(Step.TIMES, "normalization", node.ratio, "of the CPU model"))
            origin = total(more, value) // unit
        if held := node.third_party.of(resource):
            more.append(Term(Step.MINUS, "third party", held, "thirdPartyAllocations"))
            more.append(Term(Step.AT_LEAST, "nothing", 0))
        if not node.third_party_read:
            known = before.offered.get(name, floor) if before is not None else floor
            why = "thirdPartyAllocations cannot be read: no more than before"
            more.append(Term(Step.AT_MOST, "third party", known * unit, why))
        value = total(more, value)
    if before is not None and name in before.offered:
        slow = list(_slowly(at, name, resource, value // unit, before, rising))
        more += slow
        value = total(slow, value)
    if floor * unit > value:
        more.append(Term(Step.AT_LEAST, FLOOR, floor * unit, "bound pods request it already"))
        value = floor * unit
    return Figure(value // unit, (*terms, *more), calculated, origin, floor)


def _state(strategy: Strategy, fresh: State, late: str, *, sized: bool) -> tuple[State, str]:
    if not strategy.enabled:
        return State.OFF, "colocation is not enabled for this node"
    if strategy.extension.policy in _UNMEASURED and sized:
        return State.APPLIED, ""
    return fresh, late


def _freshness(strategy: Strategy, metric: NodeMetric | None, age: dt.timedelta | None) -> tuple[State, str]:
    """Return what a metric of this age is good for, and why for no more."""
    if metric is None or age is None or not metric.measured:
        missing = "there is no NodeMetric" if metric is None else "the NodeMetric has no measurement yet"
        return State.WITHDRAWN, missing
    late, seconds = late_after(strategy), age.total_seconds()
    if -seconds > late:
        return State.HELD, f"the metric is {-seconds:.0f} s in the future: a clock is wrong"
    if age > strategy.degrade_after:
        return State.WITHDRAWN, f"the metric is {seconds:.0f} s old"
    if seconds > late:
        return State.HELD, f"the metric is {seconds:.0f} s old"
    if not metric.usable:
        return State.HELD, "what the metric says of the system cannot be read"
    return State.APPLIED, ""


def late_after(strategy: Strategy) -> int:
    """Return the seconds after which a metric is late; never more than after which it is too old."""
    stated = strategy.extension.stale_seconds
    return min(
        stated or _REPORTS_MISSED * int(strategy.values["metricReportIntervalSeconds"]), LONGEST_SECONDS
    )


def _kept(state: State, floor: int, resource: str, why: str) -> Figure:
    """Return the figure without fresh metrics: what bound pods request already."""
    if state is not State.HELD and not floor:
        return Figure(None)
    amount = floor * UNIT[resource]
    term = Term(Step.START, FLOOR, amount, f"{state}, {why}: what bound pods request")
    return Figure(floor, (term,), floor=floor)


def _slowly(
    at: Situation,
    name: str,
    resource: str,
    wanted: int,
    before: Before,
    rising: dict[str, dt.datetime],
) -> Iterator[Term]:
    """Yield what keeps an offer from growing: for a time, and by more than a step."""
    offered = before.offered[name]
    if wanted <= offered:
        return
    extension: Extension = at.strategy.extension
    since = min(before.greater_since.get(name, at.now), at.now)
    rising[name] = since
    lasted = (at.now - since).total_seconds()
    unit = UNIT[resource]
    if lasted < extension.hold_seconds:
        why = f"more must last {extension.hold_seconds} s, and has for {lasted:.0f}"
        yield Term(Step.AT_MOST, "before", offered * unit, why)
        return
    step = at.percent(resource, extension.step_percent) // unit
    why = f"at most {extension.step_percent} % of capacity more at once"
    yield Term(Step.AT_MOST, "step", (offered + max(1, step)) * unit, why)


def _warnings(at: Situation, metric: NodeMetric | None, pods: list[PodDemand]) -> Iterator[str]:
    yield from at.strategy.findings
    yield from at.node.findings
    if metric is not None:
        yield from metric.findings
    for pod in pods:
        yield from pod.findings
    policy = at.strategy.extension.policy
    if policy not in BY_THRESHOLD:
        return
    for resource in NATIVE_RESOURCES:
        of = at.strategy.of(resource)
        if policy is Policy.KOORDINATOR and of.calculate_policy not in _POLICIES[resource]:
            yield (
                f"{resource}CalculatePolicy: {of.calculate_policy!r} is unknown for {resource} and counts as "
                f"usage: write {' or '.join(filter(None, _POLICIES[resource]))}"
            )
        if of.reclaim_threshold_percent > 100:  # noqa: PLR2004 — percent
            yield f"{resource}ReclaimThresholdPercent: above 100 offers what online pods may need"
