"""How much batch and mid work may have: one small function a policy, each giving the terms of a sum.

Koordinator's: usage, maxUsageRequest, request (memory only) and mid, dynamic or static. The seeds':
static, timeOfDay, watermark. Percentages are of the node's capacity, rounded down to a milli-core
or a byte.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from webhook.capacity.amounts import UNIT, Amounts, Step, Term, added
from webhook.capacity.demand import Demand
from webhook.capacity.extension import Policy, Shares
from webhook.capacity.node import Node
from webhook.capacity.nodemetric import NodeMetric
from webhook.capacity.strategy import Strategy
from webhook.protocol import CPU, MEMORY

USAGE: Final = "usage"
REQUEST: Final = "request"
MAX_USAGE_REQUEST: Final = "maxUsageRequest"
_STATIC: Final = "static"
_NONE_BELOW: Final = Term(Step.AT_LEAST, "nothing", 0)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a policy looks at.

    Attributes:
        node: the node.
        metric: what was measured on it.
        demand: sums over its pods.
        strategy: what holds for it.
        now: the time, with its zone.
        high_band: whether the watermark policy was in its high band before.
    """

    node: Node
    metric: NodeMetric
    demand: Demand
    strategy: Strategy
    now: dt.datetime
    high_band: bool = False

    @property
    def system(self) -> Amounts:
        """Return what is no pod uses, hosts' applications of prod and mid included."""
        return added((self.metric.system_usage, self.metric.host_prod, self.metric.host_mid))

    def percent(self, resource: str, percent: int) -> int:
        """Return a percentage of the capacity."""
        unit = UNIT[resource]
        return self.node.capacity.of(resource) * percent // (100 * unit) * unit

    @property
    def is_high_band(self) -> bool:
        """Return whether online pods use much of the CPU: the watermark policy then offers less."""
        mark = self.strategy.extension.watermark
        percent = mark.leave_percent if self.high_band else mark.band_percent
        return self.demand.used.cpu * 100 >= percent * self.node.capacity.cpu


def batch_terms(at: Situation, resource: str) -> list[Term]:
    """Return the sum of what batch work may have of ``cpu`` or ``memory``, by the node's policy."""
    policy = at.strategy.extension.policy
    if policy is Policy.STATIC:
        return _shares(at, resource, at.strategy.extension.static, "static share")
    if policy is Policy.TIME_OF_DAY:
        return _time_of_day(at, resource)
    if policy is Policy.WATERMARK:
        return _watermark_cpu(at) if resource == CPU else _watermark_memory(at)
    return list(_koordinator(at, resource))


