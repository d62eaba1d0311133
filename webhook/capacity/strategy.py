"""The colocation strategy of a node: Koordinator's fields, and how one layer overrides another.

A layer is the JSON of the ConfigMap's key ``colocation-config``, of one of its ``nodeConfigs``,
or of a node's annotation. What a layer leaves out keeps the value of the layer below.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.capacity.extension import Extension, read_extension
from webhook.pods.durations import parse_duration
from webhook.pods.text import shown
from webhook.protocol import CPU, NATIVE_RESOURCES, OWN_EXTENSION

_INT64: Final = 2**63


class Field(NamedTuple):
    """A field of a strategy: its JSON type, its default, and the least and greatest value."""

    kind: type
    default: Any
    least: float | None = None
    most: float | None = None
    above: bool = False  # whether `least` itself is too small


FIELDS: Final[Mapping[str, Field]] = {
    "enable": Field(bool, default=False),
    "metricAggregateDurationSeconds": Field(int, 300, 1),
    "metricReportIntervalSeconds": Field(int, 60, 1),
    "metricMemoryCollectPolicy": Field(str, "usageWithoutPageCache"),
    "cpuReclaimThresholdPercent": Field(int, 60, 0),
    "cpuCalculatePolicy": Field(str, "usage"),
    "memoryReclaimThresholdPercent": Field(int, 65, 0),
    "memoryCalculatePolicy": Field(str, "usage"),
    "degradeTimeMinutes": Field(int, 15, 1),
    "updateTimeThresholdSeconds": Field(int, 300, 1),
    "resourceDiffThreshold": Field(float, 0.1, 0, above=True),
    "midReclaimMode": Field(str, None),
    "midCPUThresholdPercent": Field(int, 100, 0, 100),
    "midMemoryThresholdPercent": Field(int, 100, 0, 100),
    "midUnallocatedPercent": Field(int, 0, 0, 100),
    "midStaticCPUReservedPercent": Field(int, 0, 0),
    "midStaticMemoryReservedPercent": Field(int, 0, 0),
    "batchCPUThresholdPercent": Field(int, None, 0),
    "batchMemoryThresholdPercent": Field(int, None, 0),
}
DURATIONS: Final = "metricAggregatePolicy"
EXTENSIONS: Final = "extensions"
_DEFAULT_DURATIONS: Final = tuple(dt.timedelta(minutes=minutes) for minutes in (5, 10, 30))
_NAMES: Final = {name.lower(): name for name in (*FIELDS, DURATIONS, EXTENSIONS)}
_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class StrategyError(ValueError):
    """JSON that is no layer of a strategy; the message names field, value and remedy."""


class Layer(NamedTuple):
    """A layer, read.

    Attributes:
        values: by field; fields that are absent or null are left out.
        problems: values outside of their range, and settings under ``extensions`` that cannot be used.
        notes: what is ignored, and what is accepted although it is written in another way.
    """

    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceStrategy:
    """The fields about one resource, cpu or memory; percentages of the node's capacity."""

    reclaim_threshold_percent: int
    calculate_policy: str
    batch_threshold_percent: int | None
    mid_threshold_percent: int
    mid_static_reserved_percent: int


