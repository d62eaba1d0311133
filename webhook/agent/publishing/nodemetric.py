"""The status of a NodeMetric, as koordlet writes it; pure.

Source: Koordinator's ``apis/slo/v1alpha1`` and its agent's NodeMetric reporter. Durations of which less than
half was seen are left out, and so are pods that were not measured, NUMA nodes, host applications and devices.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from webhook.agent.measuring.peak import Prediction
from webhook.agent.measuring.usage import Use, Window
from webhook.agent.pods import NodePod
from webhook.kube.timestamps import timestamp
from webhook.pods.durations import format_duration, parse_duration
from webhook.pods.text import shown
from webhook.protocol import CPU, MEMORY

PERCENTS: Final = (50, 90, 95, 99)
_LEAST_MEAN: Final = 60
_LEAST_INTERVAL: Final = 30
_MOST_SECONDS: Final = 86_400.0
_DURATIONS: Final = (300.0, 600.0, 1800.0)
_WITH_CACHE: Final = "usageWithPageCache"


class CollectPolicy(NamedTuple):
    """How the spec of a NodeMetric wants a node to be measured.

    Attributes:
        mean_seconds: over which usages are means.
        report_seconds: between two reports.
        durations: of the percentiles, in seconds.
        with_cache: whether memory of files counts.
        findings: what could not be read, with its place.
    """

    mean_seconds: float = 300.0
    report_seconds: float = 60.0
    durations: tuple[float, ...] = _DURATIONS
    with_cache: bool = False
    findings: tuple[str, ...] = ()


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        node: means.
        system: of what is no pod's.
        windows: percentiles.
        pods: each with its means.
        prediction: None while nothing is foreseen.
    """

    node: Use
    system: Use
    windows: Sequence[Window]
    pods: Iterable[tuple[NodePod, Use]]
    prediction: Prediction | None


def read_collect_policy(spec: object) -> CollectPolicy:
    """Read a NodeMetric's spec; what is absent, or cannot be read, is as koordlet's defaults have it."""
    findings: list[str] = []
    policy = spec.get("metricCollectPolicy") if isinstance(spec, Mapping) else None
    if not isinstance(policy, Mapping):
        return CollectPolicy()
    aggregate = policy.get("nodeAggregatePolicy")
    listed = aggregate.get("durations") if isinstance(aggregate, Mapping) else None
    return CollectPolicy(
        _seconds(policy, "aggregateDurationSeconds", 300, _LEAST_MEAN, findings),
        _seconds(policy, "reportIntervalSeconds", 60, _LEAST_INTERVAL, findings),
        _DURATIONS if listed is None else tuple(_durations(listed, findings)),
        policy.get("nodeMemoryCollectPolicy") == _WITH_CACHE,
        tuple(findings),
    )


def status(measured: Measured, now: dt.datetime) -> dict[str, Any]:
    """Return the status of what was measured at ``now``."""
    pods = sorted(measured.pods, key=lambda each: (each[0].namespace, each[0].name))
    found: dict[str, Any] = {
        "updateTime": timestamp(now),
        "nodeMetric": {
            "nodeUsage": _resources(measured.node),
            "aggregatedNodeUsages": [_aggregated(each, each.node) for each in measured.windows],
            "systemUsage": _resources(measured.system),
            "aggregatedSystemUsages": [_aggregated(each, each.system) for each in measured.windows],
        },
        "podsMetric": [
            {
                "namespace": pod.namespace,
                "name": pod.name,
                "podUsage": _resources(use),
                "priority": pod.priority_class,
                "qos": pod.qos,
            }
            for pod, use in pods
        ],
    }
    if measured.prediction is not None:
        found["prodReclaimableMetric"] = {"resource": _resources(measured.prediction.reclaimable)}
        found["prodPeakMetric"] = {"resource": _resources(measured.prediction.peak)}
    return found


def _resources(use: Use) -> dict[str, Any]:
    """Return a ResourceMap, in milli-cores and bytes."""
    return {"resources": {CPU: f"{round(use.cpu * 1000)}m", MEMORY: str(round(use.memory))}}


def _aggregated(window: Window, uses: Mapping[str, Use]) -> dict[str, Any]:
    return {
        "duration": format_duration(window.seconds),
        "usage": {name: _resources(use) for name, use in uses.items()},
    }


def _seconds(policy: Mapping[str, Any], name: str, default: int, least: int, findings: list[str]) -> float:
    value = policy.get(name)
    if value is None:
        return float(default)
    if isinstance(value, bool) or not isinstance(value, int):
        findings.append(
            f"spec.metricCollectPolicy.{name}: {shown(value)} is no number of seconds; it is {default}"
        )
        return float(default)
    return min(max(float(value), float(least)), _MOST_SECONDS)


def _durations(listed: object, findings: list[str]) -> Iterable[float]:
    at = "spec.metricCollectPolicy.nodeAggregatePolicy.durations"
    if not isinstance(listed, list):
        findings.append(f"{at}: {shown(listed)} is no list; there are no percentiles")
        return
    for i, each in enumerate(listed):
        seconds = parse_duration(each)
        if not seconds or seconds > _MOST_SECONDS:
            findings.append(f"{at}[{i}]: {shown(each)} is no duration from 1s to 24h; it is left out")
        else:
            yield seconds
