"""All that a policy looks at, and the terms that several policies begin and end with."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from webhook.capacity.amounts import UNIT, Amounts, Step, Term
from webhook.capacity.demand import Demand, PodDemand, demand_of
from webhook.capacity.node import Node
from webhook.capacity.nodemetric import NodeMetric
from webhook.capacity.strategy import ResourceStrategy, Strategy

NONE_BELOW: Final = Term(Step.AT_LEAST, "nothing", 0)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a policy looks at.

    Attributes:
        node: the node, or one of its NUMA zones.
        metric: what was measured on it.
        demand: sums over its pods.
        strategy: what holds for it.
        now: the time, with its zone.
        high_band: whether online pods use much of the CPU: the watermark policy then offers less.
        pods: those bound to it; only the policy peak looks at each.
    """

    node: Node
    metric: NodeMetric
    demand: Demand
    strategy: Strategy
    now: dt.datetime
    high_band: bool = False
    pods: Sequence[PodDemand] = ()

    @property
    def system(self) -> Amounts:
        """Return what is no pod uses, hosts' applications of prod and mid included."""
        of = self.metric
        return Amounts(*map(sum, zip(of.system_usage, of.host_prod, of.host_mid, strict=True)))

    def percent(self, resource: str, percent: int) -> int:
        """Return a percentage of the capacity, rounded down to a milli-core or a byte."""
        unit = UNIT[resource]
        return self.node.capacity.of(resource) * percent // (100 * unit) * unit


def situation_of(
    node: Node,
    metric: NodeMetric,
    pods: Sequence[PodDemand],
    strategy: Strategy,
    now: dt.datetime,
    *,
    was_high: bool = False,
) -> Situation:
    """Return what a policy looks at; ``was_high`` is whether the node was in the high band before."""
    demand, mark = demand_of(pods, metric), strategy.extension.watermark
    percent = mark.leave_percent if was_high else mark.band_percent
    high_band = demand.used.cpu * 100 >= percent * node.capacity.cpu
    return Situation(node, metric, demand, strategy, now, high_band, pods)


def before_pods(
    at: Situation, resource: str, of: ResourceStrategy, *, by_request: bool = False
) -> list[Term]:
    """Return capacity, margin, and what the system uses or what is reserved for it, whichever is more.

    Args:
        at: the node.
        resource: ``cpu`` or ``memory``.
        of: what the strategy says of the resource.
        by_request: whether only what is reserved counts.
    """
    node = at.node
    threshold = of.reclaim_threshold_percent
    margin = at.percent(resource, 100 - threshold)
    kubelet, annotated = node.kubelet_reserved.of(resource), node.annotation_reserved.of(resource)
    reserved, system = max(kubelet, annotated), at.system.of(resource)
    if not by_request and system > reserved:
        kept = Term(Step.MINUS, "system", system, "used by what is no pod")
    else:
        by = "the annotation" if annotated > kubelet else "the kubelet"
        kept = Term(Step.MINUS, "reserved", reserved, f"reserved by {by}" if reserved else "")
    return [
        Term(Step.START, "capacity", node.capacity.of(resource), "status.capacity"),
        Term(Step.MINUS, "margin", margin, f"{resource}ReclaimThresholdPercent is {threshold}"),
        kept,
    ]


def bounds(at: Situation, resource: str, of: ResourceStrategy) -> list[Term]:
    """Return what a sum is at least and at most."""
    terms = [NONE_BELOW]
    if of.reclaim_threshold_percent > 100:  # noqa: PLR2004 — percent
        capacity = at.node.capacity.of(resource)
        terms.append(Term(Step.AT_MOST, "capacity", capacity, "no node can give more than it has"))
    if (cap := of.batch_threshold_percent) is not None:
        terms.append(Term(Step.AT_MOST, "batch threshold", at.percent(resource, cap), f"{cap} % of capacity"))
    return terms
