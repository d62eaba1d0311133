"""What each NUMA zone of a node could offer to batch work: computed and explained, never written.

A zone is calculated as a node: its capacity, an equal part of what is known of the whole node, and
of each pod the part that lies on it. Zones belong to the NodeResourceTopology, which the node's
agent writes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from webhook.capacity.amounts import UNIT, Amounts, Reading, Step, Term, amounts, total
from webhook.capacity.demand import PodDemand
from webhook.capacity.node import Node
from webhook.capacity.nodemetric import History, NodeMetric
from webhook.capacity.policies import batch_terms
from webhook.capacity.situation import Situation, situation_of
from webhook.capacity.strategy import Strategy
from webhook.pods.quantities import NANO
from webhook.pods.text import shown
from webhook.protocol import BATCH, CPU, NATIVE_RESOURCES, TRANSLATION

_NAME: Final = re.compile(r"node-([0-9]{1,4})", re.ASCII)


class Zone(NamedTuple):
    """A NUMA zone: its name, the id of its NUMA node, and its capacity."""

    name: str
    number: int
    capacity: Amounts


@dataclass(frozen=True, slots=True)
class Zones:
    """The zones of a NodeResourceTopology that have cpu or memory, and what could not be read."""

    zones: tuple[Zone, ...] = ()
    findings: tuple[str, ...] = ()


class ZoneFigure(NamedTuple):
    """What a zone could offer of one batch resource, in milli-cores or bytes, and the sum behind it."""

    zone: str
    resource: str
    offered: int
    terms: tuple[Term, ...]


def read_zones(obj: Mapping[str, Any]) -> Zones:
    """Read a NodeResourceTopology; what cannot be read is left out and named in ``findings``."""
    reading = Reading([])
    listed = obj.get("zones") or ()
    if not isinstance(listed, list | tuple):
        return Zones((), (f"zones: {shown(listed)} is no list",))
    return Zones(tuple(_zones(listed, reading)), tuple(reading.findings))


def zone_figures(at: Situation, zones: tuple[Zone, ...]) -> Iterator[ZoneFigure]:
    """Yield batch-cpu and batch-memory of each zone, by the node's policy."""
    for zone in zones:
        part = _situation(at, zone, len(zones))
        for resource in NATIVE_RESOURCES:
            terms = batch_terms(part, resource)
            if resource == CPU and at.node.ratio > NANO:
                terms.append(Term(Step.TIMES, "normalization", at.node.ratio, "of the CPU model"))
            offered = total(terms) // UNIT[resource]
            yield ZoneFigure(zone.name, TRANSLATION[BATCH][resource], offered, tuple(terms))


def _zones(listed: Any, reading: Reading) -> Iterator[Zone]:  # noqa: ANN401 — a list or tuple
    for i, each in enumerate(listed):
        name = each.get("name") if isinstance(each, Mapping) else None
        form = _NAME.fullmatch(name) if isinstance(name, str) else None
        if form is None:
            reading.findings.append(f"zones[{i}].name: {shown(name)} is no name such as node-0")
            continue
        found: dict[str, int] = {}
        resources = each.get("resources") or ()
        for of in resources if isinstance(resources, list | tuple) else ():
            resource = of.get("name") if isinstance(of, Mapping) else None
            if resource in NATIVE_RESOURCES and of.get("capacity") is not None:
                amount = reading.quantity(of["capacity"], f"zones[{i}].resources[{resource}].capacity")
                found[resource] = amount or 0
        if found:
            yield Zone(str(name), int(form[1]), amounts(found))


def _situation(at: Situation, zone: Zone, count: int) -> Situation:
    """Return a zone as a node of its own."""
    node = Node(
        zone.name,
        zone.capacity,
        _part(at.node.kubelet_reserved, 1, count),
        _part(at.node.annotation_reserved, 1, count),
    )
    pods = []
    parts = {}
    for pod in at.pods:
        if pod.active:
            parts[pod.key] = own, of = _lies_on(pod, zone, count)
            if own:
                pods.append(pod._replace(request=_part(pod.request, own, of)))
    found = situation_of(node, _metric(at.metric, parts, count), pods, _strategy(at.strategy, count), at.now)
    return replace(found, high_band=at.high_band)


def _lies_on(pod: PodDemand, zone: Zone, count: int) -> tuple[int, int]:
    """Return which part of a pod lies on a zone: on those that it names, else on all alike."""
    named = [number for number in pod.zones if number < count]
    return (named.count(zone.number), len(named)) if named else (1, count)


def _metric(metric: NodeMetric, parts: Mapping[tuple[str, str], tuple[int, int]], count: int) -> NodeMetric:
    history = metric.history
    return replace(
        metric,
        system_usage=_part(metric.system_usage, 1, count),
        host_prod=_part(metric.host_prod, 1, count),
        host_mid=_part(metric.host_mid, 1, count),
        prod_peak=_part(metric.prod_peak, 1, count),
        history=history
        and History(
            history.minutes,
            {
                name: {resource: -(-amount // count) for resource, amount in of.items()}
                for name, of in history.usage.items()
            },
        ),
        pods={
            key: measured._replace(usage=_part(measured.usage, *part))
            for key, measured in metric.pods.items()
            for part in [parts.get(key, (1, count))]
            if part[0]
        },
    )


def _strategy(strategy: Strategy, count: int) -> Strategy:
    extension = strategy.extension
    reserved = -(-extension.watermark.reserved_memory // count)
    mark = replace(extension.watermark, reserved_memory=reserved)
    return replace(strategy, extension=replace(extension, watermark=mark))


def _part(of: Amounts, share: int, count: int) -> Amounts:
    """Return a part of amounts, rounded up to a billionth."""
    return Amounts(-(-of.cpu * share // count), -(-of.memory * share // count))
