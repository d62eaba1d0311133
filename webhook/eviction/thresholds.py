"""When a node asks for eviction: the field ``resourceUsedThresholdWithBE`` of its NodeSLO, read.

Source: ``apis/slo/v1alpha1`` of Koordinator and the checks of its agent's evictors. A form whose settings are
not complete, or contradict each other, is off, and a finding says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from webhook.pods.text import shown

HIGHEST_PRIORITY: Final = 7999
"""No pod above it is ever evicted: the highest of the class mid."""

WINDOW_SECONDS: Final = 60
"""Over which CPU is averaged where ``cpuEvictTimeWindowSeconds`` does not say: a spike is no reason."""

_MEMORY_PERCENT: Final = 70
_USAGE_PERCENT: Final = 90
_STEP_PERCENT: Final = 2
_MOST_LOWER: Final = 60
_WHOLE: Final = 100


class Form(StrEnum):
    """Why a node may ask; the names of Koordinator's features, in the order in which they are served."""

    BE_CPU = "BECPUEvict"  # BE pods get too little of the CPU that they request
    BE_MEMORY = "BEMemoryEvict"  # the node's memory is used up; BE pods
    CPU_ALLOCATABLE = "CPUAllocatableEvict"  # pods request more than the node offers them now
    MEMORY_ALLOCATABLE = "MemoryAllocatableEvict"
    CPU = "CPUEvict"  # the node's CPU is used up; pods up to a priority
    MEMORY = "MemoryEvict"


class Satisfaction(NamedTuple):
    """By how much of the CPU that BE pods request they can get.

    Attributes:
        lower: percent of the requests, at most which is too little.
        upper: percent to which satisfaction is brought.
        usage: percent of what they can get, at least which they use.
        by_allocatable: what they can get is the node's batch-cpu, not what cgroups allow.
    """

    lower: int
    upper: int
    usage: int
    by_allocatable: bool


