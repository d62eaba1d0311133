"""A NodeMetric (``slo.koordinator.sh/v1alpha1``): what koordlet or our agent measured on a node."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.capacity.amounts import NOTHING, Amounts, Reading, added, amounts
from webhook.pods.durations import parse_duration
from webhook.pods.moments import read_moment
from webhook.pods.text import shown
from webhook.protocol import MID, PROD

_KEY: Final = "podsMetric"


class PodUsage(NamedTuple):
    """What one pod used, as a mean over the metric's window, and its class as it was then."""

    usage: Amounts
    priority_class: str


class History(NamedTuple):
    """What the node used over a window: by statistic (``avg``, ``p99``) and resource, in billionths."""

    minutes: float
    usage: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class NodeMetric:
    """What was measured.

    Attributes:
        update_time: when; None: never, or it cannot be read.
        measured: whether there is a measurement of the node at all.
        usable: whether what it says of node and system could be read.
        node_usage: of the whole node; None where cpu or memory is missing.
        system_usage: of what is no pod.
        host_prod: of applications outside of Kubernetes whose class is prod.
        host_mid: of those whose class is mid.
        pods: by namespace and name; of two metrics for one name the last one.
        prod_reclaimable: what prod pods have requested and will not use, as predicted.
        prod_peak: what prod pods and the system will need at most, as predicted, with a margin; 0: unknown.
        history: of the longest window of the node's use; None: there is none.
        findings: what could not be read, with its place.
    """

    update_time: dt.datetime | None = None
    measured: bool = False
    usable: bool = True
    node_usage: Amounts | None = None
    system_usage: Amounts = NOTHING
    host_prod: Amounts = NOTHING
    host_mid: Amounts = NOTHING
    pods: Mapping[tuple[str, str], PodUsage] = field(default_factory=dict)
    prod_reclaimable: Amounts = NOTHING
    prod_peak: Amounts = NOTHING
    history: History | None = None
    findings: tuple[str, ...] = ()


def read_nodemetric(obj: Mapping[str, Any]) -> NodeMetric:
    """Read the object; what cannot be read is left out and named in ``findings``."""
    reading = Reading([])
    status = _map(obj.get("status"), "status", reading)
    measured = status.get("nodeMetric")
    node = _map(measured, "status.nodeMetric", reading)
    usage = _resources(node, "nodeUsage", "status.nodeMetric", reading)
    system = amounts(_resources(node, "systemUsage", "status.nodeMetric", reading))
    hosts = list(_hosts(status, reading))
    usable = not reading.findings
    return NodeMetric(
        update_time=_time(status.get("updateTime"), reading),
        measured=measured is not None,
        node_usage=amounts(usage) if len(usage) == len(Amounts._fields) else None,
        usable=usable,
        system_usage=system,
        host_prod=added([usage for usage, of in hosts if of == PROD]),
        host_mid=added([usage for usage, of in hosts if of == MID]),
        pods=dict(_pods(status, reading)),
        prod_reclaimable=_predicted(status, "prodReclaimableMetric", reading),
        prod_peak=_predicted(status, "prodPeakMetric", reading),
        history=_history(node, reading),
        findings=tuple(reading.findings),
    )


def _predicted(status: Mapping[str, Any], name: str, reading: Reading) -> Amounts:
    at = f"status.{name}"
    return amounts(_resources(_map(status.get(name), at, reading), "resource", at, reading))


def _history(node: Mapping[str, Any], reading: Reading) -> History | None:
    """Return the longest window; one whose length or usage cannot be read is left out."""
    windows = []
    listed = node.get("aggregatedNodeUsages")
    if not isinstance(listed, list | None):
        reading.findings.append(f"status.nodeMetric.aggregatedNodeUsages: {shown(listed)} is no list")
        return None
    for i, each in enumerate(listed or ()):
        at = f"status.nodeMetric.aggregatedNodeUsages[{i}]"
        of = _map(each, at, reading)
        seconds = parse_duration(of.get("duration"))
        if seconds is None:
            reading.findings.append(f"{at}.duration: {shown(of.get('duration'))} is no duration such as 5m0s")
        elif of.get("usage"):
            windows.append((seconds, i, _map(of["usage"], f"{at}.usage", reading)))
    for seconds, i, of in sorted(windows, key=lambda each: each[:2], reverse=True):
        before = len(reading.findings)
        at = f"status.nodeMetric.aggregatedNodeUsages[{i}].usage"
        usage = {str(name): _resources(of, name, at, reading) for name in of}
        if len(reading.findings) == before and usage.get("avg"):
            return History(seconds / 60, usage)
    return None


def _pods(status: Mapping[str, Any], reading: Reading) -> Iterator[tuple[tuple[str, str], PodUsage]]:
    for i, each in enumerate(_list(status, _KEY, reading)):
        at = f"status.{_KEY}[{i}]"
        of = _map(each, at, reading)
        before = len(reading.findings)
        usage = amounts(_resources(of, "podUsage", at, reading))
        if len(reading.findings) > before:
            continue  # what it uses is not known: its request counts
        yield (
            (str(of.get("namespace", "")), str(of.get("name", ""))),
            PodUsage(usage, str(of.get("priority") or "")),
        )


def _hosts(status: Mapping[str, Any], reading: Reading) -> Iterator[tuple[Amounts, str]]:
    for i, each in enumerate(_list(status, "hostApplicationMetric", reading)):
        at = f"status.hostApplicationMetric[{i}]"
        of = _map(each, at, reading)
        yield amounts(_resources(of, "usage", at, reading)), str(of.get("priority") or "")


def _resources(of: Mapping[str, Any], name: str, at: str, reading: Reading) -> dict[str, int]:
    """Return a ResourceMap: ``{"resources": {"cpu": …}}``."""
    value = of.get(name)
    if value is None:
        return {}
    return reading.resources(_map(value, f"{at}.{name}", reading).get("resources"), f"{at}.{name}.resources")


def _map(raw: object, at: str, reading: Reading) -> Mapping[str, Any]:
    if isinstance(raw, Mapping):
        return raw
    if raw is not None:
        reading.findings.append(f"{at}: {shown(raw)} is no object; it is left out")
    return {}


def _list(of: Mapping[str, Any], name: str, reading: Reading) -> list[Any]:
    raw = of.get(name)
    if raw is None or isinstance(raw, list):
        return raw or []
    reading.findings.append(f"status.{name}: {shown(raw)} is no list; it is left out")
    return []


def _time(raw: object, reading: Reading) -> dt.datetime | None:
    if raw is None:
        return None
    moment = read_moment(raw)
    if moment is None:
        reading.findings.append(f"status.updateTime: {shown(raw)} is no time such as 2026-01-31T08:00:00Z")
        return None
    return moment
