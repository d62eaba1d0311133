"""What ``resourceUsedThresholdWithBE`` of a NodeSLO says of eviction.

A form whose settings are not complete, or contradict each other, is off, and a finding says why. Source: the
checks of Koordinator's evictors.
"""

from typing import Final

from webhook.eviction.thresholds import (
    HIGHEST_PRIORITY,
    OFF,
    WINDOW_SECONDS,
    Form,
    Limits,
    Satisfaction,
    Thresholds,
)
from webhook.slo.keys import BY_ALLOCATABLE, KEYS, THRESHOLD_CONFIG
from webhook.slo.nodeslo import UsedThreshold

_AT: Final = KEYS[THRESHOLD_CONFIG].spec
_USAGE_PERCENT: Final = 90
_STEP_PERCENT: Final = 2
_MOST_LOWER: Final = 60
_WHOLE: Final = 100

_Percents = tuple[int | None, int | None]
"""A threshold, and the lower bound."""


def eviction_of(used: UsedThreshold, at: str = _AT) -> Thresholds:
    """Return when a node asks for eviction; everything is off where the strategy is not enabled.

    Args:
        used: the strategy.
        at: where it stands, for findings.
    """
    if not used.enable:
        return OFF
    findings: list[str] = []
    by_use, by_requests = used.evict_enabled_priority_threshold, used.allocatable_evict_priority_threshold
    cpu = used.cpu_evict_threshold_percent, used.cpu_evict_lower_percent
    memory = used.memory_evict_threshold_percent, used.memory_evict_lower_percent
    cpu_requests = used.cpu_allocatable_evict_threshold_percent, used.cpu_allocatable_evict_lower_percent
    memory_requests = (
        used.memory_allocatable_evict_threshold_percent,
        used.memory_allocatable_evict_lower_percent,
    )
    limits = {
        Form.BE_MEMORY: _of_use("memoryEvict", memory, None, findings),
        Form.CPU_ALLOCATABLE: _of_requests("cpuAllocatableEvict", cpu_requests, by_requests, findings),
        Form.MEMORY_ALLOCATABLE: _of_requests(
            "memoryAllocatableEvict", memory_requests, by_requests, findings
        ),
    }
    if by_use is not None:
        priority = min(by_use, HIGHEST_PRIORITY)
        limits[Form.CPU] = _of_use("cpuEvict", cpu, priority, findings)
        limits[Form.MEMORY] = _of_use("memoryEvict", memory, priority, findings)
    elif used.cpu_evict_threshold_percent is not None:
        findings.append("cpuEvictThresholdPercent: does nothing without evictEnabledPriorityThreshold")
    return Thresholds(
        _satisfaction(used, findings),
        {form: each for form, each in limits.items() if each is not None},
        used.cpu_evict_time_window_seconds or WINDOW_SECONDS,
        tuple(f"{at}.{each}" for each in dict.fromkeys(findings)),
    )


def _satisfaction(used: UsedThreshold, findings: list[str]) -> Satisfaction | None:
    lower, upper = used.cpu_evict_be_satisfaction_lower_percent, used.cpu_evict_be_satisfaction_upper_percent
    if lower is None and upper is None:
        return None
    name = "cpuEvictBESatisfactionLowerPercent"
    if lower is None or upper is None:
        other = "cpuEvictBESatisfactionUpperPercent"
        given, missing = (other, name) if lower is None else (name, other)
        findings.append(f"{given}: does nothing without {missing}")
        return None
    if not 0 < lower <= _MOST_LOWER or not lower <= upper < _WHOLE:
        findings.append(
            f"{name}: {lower}, with {upper} as the upper one: nothing is asked for by them: write one from 1 "
            f"to {_MOST_LOWER}, and an upper one below {_WHOLE}"
        )
        return None
    usage = used.cpu_evict_be_usage_threshold_percent
    by_allocatable = used.cpu_evict_policy == BY_ALLOCATABLE
    return Satisfaction(lower, upper, _USAGE_PERCENT if usage is None else usage, by_allocatable)


def _of_requests(name: str, percents: _Percents, priority: int | None, findings: list[str]) -> Limits | None:
    """Return the limits of a form that looks at what is requested: all of it has to be given."""
    threshold, lower = percents
    if threshold is None:
        return None
    if lower is not None and priority is not None:
        return Limits(threshold, lower, priority)
    missing = [f"{name}LowerPercent"] * (lower is None)
    missing += ["allocatableEvictPriorityThreshold"] * (priority is None)
    findings.append(f"{name}ThresholdPercent: does nothing without {' and '.join(missing)}")
    return None


def _of_use(name: str, percents: _Percents, priority: int | None, findings: list[str]) -> Limits | None:
    """Return the limits of a form that looks at use: a lower bound need not be given."""
    threshold, lower = percents
    if threshold is None:
        return None
    bound = threshold - _STEP_PERCENT if lower is None else lower
    if not 0 <= bound < threshold:
        findings.append(
            f"{name}LowerPercent: {bound} is not from 0 to below {name}ThresholdPercent, which is "
            f"{threshold}: nothing is asked for by it"
        )
        return None
    return Limits(threshold, bound, priority)
