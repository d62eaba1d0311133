"""The figures of all nodes, from the API server's objects: `recompute`.

Written from the specification of Koordinator's node side, with its corrections, and from what
docs/capacity.md says of our own settings. It judges `capacity explain`, the controller, and whatever else
says what a node offers.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from tests.capacitymodel.facts import (
    BATCH,
    BOTH,
    COLOCATED,
    CPU,
    MID,
    Amount,
    Object,
    Pod,
    read_metric,
    read_node,
    read_pod,
    read_zones,
)
from tests.capacitymodel.strategies import strategy
from tests.capacitymodel.sums import Place, batch, batch_used, high, mid, zone

_UNMEASURED = ("static", "timeOfDay")


def recompute(  # noqa: PLR0913, PLR0917 — all that an API server says
    nodes: Iterable[Object],
    pods: Iterable[Object],
    metrics: Iterable[Object],
    configmap: Object | None,
    now: dt.datetime,
    before: Mapping[str, Object] | None = None,
    topologies: Iterable[Object] = (),
) -> dict[str, dict[str, Any]]:
    """Return what each node offers at a time, by the node's name.

    Args:
        nodes: v1 Nodes, as the API server returns them.
        pods: v1 Pods; those without ``spec.nodeName``, or on other nodes, count nowhere.
        metrics: NodeMetrics; that of a node has its name.
        configmap: ``slo-controller-config``; None where there is none.
        now: the time, with its zone: for ``capacity explain`` ``updateTime`` plus ``metricAgeSeconds``.
        before: by node, what was published last and binds the next figures:
            ``{"offered": {resource: int}, "greaterSince": {resource: datetime}, "highBand": bool}``. A node
            that is absent was never published, which is what ``capacity explain`` assumes.
        topologies: NodeResourceTopologies; that of a node has its name.

    Returns:
        For each node ``{"state": …, "policy": …, "resources": {name: {…}}}``; the state is applied, held,
        withdrawn or off. By resource ``offered`` (milli-cores or bytes, whole; None: not on the node),
        ``calculated`` (what the policy alone gives; None without fresh metrics), ``requested`` (by bound
        pods), ``used`` (by batch pods) and ``pods`` (what is kept for each online pod, by namespace/name),
        the last two exact. Under ``zones`` what each NUMA zone could offer of batch resources, by the
        zone's name and resource; empty unless the state is applied.

    Raises:
        ValueError: the ConfigMap cannot be used.
    """
    measured = {each["metadata"]["name"]: each for each in metrics}
    bound: dict[str, list[Pod]] = {}
    for each in pods:
        if name := (each.get("spec") or {}).get("nodeName"):
            bound.setdefault(name, []).append(read_pod(each))
    zones = {each["metadata"]["name"]: read_zones(each) for each in topologies}
    data = None if configmap is None else configmap.get("data")
    found = {}
    for each in nodes:
        node = read_node(each)
        plan = strategy(data, node.labels, node.annotations)
        last = (before or {}).get(node.name)
        listed = [(pod, Fraction(1)) for pod in bound.get(node.name, ())]
        metric = read_metric(measured.get(node.name))
        place = Place(node, metric, listed, plan, now, bool((last or {}).get("highBand")))
        plan["high"] = high(place)
        found[node.name] = _figures(place, last)
        applied = found[node.name]["state"] == "applied"
        found[node.name]["zones"] = _zones(place, zones.get(node.name, {})) if applied else {}
    return found


def _zones(place: Place, zones: Mapping[str, tuple[int, Amount]]) -> dict[str, dict[str, int]]:
    found = {}
    for name, (number, capacity) in zones.items():
        part = zone(place, number, capacity, len(zones))
        value = {each: batch(part, each)[0] for each in BOTH}
        value[CPU] *= place.node.ratio
        found[name] = {COLOCATED[BATCH][each]: math.floor(value[each]) for each in BOTH}
    return found


def _figures(place: Place, last: Object | None) -> dict[str, Any]:
    policy = place.plan["ours"].get("policy", "koordinator")
    fresh = _freshness(place)
    unmeasured = policy in _UNMEASURED and all(place.node.capacity[each] for each in BOTH)
    state = "off" if not place.plan["enabled"] else "applied" if unmeasured else fresh
    resources = {}
    for of in (BATCH, MID):
        for resource in BOTH:
            name = COLOCATED[of][resource]
            floor = sum(pod.colocated.get(name, 0) for pod, _ in place.pods if pod.active)
            now_is = state if of == BATCH or state == "off" else fresh
            figure: dict[str, Any] = {"calculated": None, "pods": {}}
            if now_is == "applied":
                value, parts = batch(place, resource) if of == BATCH else (mid(place, resource), {})
                figure |= {"calculated": math.floor(value), "pods": parts}
                figure["offered"] = _published(place, name, resource, value, floor, last)
            else:
                figure["offered"] = floor if floor or now_is == "held" else None
            use = batch_used(place)[resource] if of == BATCH else Fraction(0)
            resources[name] = figure | {"requested": floor, "used": use}
    return {"state": state, "policy": policy, "resources": resources}


def _published(
    place: Place, name: str, resource: str, value: Fraction, floor: int, last: Object | None
) -> int:
    """Return what a figure becomes: others take their part, it grows slowly, and bound pods keep theirs."""
    node = place.node
    offered = (last or {}).get("offered") or {}
    if name in COLOCATED[BATCH].values():
        value *= node.ratio if resource == CPU else 1
        value = max(Fraction(0), value - node.others[resource]) if node.others[resource] else value
        if not node.others_known:
            value = min(value, Fraction(offered.get(name, floor)))
    wanted = math.floor(value)
    if name in offered and wanted > offered[name]:
        ours = place.plan["ours"]
        since = ((last or {}).get("greaterSince") or {}).get(name, place.now)
        if (place.now - min(since, place.now)).total_seconds() < ours.get("holdSeconds", 120):
            wanted = offered[name]
        else:
            step = math.floor(place.percent(resource, ours.get("stepPercent", 10)))
            wanted = min(wanted, offered[name] + max(1, step))
    return max(wanted, floor)


def _freshness(place: Place) -> str:
    """Return what the metric of a node is good for."""
    metric, plan = place.metric, place.plan
    sized = all(place.node.capacity[each] for each in BOTH)
    if metric.time is None or not metric.measured:
        return "withdrawn"
    age = (place.now - metric.time).total_seconds()
    late = plan["ours"].get("staleSeconds") or 3 * plan["metricReportIntervalSeconds"]
    if age > plan["degradeTimeMinutes"] * 60:
        return "withdrawn"
    return "held" if abs(age) > late or metric.broken or not sized else "applied"
