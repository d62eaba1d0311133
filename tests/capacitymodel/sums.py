"""What each policy gives: sums over a node's pods, exact, by the specification's formulas."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from tests.capacitymodel.facts import CPU, MEMORY, MID, PROD, Amount, Metric, Node, Pod, quantity, total

Parts = dict[str, Fraction]
"""What is kept for each pod, by namespace/name."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_Z = {"p90": Fraction("1.2816"), "p95": Fraction("1.6449"), "p99": Fraction("2.3263")}
_WARM = dt.timedelta(hours=2)


class Place(NamedTuple):
    """A node with all that is known of it; a share of the pods where it is a zone."""

    node: Node
    metric: Metric
    pods: Sequence[tuple[Pod, Fraction]]
    plan: Mapping[str, Any]
    now: dt.datetime
    was_high: bool
    share: Fraction = Fraction(1)

    def percent(self, resource: str, percent: int) -> Fraction:
        """Return a percentage of the capacity, rounded down."""
        return Fraction(math.floor(self.node.capacity[resource] * percent / 100))

    @property
    def system(self) -> Amount:
        """What is no pod uses."""
        return _scaled(total((self.metric.system, *self.metric.hosts.values())), self.share)

    def gone(self) -> dict[str, tuple[Amount, str]]:
        """What was measured of pods that are not there, or have ended."""
        there = {pod.key for pod, _ in self.pods if pod.active}
        away = {key: of for key, of in self.metric.pods.items() if key not in there}
        return {key: of for key, of in away.items() if of[1] not in ("koord-batch", "koord-free")}


def used(place: Place, resource: str) -> Parts:
    """Return what each pod uses, or requests where that is not known or too old to be true."""
    parts = {key: usage[resource] * place.share for key, (usage, _) in place.gone().items()}
    for pod, share in place.pods:
        if pod.kept:
            usage, request = place.metric.pods.get(pod.key), pod.requests[resource]
            own = pod.qos == "LSE" and resource == CPU
            value = request if usage is None or own else usage[0][resource]
            if usage is not None and _after(pod.started, place.metric.time):
                value = max(request, usage[0][resource])
            parts[pod.key] = value * share
    return parts


def greatest(place: Place, resource: str) -> Parts:
    """Return the greater of use and request of each pod."""
    parts = {key: usage[resource] * place.share for key, (usage, _) in place.gone().items()}
    for pod, share in place.pods:
        if pod.kept:
            usage = place.metric.pods.get(pod.key, (Amount(), ""))[0]
            parts[pod.key] = max(pod.requests[resource], usage[resource]) * share
    return parts


def requested(place: Place, resource: str) -> Parts:
    """Return what each pod requests."""
    return {pod.key: pod.requests[resource] * share for pod, share in place.pods if pod.kept}


def batch(place: Place, resource: str) -> tuple[Fraction, Parts]:
    """Return what batch work may have, and what is kept of it for each pod."""
    ours, policy = place.plan["ours"], place.plan["ours"].get("policy", "koordinator")
    if policy == "static":
        return place.percent(resource, _share(ours.get("static"), resource)), {}
    if policy == "timeOfDay":
        return place.percent(resource, _share(_period(ours.get("timeOfDay") or {}, place.now), resource)), {}
    if policy == "watermark":
        return _watermark(place, ours.get("watermark") or {}, resource)
    node, calculate = place.node, place.plan[f"{resource}CalculatePolicy"]
    margin = place.percent(resource, 100 - place.plan[f"{resource}ReclaimThresholdPercent"])
    left = node.capacity[resource] - margin
    reserved = max(node.kubelet[resource], node.annotated[resource])
    if policy == "peak":
        parts, rise = _peak(place, resource)
        left -= max(place.system[resource], reserved) + rise
    elif calculate == "request" and resource == MEMORY:
        parts = requested(place, resource)
        left -= reserved
    else:
        parts = greatest(place, resource) if calculate == "maxUsageRequest" else used(place, resource)
        left -= max(place.system[resource], reserved)
    left = min(max(Fraction(0), left - sum(parts.values())), node.capacity[resource])
    most = place.plan["batchCPUThresholdPercent" if resource == CPU else "batchMemoryThresholdPercent"]
    return left if most is None else min(left, place.percent(resource, most)), parts


def mid(place: Place, resource: str) -> Fraction:
    """Return what mid work may have."""
    plan, node, metric = place.plan, place.node, place.metric
    name = "CPU" if resource == CPU else "Memory"
    most = place.percent(resource, plan[f"mid{name}ThresholdPercent"])
    if plan["midReclaimMode"] == "static":
        return min(most, place.percent(resource, plan[f"midStatic{name}ReservedPercent"]))
    prod = metric.system[resource] + metric.hosts[PROD][resource]
    system = max(prod, node.kubelet[resource], node.annotated[resource])
    requests = sum(pod.requests[resource] for pod, _ in place.pods if pod.kept and pod.of != MID)
    free = max(Fraction(0), node.capacity[resource] - system - requests)
    unused = max(Fraction(0), node.capacity[resource] - metric.node[resource]) if metric.node else Fraction(0)
    return min(most, min(metric.reclaimable[resource], unused) + free * plan["midUnallocatedPercent"] / 100)