class Limits(NamedTuple):
    """From which percentage on a form asks, down to which, and for pods up to which priority; None: BE."""

    threshold: int
    lower: int
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a strategy says of eviction.

    Attributes:
        satisfaction: of BECPUEvict; None: it is off.
        limits: of the other forms that are on.
        window: seconds over which CPU is averaged.
        findings: what is wrong or not complete, with its field.
    """

    satisfaction: Satisfaction | None = None
    limits: Mapping[Form, Limits] = field(default_factory=dict)
    window: int = WINDOW_SECONDS
    findings: tuple[str, ...] = ()

    @property
    def off(self) -> bool:
        """Whether no form is on."""
        return self.satisfaction is None and not self.limits


OFF: Final = Thresholds()


def read_thresholds(strategy: object, at: str = "resourceUsedThresholdWithBE") -> Thresholds:
    """Read a strategy; of one that is not there, or not enabled, everything is off.

    Args:
        strategy: as JSON; nothing of it has to be right.
        at: where it stands, for findings.
    """
    if strategy is None:
        return OFF
    if not isinstance(strategy, Mapping):
        return Thresholds(findings=(f"{at}: {shown(strategy)} is no object: nothing is evicted",))
    reading = _Reading(strategy, at, [])
    if strategy.get("enable") is not True:
        if strategy.get("enable") not in (None, False):
            reading.findings.append(f"{at}.enable: {shown(strategy['enable'])} is not true or false")
        return Thresholds(findings=tuple(reading.findings))
    satisfaction = reading.satisfaction()
    limits = {form: found for form in Form if (found := reading.limits(form)) is not None}
    window = reading.number("cpuEvictTimeWindowSeconds", 1, 86_400) or WINDOW_SECONDS
    return Thresholds(satisfaction, limits, window, tuple(dict.fromkeys(reading.findings)))


class _Reading(NamedTuple):
    strategy: Mapping[str, Any]
    at: str
    findings: list[str]

    def number(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number; None where there is none, or another value, which is a finding."""
        raw = self.strategy.get(name)
        if raw is None:
            return None
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            self.findings.append(f"{self.at}.{name}: {shown(raw)} is no whole number from {least} to {most}")
            return None
        return raw

    def says(self, *names: str) -> bool:
        """Whether one of these fields is given, right or wrong."""
        return any(self.strategy.get(name) is not None for name in names)

    def satisfaction(self) -> Satisfaction | None:
        names = ("cpuEvictBESatisfactionLowerPercent", "cpuEvictBESatisfactionUpperPercent")
        if not self.says(*names):
            return None
        lower, upper = self.number(names[0], 1, _MOST_LOWER), self.number(names[1], 1, _WHOLE - 1)
        usage = self.number("cpuEvictBEUsageThresholdPercent", 0, _WHOLE)
        policy = self.strategy.get("cpuEvictPolicy") or "evictByRealLimit"
        if policy not in ("evictByRealLimit", "evictByAllocatable"):
            self.findings.append(
                f"{self.at}.cpuEvictPolicy: {shown(policy)} is unknown: {Form.BE_CPU} is off"
            )
            return None
        if usage is None and self.says("cpuEvictBEUsageThresholdPercent"):
            return None
        if lower is None or upper is None or upper < lower:
            self.findings.append(
                f"{self.at}: {names[0]} and {names[1]} have to be given, the first not above "
                f"the second: {Form.BE_CPU} is off"
            )
            return None
        by_allocatable = policy == "evictByAllocatable"
        return Satisfaction(lower, upper, _USAGE_PERCENT if usage is None else usage, by_allocatable)

    def limits(self, form: Form) -> Limits | None:
        match form:
            case Form.BE_MEMORY:
                return self._used("memoryEvict", _MEMORY_PERCENT, None, form)
            case Form.MEMORY | Form.CPU if self.says("evictEnabledPriorityThreshold"):
                priority = self.number("evictEnabledPriorityThreshold", -(2**31), 2**31 - 1)
                if priority is None:
                    return None
                name, default = (
                    ("memoryEvict", _MEMORY_PERCENT) if form is Form.MEMORY else ("cpuEvict", None)
                )
                return self._used(name, default, min(priority, HIGHEST_PRIORITY), form)
            case Form.CPU if self.says("cpuEvictThresholdPercent"):
                self._lacks("cpuEvictThresholdPercent", "evictEnabledPriorityThreshold")
            case Form.CPU_ALLOCATABLE | Form.MEMORY_ALLOCATABLE:
                name = "cpu" if form is Form.CPU_ALLOCATABLE else "memory"
                return self._allocatable(f"{name}AllocatableEvict")
            case _:
                pass
        return None

    def _used(self, name: str, default: int | None, priority: int | None, form: Form) -> Limits | None:
        """Return the limits of a form that looks at use: a lower bound need not be given."""
        upper, lower = f"{name}ThresholdPercent", f"{name}LowerPercent"
        threshold = self.number(upper, 0, _WHOLE) if self.says(upper) else default
        if threshold is None:
            return None
        bound = self.number(lower, 0, _WHOLE) if self.says(lower) else threshold - _STEP_PERCENT
        if bound is None:
            return None
        if not 0 <= bound < threshold:
            self.findings.append(
                f"{self.at}.{lower}: {bound} is not from 0 to below {upper}, which is "
                f"{threshold}: {form} is off"
            )
            return None
        return Limits(threshold, bound, priority)

    def _allocatable(self, name: str) -> Limits | None:
        """Return the limits of a form that looks at requests: all three have to be given."""
        upper, lower = f"{name}ThresholdPercent", f"{name}LowerPercent"
        priority_name = "allocatableEvictPriorityThreshold"
        if not self.says(upper):
            return None
        threshold, bound = self.number(upper, 1, 2**31 - 1), self.number(lower, 0, 2**31 - 1)
        priority = self.number(priority_name, -(2**31), HIGHEST_PRIORITY)
        if missing := [each for each in (lower, priority_name) if not self.says(each)]:
            self._lacks(upper, *missing)
        if threshold is None or bound is None or priority is None:
            return None
        if bound >= threshold:
            self.findings.append(
                f"{self.at}.{lower}: {bound} is not below {upper}, which is {threshold}: "
                "nothing is asked for by it"
            )
            return None
        return Limits(threshold, bound, priority)

    def _lacks(self, name: str, *missing: str) -> None:
        self.findings.append(f"{self.at}.{name}: does nothing without {' and '.join(missing)}")