@dataclass(frozen=True, slots=True)
class Strategy:
    """What holds for one node.

    Attributes:
        values: each field by its JSON name, defaults filled in.
        enabled: whether batch work is offered anything: by the cluster's layer and by the merged one.
        extension: our own settings.
        source: the names of the layers above the defaults, lowest first.
        findings: what was ignored of the node's annotation and labels.
    """

    values: Mapping[str, Any]
    enabled: bool = False
    extension: Extension = field(default_factory=Extension)
    source: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    _of: Mapping[str, ResourceStrategy] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort the fields by resource."""
        object.__setattr__(self, "_of", {each: self._about(each) for each in NATIVE_RESOURCES})

    def of(self, resource: str) -> ResourceStrategy:
        """Return the fields about ``cpu`` or ``memory``."""
        return self._of[resource]

    def _about(self, resource: str) -> ResourceStrategy:
        capital = "CPU" if resource == CPU else "Memory"
        return ResourceStrategy(
            self.values[f"{resource}ReclaimThresholdPercent"],
            self.values[f"{resource}CalculatePolicy"],
            self.values[f"batch{capital}ThresholdPercent"],
            self.values[f"mid{capital}ThresholdPercent"],
            self.values[f"midStatic{capital}ReservedPercent"],
        )

    @property
    def degrade_after(self) -> dt.timedelta:
        """Return the age of a metric beyond which nothing more is offered; at most a million days."""
        return dt.timedelta(minutes=min(self.values["degradeTimeMinutes"], 1_440_000_000))


def read_layer(value: object, at: str) -> Layer:
    """Read a layer.

    Args:
        value: the JSON object.
        at: where it stands, for messages.

    Raises:
        StrategyError: a field has the wrong JSON type.
    """
    if not isinstance(value, Mapping):
        raise StrategyError(f"{at}: {shown(value)} is no JSON object")
    values: dict[str, Any] = {}
    problems: list[str] = []
    notes: list[str] = []
    for written, raw in value.items():
        name = _NAMES.get(written.lower())
        if name is None:
            continue
        if name != written:
            notes.append(f"{at}.{written}: is taken for {name}; write it so")
        if raw is None:
            continue
        values[name] = _typed(name, raw, f"{at}.{name}")
        problems.extend(_out_of_range(name, values[name], f"{at}.{name}"))
    return Layer(values, tuple(problems), tuple(notes))


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of layers, the last one first asked; ``extensions`` are put together key by key."""
    values = {name: each.default for name, each in FIELDS.items()}
    values |= {DURATIONS: _DEFAULT_DURATIONS, EXTENSIONS: {}}
    for layer in layers:
        extensions = {**values[EXTENSIONS], **layer.get(EXTENSIONS, {})}
        values |= {name: value for name, value in layer.items() if value != ()}
        values[EXTENSIONS] = extensions
    return values


def _typed(name: str, raw: object, at: str) -> Any:  # noqa: ANN401 — FIELDS says which type
    if name == EXTENSIONS:
        if not isinstance(raw, Mapping):
            raise StrategyError(f"{at}: {shown(raw)} is no JSON object")
        return raw
    if name == DURATIONS:
        return _durations(raw, at)
    kind = FIELDS[name].kind
    fits = isinstance(raw, kind) or (kind is float and isinstance(raw, int))
    if not fits or (kind is not bool and isinstance(raw, bool)):
        raise StrategyError(f"{at}: {shown(raw)} is not {_KINDS[kind]}, without quotes or a point")
    if kind is int and isinstance(raw, int) and not -_INT64 <= raw < _INT64:
        raise StrategyError(f"{at}: {shown(raw)} does not fit into 64 bits")
    return raw


def _durations(raw: object, at: str) -> tuple[dt.timedelta, ...]:
    listed = raw.get("durations") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(listed, list | None):
        raise StrategyError(f'{at}: {shown(raw)} is not of the form {{"durations": ["5m"]}}')
    found = []
    for i, each in enumerate(listed or ()):
        seconds = parse_duration(each)
        if seconds is None:
            raise StrategyError(f"{at}.durations[{i}]: {shown(each)} is no duration such as 5m or 1h30m")
        found.append(dt.timedelta(seconds=seconds))
    return tuple(found)


def _out_of_range(name: str, value: Any, at: str) -> Iterator[str]:  # noqa: ANN401 — FIELDS says which type
    if name == EXTENSIONS:
        yield from read_extension(value.get(OWN_EXTENSION), f"{at}.{OWN_EXTENSION}").problems
        return
    rule = FIELDS.get(name)
    if rule is None or rule.kind is bool:
        return
    if rule.kind is str:
        if name == "metricMemoryCollectPolicy" and not value:
            yield f"{at}: is empty: write usageWithoutPageCache, or leave it out"
        return
    too_small = rule.least is not None and (value <= rule.least if rule.above else value < rule.least)
    if too_small or (rule.most is not None and value > rule.most):
        least = f"{'above' if rule.above else 'from'} {rule.least:g}"
        most = "" if rule.most is None else f" to {rule.most:g}"
        yield f"{at}: {value} is out of range: write a number {least}{most}"