def high(place: Place) -> bool:
    """Return whether online pods use much of the CPU."""
    mark = place.plan["ours"].get("watermark") or {}
    enter = mark.get("bandPercent", 20)
    percent = mark.get("leavePercent", enter) if place.was_high else enter
    return sum(used(place, CPU).values()) * 100 >= place.node.capacity[CPU] * percent


def _watermark(place: Place, mark: Mapping[str, Any], resource: str) -> tuple[Fraction, Parts]:
    parts, is_high = used(place, resource), place.plan.get("high", False)
    online = sum(parts.values())
    if resource == CPU:
        percent = mark.get("highPercent", 50) if is_high else mark.get("lowPercent", 70)
        return max(Fraction(0), place.percent(CPU, percent) - online), parts
    elsewhere = quantity(mark.get("reservedMemory", "0")) * place.share
    left = place.percent(MEMORY, mark.get("memoryPercent", 45)) - elsewhere - (online if is_high else 0)
    ceiling = place.percent(MEMORY, mark.get("ceilingPercent", 90)) - online - elsewhere
    return max(Fraction(0), min(left, ceiling)), parts if is_high else {}


def _share(of: Mapping[str, Any] | None, resource: str) -> int:
    return int((of or {}).get(f"{resource}Percent", 0))


def _period(table: Mapping[str, Any], now: dt.datetime) -> Mapping[str, Any] | None:
    local = now.astimezone(zoneinfo.ZoneInfo(table.get("timeZone") or "UTC"))
    clock, today = f"{local:%H:%M}", _DAYS[local.weekday()]
    yesterday = _DAYS[local.weekday() - 1]
    for each in table.get("periods") or ():
        days, start, end = each.get("days") or _DAYS, each["start"], each["end"]
        if start < end:
            holds = today in days and start <= clock < end
        else:
            holds = (today in days and clock >= start) or (yesterday in days and clock < end)
        if holds:
            return {} if each.get("off") else each
    return table.get("default")


def _peak(place: Place, resource: str) -> tuple[Parts, Fraction]:
    """Return what is kept for each pod, and how far the predicted peak is above that."""
    metric, parts, most = place.metric, used(place, resource), greatest(place, resource)
    if metric.peak[resource]:
        known = {pod.key for pod, _ in place.pods if pod.kept and pod.of != MID and pod.key in metric.pods}
        known |= {key for key, (_, of) in place.gone().items() if of != MID}
        below = (metric.peak[resource] - metric.system[resource]) * place.share
        return parts, max(Fraction(0), below - sum(parts[key] for key in known))
    mean = metric.window.get("avg", Amount())
    above = {
        name: max(Fraction(0), metric.window[name][resource] - mean[resource])
        for name in _Z
        if resource in mean and resource in metric.window.get(name, {})
    }
    settled = set()
    for pod, share in place.pods:
        if share and pod.kept and pod.key in metric.pods:
            if not above or pod.started is None or place.now - pod.started < _WARM:
                parts[pod.key] = most[pod.key]
            else:
                settled.add(pod.key)
    if not above or not settled:
        return parts, Fraction(0)
    sigmas = max(5 * rise / _Z[name] for name, rise in above.items()) * place.share
    free = sum(most[key] - parts[key] for key in settled)
    return parts, max(min(sigmas, free), max(above.values()) * place.share)


def _after(left: dt.datetime | None, right: dt.datetime | None) -> bool:
    return left is not None and right is not None and left > right


def _scaled(of: Amount, share: Fraction) -> Amount:
    return Amount({each: value * share for each, value in of.items()})


def zone(place: Place, number: int, capacity: Amount, count: int) -> Place:
    """Return a NUMA zone: its capacity, an equal part of the node's figures, and the pods that lie on it."""
    pods = []
    for pod, _ in place.pods:
        named = [each for each in pod.zones if each < count]
        share = Fraction(named.count(number), len(named)) if named else Fraction(1, count)
        pods.append((pod, share))
    share = Fraction(1, count)
    kubelet, annotated = _scaled(place.node.kubelet, share), _scaled(place.node.annotated, share)
    node = place.node._replace(capacity=capacity, kubelet=kubelet, annotated=annotated)
    return place._replace(node=node, pods=pods, share=share)


def batch_used(place: Place) -> Amount:
    """Return what batch pods use, as far as it was measured."""
    return total(
        place.metric.pods[pod.key][0]
        for pod, _ in place.pods
        if pod.active and pod.of == "koord-batch" and pod.key in place.metric.pods
    )
