"""Koordinator's LoadAwareSchedulingArgs, with its defaults: which load is too much, which node better.

Factors are filled in one by one; thresholds and weights only as a whole, and weights not where a
``dominantResourceWeight`` is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.pods.durations import parse_duration
from webhook.pods.text import shown
from webhook.protocol import CPU, MEMORY

PERCENT: Final = 100
AGGREGATIONS: Final = ("avg", "p50", "p90", "p95", "p99")
IGNORED: Final = ("apiVersion", "kind", "supportedResources")
"""Arguments that say nothing of load."""

_FACTORS: Final = {CPU: 85, MEMORY: 70}
_THRESHOLDS: Final = {CPU: 65, MEMORY: 95}
_WEIGHTS: Final = {CPU: 1, MEMORY: 1}
_MOST: Final = 2**31 - 1


class LoadSettingsError(ValueError):
    """Arguments that cannot be meant; the message names field, value and remedy."""


class Aggregation(NamedTuple):
    """Which recorded usage counts.

    Attributes:
        type: such as ``p95``.
        duration: over how many seconds it was recorded; 0: the longest of this type.
    """

    type: str
    duration: float = 0.0


class Aggregated(NamedTuple):
    """Thresholds for a recorded usage, by resource, in percent."""

    thresholds: Mapping[str, int]
    usage: Aggregation


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What holds for every node that says nothing else.

    Attributes:
        filter_expired: a node whose metric is too old takes no pod.
        expiration: seconds after which a metric is too old.
        schedule_when_expired: instead it takes any pod.
        weights: of each resource in the score.
        dominant_weight: of the resource that is scarcest on the node.
        thresholds: percent of what a node has, by resource; 0: not looked at.
        prod_thresholds: the same for prod pods, of what prod pods use.
        aggregated: thresholds for a recorded usage, which replace the plain ones.
        score_by_prod: a prod pod is scored by what prod pods use.
        score_aggregation: by which usage nodes are scored; None: the mean.
        factors: percent of its request that a pod is expected to use, by resource.
        after_scheduled: seconds from scheduling in which a pod's estimate counts, not its usage.
        after_initialized: the same from the end of its init containers.
        customized: pods may say in annotations what is expected of them.
        with_system: what is no pod counts as used by prod pods.
        resources: that are looked at, by name.
    """

    filter_expired: bool = True
    expiration: int = 180
    schedule_when_expired: bool = False
    weights: Mapping[str, int] = field(default_factory=lambda: _WEIGHTS)
    dominant_weight: int = 0
    thresholds: Mapping[str, int] = field(default_factory=lambda: _THRESHOLDS)
    prod_thresholds: Mapping[str, int] = field(default_factory=dict)
    aggregated: Aggregated | None = None
    score_by_prod: bool = False
    score_aggregation: Aggregation | None = None
    factors: Mapping[str, int] = field(default_factory=lambda: _FACTORS)
    after_scheduled: int = 0
    after_initialized: int = 0
    customized: bool = False
    with_system: bool = False

    resources: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the resources, which every node is judged by."""
        object.__setattr__(self, "resources", tuple(sorted({*self.factors, *self.weights})))


def read_load_settings(args: object) -> LoadSettings:
    """Read arguments as a user writes them, in Koordinator's names.

    Raises:
        LoadSettingsError: a field is unknown, or has a value that cannot be meant.
    """
    if not isinstance(args, Mapping):
        raise LoadSettingsError(f"loadAware: must be an object, not {shown(args)}")
    of = _Reader(args)
    dominant = of.number("dominantResourceWeight", 0, most=_MOST)
    aggregated, score = _aggregated(of)
    settings = LoadSettings(
        filter_expired=of.flag("filterExpiredNodeMetrics", default=True),
        expiration=of.number("nodeMetricExpirationSeconds", 180, most=_MOST, least=1),
        schedule_when_expired=of.flag("enableScheduleWhenNodeMetricsExpired"),
        weights=of.numbers("resourceWeights", most=PERCENT, least=1) or ({} if dominant else _WEIGHTS),
        dominant_weight=dominant,
        thresholds=of.numbers("usageThresholds", most=PERCENT) or _THRESHOLDS,
        prod_thresholds=of.numbers("prodUsageThresholds", most=PERCENT),
        aggregated=aggregated,
        score_by_prod=of.flag("scoreAccordingProdUsage"),
        score_aggregation=score,
        factors={**_FACTORS, **of.numbers("estimatedScalingFactors", most=PERCENT, least=1)},
        after_scheduled=of.number("estimatedSecondsAfterPodScheduled", 0, most=_MOST),
        after_initialized=of.number("estimatedSecondsAfterInitialized", 0, most=_MOST),
        customized=of.flag("allowCustomizeEstimation"),
        with_system=of.flag("prodUsageIncludeSys"),
    )
    of.end()
    return settings


def aggregation(kind: object, duration: object) -> Aggregation | None:
    """Return the recorded usage of a type over a duration such as ``10m0s``; None where no type is stated.

    Raises:
        ValueError: the duration cannot be read.
    """
    if not kind:
        return None
    over = parse_duration(duration or "0s")
    if over is None:
        raise ValueError(f"{shown(duration)} is no duration: write for example 10m or 1h30m")
    return Aggregation(str(kind), over)


def _aggregated(of: "_Reader") -> tuple[Aggregated | None, Aggregation | None]:
    """Return what of ``aggregated`` filters, and what scores."""
    inner = of.inner("aggregated")
    thresholds = inner.numbers("usageThresholds", most=PERCENT)
    usage = inner.aggregation("usageAggregationType", "usageAggregatedDuration")
    score = inner.aggregation("scoreAggregationType", "scoreAggregatedDuration")
    inner.end()
    return (Aggregated(thresholds, usage) if thresholds and usage is not None else None), score


class _Reader:
    """Reads fields of an object once each, and knows those that nobody asked for."""

    def __init__(self, of: Mapping[str, Any], at: str = "") -> None:
        self._of = of
        self._at = at
        self._left = {name for name in of if at or name not in IGNORED}

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, value, "write true or false")
        return value

    def number(self, name: str, default: int, *, most: int, least: int = 0) -> int:
        value = self._take(name)
        return default if value is None else self._number(name, value, least, most)

    def numbers(self, name: str, *, most: int, least: int = 0) -> Mapping[str, int]:
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self._wrong(name, value, "write numbers by resource, such as {cpu: 65}")
        return {
            str(each): self._number(f"{name}[{each}]", amount, least, most) for each, amount in value.items()
        }

    def aggregation(self, kind: str, duration: str) -> Aggregation | None:
        stated, over = self._take(kind), self._take(duration)
        if stated is not None and stated not in ("", *AGGREGATIONS):
            raise self._wrong(kind, stated, f"use one of {', '.join(AGGREGATIONS)}")
        if over is not None and not isinstance(over, str):
            raise self._wrong(duration, over, "write a duration, for example 10m or 1h30m")
        try:
            return aggregation(stated, over)
        except ValueError as error:
            raise LoadSettingsError(f"loadAware.{self._at}{duration}: {error}") from None

    def inner(self, name: str) -> "_Reader":
        value = self._take(name)
        if value is not None and not isinstance(value, Mapping):
            raise self._wrong(name, value, "write an object")
        return _Reader(value or {}, f"{self._at}{name}.")

    def end(self) -> None:
        if self._left:
            name = min(self._left, key=str)
            raise self._wrong(name, self._of[name], "the field is unknown: remove it, or correct its name")

    def _take(self, name: str) -> Any:  # noqa: ANN401 — whatever stands there
        self._left.discard(name)
        return self._of.get(name)

    def _number(self, name: str, value: object, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, value, f"write a whole number from {least} to {most}")
        return value

    def _wrong(self, name: str, value: object, remedy: str) -> LoadSettingsError:
        return LoadSettingsError(f"loadAware.{self._at}{name}: {shown(value)}: {remedy}")
