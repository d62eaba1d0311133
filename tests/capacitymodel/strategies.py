"""Which strategy holds for a node: Koordinator's ConfigMap, by the specification's precedence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

OURS = "colocation-webhook.io"
_ANNOTATION = "node.koordinator.sh/colocation-strategy"
_RATIOS = {
    "cpu-reclaim-ratio": "cpuReclaimThresholdPercent",
    "memory-reclaim-ratio": "memoryReclaimThresholdPercent",
    "mid-static-cpu-reserved-ratio": "midStaticCPUReservedPercent",
    "mid-static-memory-reserved-ratio": "midStaticMemoryReservedPercent",
}
DEFAULTS: Mapping[str, Any] = {
    "enable": False,
    "metricReportIntervalSeconds": 60,
    "cpuReclaimThresholdPercent": 60,
    "cpuCalculatePolicy": "usage",
    "memoryReclaimThresholdPercent": 65,
    "memoryCalculatePolicy": "usage",
    "degradeTimeMinutes": 15,
    "midReclaimMode": None,
    "midCPUThresholdPercent": 100,
    "midMemoryThresholdPercent": 100,
    "midUnallocatedPercent": 0,
    "midStaticCPUReservedPercent": 0,
    "midStaticMemoryReservedPercent": 0,
    "batchCPUThresholdPercent": None,
    "batchMemoryThresholdPercent": None,
    "extensions": {},
}
_FROM_ONE = ("metricReportIntervalSeconds", "degradeTimeMinutes")
_TO_HUNDRED = ("midCPUThresholdPercent", "midMemoryThresholdPercent", "midUnallocatedPercent")


def strategy(
    data: Mapping[str, str] | None, labels: Mapping[str, str], notes: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields that hold for a node with these labels and annotations.

    Raises:
        ValueError: the ConfigMap cannot be used.
    """
    cluster = json.loads((data or {}).get("colocation-config") or "{}")
    if not _valid(cluster):
        raise ValueError("colocation-config is out of range")
    layers = [cluster]
    entry = next(
        (each for each in cluster.get("nodeConfigs") or () if _selects(each.get("nodeSelector"), labels)), {}
    )
    if _valid(entry):
        layers.append(entry)
    try:
        annotated = json.loads(notes.get(_ANNOTATION) or "null") or {}
    except ValueError:
        annotated = {}
    if _valid(annotated):
        layers.append(annotated)
    layers.append(dict(_ratios(labels)))
    found = dict(DEFAULTS)
    for layer in layers:
        extensions = {**found["extensions"], **(layer.get("extensions") or {})}
        found |= {name: value for name, value in layer.items() if name in DEFAULTS and value is not None}
        found["extensions"] = extensions
    found["enabled"] = bool(cluster.get("enable")) and found["enable"]
    found["ours"] = found["extensions"].get(OURS) or {}
    return found


def _valid(layer: object) -> bool:
    """Whether all fields have their type and are in their range."""
    if not isinstance(layer, dict):
        return False
    for name, value in layer.items():
        default = DEFAULTS.get(name)
        if name not in DEFAULTS or value is None or name == "extensions":
            continue
        if isinstance(default, bool) or name == "midReclaimMode" or isinstance(default, str):
            if not isinstance(value, bool if isinstance(default, bool) else str):
                return False
        elif (
            isinstance(value, bool)
            or not isinstance(value, int)
            or value < int(name in _FROM_ONE)
            or (name in _TO_HUNDRED and value > 100)
        ):
            return False
    return True


def _ratios(labels: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for label, field in _RATIOS.items():
        try:
            ratio = float(labels.get(f"node.koordinator.sh/{label}") or "none")
        except ValueError:
            continue
        if 0 <= ratio * 100 < 2**63:
            yield field, int(ratio * 100)


def _selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; none matches nothing, an empty one everything."""
    if selector is None:
        return False
    for each in selector.get("matchExpressions") or ():
        value, values = labels.get(each["key"]), each.get("values") or ()
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[each["operator"]]:
            return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
