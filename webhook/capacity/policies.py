"""How much batch and mid work may have: one small function a policy, each giving the terms of a sum.

Koordinator's: usage, maxUsageRequest, request (memory only) and mid, dynamic or static. The seeds':
static, timeOfDay, watermark. Ours: peak, in a module of its own. Percentages are of the node's
capacity, rounded down to a milli-core or a byte.
"""

from typing import Final

from webhook.capacity.amounts import UNIT, Step, Term
from webhook.capacity.extension import Policy, Shares
from webhook.capacity.peak import peak_terms
from webhook.capacity.situation import NONE_BELOW, Situation, before_pods, bounds
from webhook.protocol import CPU, MEMORY

USAGE: Final = "usage"
REQUEST: Final = "request"
MAX_USAGE_REQUEST: Final = "maxUsageRequest"
_STATIC: Final = "static"


def batch_terms(at: Situation, resource: str) -> list[Term]:
    """Return the sum of what batch work may have of ``cpu`` or ``memory``, by the node's policy."""
    policy = at.strategy.extension.policy
    if policy is Policy.STATIC:
        return _shares(at, resource, at.strategy.extension.static, "static share")
    if policy is Policy.TIME_OF_DAY:
        return _time_of_day(at, resource)
    if policy is Policy.PEAK:
        return peak_terms(at, resource)
    if policy is Policy.WATERMARK:
        return _watermark_cpu(at) if resource == CPU else _watermark_memory(at)
    return _koordinator(at, resource)


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
    usage, reclaimable = at.metric.node_usage, at.metric.prod_reclaimable.of(resource)
    capacity = at.node.capacity.of(resource)
    unused = max(0, capacity - usage.of(resource)) if usage else 0
    percent = at.strategy.values["midUnallocatedPercent"]
    unallocated = max(0, capacity - _system_of_prod(at, resource) - at.demand.prod_requested.of(resource))
    why = f"{percent} % of {unallocated // UNIT[resource]} that no pod requests"
    return [
        Term(
            Step.START,
            "reclaimable",
            reclaimable,
            "requested by prod pods, unused" if reclaimable else "the metric predicts none",
        ),
        Term(Step.AT_MOST, "unused", unused, "of the node" if usage else "the metric has no node usage"),
        Term(Step.PLUS, "unallocated", unallocated * percent // 100, why),
        most,
    ]


def _koordinator(at: Situation, resource: str) -> list[Term]:
    of, demand = at.strategy.of(resource), at.demand
    by_request = of.calculate_policy == REQUEST and resource == MEMORY
    if by_request:
        pods = Term(Step.MINUS, "pods", demand.requested.of(resource), "requested by prod and mid pods")
    elif of.calculate_policy == MAX_USAGE_REQUEST:
        pods = Term(Step.MINUS, "pods", demand.most.of(resource), "used or requested, the greater of each")
    else:
        pods = Term(Step.MINUS, "pods", demand.used.of(resource), "used by prod and mid pods")
    return [*before_pods(at, resource, of, by_request=by_request), pods, *bounds(at, resource, of)]


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
    percent = mark.high_percent if at.high_band else mark.low_percent
    band = "high" if at.high_band else "low"
    return [
        Term(Step.START, "watermark", at.percent(CPU, percent), f"{percent} % of capacity, {band} band"),
        Term(Step.MINUS, "online", at.demand.used.cpu, "used by prod and mid pods"),
        NONE_BELOW,
    ]


def _watermark_memory(at: Situation) -> list[Term]:
    mark, online = at.strategy.extension.watermark, at.demand.used.memory
    terms = [
        Term(
            Step.START,
            "share",
            at.percent(MEMORY, mark.memory_percent),
            f"{mark.memory_percent} % of capacity, {'high' if at.high_band else 'low'} band",
        ),
        Term(Step.MINUS, "reserved", mark.reserved_memory, "reservedMemory"),
    ]
    if at.high_band:
        terms.append(Term(Step.MINUS, "online", online, "used by prod and mid pods"))
    ceiling = at.percent(MEMORY, mark.ceiling_percent) - online - mark.reserved_memory
    why = f"{mark.ceiling_percent} % of capacity less online and reserved memory"
    return [*terms, Term(Step.AT_MOST, "ceiling", ceiling, why), NONE_BELOW]
