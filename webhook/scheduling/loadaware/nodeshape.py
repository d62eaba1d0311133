"""What a Node itself says of its load: what it has, and thresholds of its own.

An annotation with a value that cannot be meant is not there, as one that is no JSON: what is set for all
nodes holds.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from webhook.pods.durations import parse_duration
from webhook.pods.pod import annotations, mapping
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_RAW_ALLOCATABLE, ANNOTATION_USAGE_THRESHOLDS
from webhook.scheduling.loadaware.loadsettings import Aggregated, aggregation
from webhook.scheduling.loadaware.nodeusage import amount
from webhook.scheduling.loadaware.podload import Vector

_MOST: Final = 2**63 - 1


class _MeaninglessError(ValueError):
    """A value that cannot be meant; the message names field, value and remedy."""


class NodeThresholds(NamedTuple):
    """Thresholds of a Node's annotation.

    Attributes:
        plain: in percent; None: it states none.
        prod, aggregated: likewise.
        problem: why the annotation counts as absent, and what to write; "": it does not.
    """

    plain: Mapping[str, int] | None = None
    prod: Mapping[str, int] | None = None
    aggregated: Aggregated | None = None
    problem: str = ""


class NodeShape(NamedTuple):
    """What a Node itself says.

    Attributes:
        allocatable: how much it has of each resource; the raw amount where more is advertised.
        thresholds: of its annotation.
    """

    allocatable: Vector
    thresholds: NodeThresholds = NodeThresholds()


def read_shape(node: Mapping[str, Any], resources: tuple[str, ...]) -> NodeShape:
    """Read a v1 Node; broken annotations are not there."""
    of = mapping(mapping(node.get("status")).get("allocatable"))
    noted = annotations(node)
    raw = _object(noted.get(ANNOTATION_RAW_ALLOCATABLE) or "")
    allocatable = tuple(amount(raw, each) or amount(of, each) for each in resources)
    return NodeShape(allocatable, _thresholds(noted.get(ANNOTATION_USAGE_THRESHOLDS) or ""))


@lru_cache(maxsize=8192)
def _thresholds(text: str) -> NodeThresholds:
    if not text:
        return NodeThresholds()
    try:
        stated = _loaded(text)
        return NodeThresholds(
            _percentages(stated, "", "usageThresholds"),
            _percentages(stated, "", "prodUsageThresholds"),
            _aggregated(stated),
        )
    except _MeaninglessError as error:
        return NodeThresholds(problem=f"annotation {ANNOTATION_USAGE_THRESHOLDS} counts as absent: {error}")


def _aggregated(stated: Mapping[str, Any]) -> Aggregated | None:
    """Return the aggregated thresholds of an annotation; they need a type."""
    at = "aggregatedUsage."
    of = _inner(stated, "", "aggregatedUsage")
    thresholds = _percentages(of, at, "usageThresholds")
    kind, over = of.get("usageAggregationType"), of.get("usageAggregatedDuration")
    if not isinstance(kind, (str, type(None))):
        raise _MeaninglessError(f"{at}usageAggregationType: {shown(kind)}: write a text, or leave it out")
    if over is not None and parse_duration(over) is None:
        raise _MeaninglessError(
            f"{at}usageAggregatedDuration: {shown(over)}: write a duration such as 10m, or leave it out"
        )
    usage = aggregation(kind, over)
    return Aggregated(thresholds, usage) if thresholds and usage is not None else None


def _percentages(of: Mapping[str, Any], at: str, name: str) -> Mapping[str, int] | None:
    """Return thresholds by resource, 0 for null, as Go reads it; None: none are stated."""
    stated = {resource: 0 if value is None else value for resource, value in _inner(of, at, name).items()}
    for resource, value in stated.items():
        if type(value) is not int or not 0 <= value <= _MOST:
            raise _MeaninglessError(
                f"{at}{name}[{shown(resource)}]: {shown(value)}: write a whole number of percent from 0, "
                "without quotes"
            )
    return stated or None


def _inner(of: Mapping[str, Any], at: str, name: str) -> Mapping[str, Any]:
    value = of.get(name)
    if not isinstance(value, (dict, type(None))):
        raise _MeaninglessError(f'{at}{name}: {shown(value)}: write an object such as {{"cpu": 65}}')
    return value or {}


def _loaded(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _MeaninglessError(f"{shown(text)}: write an object in JSON")
    return value


@lru_cache(maxsize=8192)
def _object(text: str) -> Mapping[str, Any]:
    try:
        return _loaded(text) if text else {}
    except ValueError:
        return {}