def mid_terms(at: Situation, resource: str) -> list[Term]:
    """Return the sum of what mid work may have of ``cpu`` or ``memory``."""
    of = at.strategy.of(resource)
    most = Term(
        Step.AT_MOST,
        "mid threshold",
        at.percent(resource, of.mid_threshold_percent),
        f"{of.mid_threshold_percent} % of capacity",
    )
    if at.strategy.values["midReclaimMode"] == _STATIC:
        static = at.percent(resource, of.mid_static_reserved_percent)
        why = f"static: {of.mid_static_reserved_percent} % of capacity"
        return [Term(Step.START, "mid share", static, why), most]
    usage = at.metric.node_usage
    capacity = at.node.capacity.of(resource)
    unused = max(0, capacity - usage.of(resource)) if usage else 0
    percent = at.strategy.values["midUnallocatedPercent"]
    unallocated = max(0, capacity - _system_of_prod(at, resource) - at.demand.prod_requested.of(resource))
    return [
        Term(
            Step.START,
            "reclaimable",
            at.metric.prod_reclaimable.of(resource),
            "requested by prod pods, unused",
        ),
        Term(Step.AT_MOST, "unused", unused, "of the node" if usage else "the metric has no node usage"),
        Term(Step.PLUS, "unallocated", unallocated * percent // 100, f"{percent} % of what no pod requests"),
        most,
    ]


def _koordinator(at: Situation, resource: str) -> Iterator[Term]:
    of, node = at.strategy.of(resource), at.node
    by_request = of.calculate_policy == REQUEST and resource == MEMORY
    capacity = node.capacity.of(resource)
    yield Term(Step.START, "capacity", capacity, "status.capacity")
    threshold = of.reclaim_threshold_percent
    margin = at.percent(resource, 100 - threshold)
    yield Term(Step.MINUS, "margin", margin, f"{resource}ReclaimThresholdPercent is {threshold}")
    yield _kept_from_pods(at, resource, by_request=by_request)
    demand = at.demand
    if by_request:
        yield Term(Step.MINUS, "pods", demand.requested.of(resource), "requested by prod and mid pods")
    elif of.calculate_policy == MAX_USAGE_REQUEST:
        yield Term(Step.MINUS, "pods", demand.most.of(resource), "used or requested, the greater of each")
    else:
        yield Term(Step.MINUS, "pods", demand.used.of(resource), "used by prod and mid pods")
    yield _NONE_BELOW
    if threshold > 100:  # noqa: PLR2004 — percent
        yield Term(Step.AT_MOST, "capacity", capacity, "no node can give more than it has")
    if (cap := of.batch_threshold_percent) is not None:
        yield Term(Step.AT_MOST, "batch threshold", at.percent(resource, cap), f"{cap} % of capacity")


def _kept_from_pods(at: Situation, resource: str, *, by_request: bool) -> Term:
    """Return what the system uses or what is reserved for it, whichever is more."""
    node, system = at.node, at.system.of(resource)
    kubelet, annotated = node.kubelet_reserved.of(resource), node.annotation_reserved.of(resource)
    reserved = max(kubelet, annotated)
    if not by_request and system > reserved:
        return Term(Step.MINUS, "system", system, "used by what is no pod")
    by = "the annotation" if annotated > kubelet else "the kubelet"
    return Term(Step.MINUS, "reserved", reserved, f"reserved by {by}" if reserved else "")


def _system_of_prod(at: Situation, resource: str) -> int:
    used = at.metric.system_usage.of(resource) + at.metric.host_prod.of(resource)
    return max(used, at.node.reserved.of(resource))


def _shares(at: Situation, resource: str, shares: Shares, name: str) -> list[Term]:
    percent = shares.cpu_percent if resource == CPU else shares.memory_percent
    return [Term(Step.START, name, at.percent(resource, percent), f"{percent} % of capacity")]


def _time_of_day(at: Situation, resource: str) -> list[Term]:
    table = at.strategy.extension.time_of_day
    local = at.now.astimezone(table.zone)
    for i, period in enumerate(table.periods):
        if period.holds(local):
            return _shares(at, resource, period.shares, f"period {i + 1}, at {local:%a %H:%M}")
    return _shares(at, resource, table.default, f"no period, at {local:%a %H:%M}")


def _watermark_cpu(at: Situation) -> list[Term]:
    mark = at.strategy.extension.watermark
    percent = mark.high_percent if at.is_high_band else mark.low_percent
    band = "high" if at.is_high_band else "low"
    return [
        Term(Step.START, "watermark", at.percent(CPU, percent), f"{percent} % of capacity, {band} band"),
        Term(Step.MINUS, "online", at.demand.used.cpu, "used by prod and mid pods"),
        _NONE_BELOW,
    ]


def _watermark_memory(at: Situation) -> list[Term]:
    mark, online = at.strategy.extension.watermark, at.demand.used.memory
    terms = [
        Term(
            Step.START,
            "share",
            at.percent(MEMORY, mark.memory_percent),
            f"{mark.memory_percent} % of capacity, {'high' if at.is_high_band else 'low'} band",
        ),
        Term(Step.MINUS, "reserved", mark.reserved_memory, "reservedMemory"),
    ]
    if at.is_high_band:
        terms.append(Term(Step.MINUS, "online", online, "used by prod and mid pods"))
    ceiling = at.percent(MEMORY, mark.ceiling_percent) - online - mark.reserved_memory
    why = f"{mark.ceiling_percent} % of capacity less online and reserved memory"
    return [*terms, Term(Step.AT_MOST, "ceiling", ceiling, why), _NONE_BELOW]
