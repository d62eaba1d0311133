"""What a NodeSLO says of eviction."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.eviction.thresholds import OFF, Form, Limits, Satisfaction, Thresholds
from webhook.slo.eviction import eviction_of
from webhook.slo.keys import KEYS, THRESHOLD
from webhook.slo.nodeslo import read_nodeslo

SATISFIED = {"cpuEvictBESatisfactionLowerPercent": 50, "cpuEvictBESatisfactionUpperPercent": 80}
ALLOCATABLE = {
    "cpuAllocatableEvictThresholdPercent": 110,
    "cpuAllocatableEvictLowerPercent": 100,
    "allocatableEvictPriorityThreshold": 5999,
}


def read_thresholds(strategy: object) -> Thresholds:
    """Return what a strategy says."""
    return eviction_of(read_nodeslo({"resourceUsedThresholdWithBE": strategy}).threshold)


def read(**fields: Any) -> Thresholds:
    """Return what an enabled strategy says."""
    return read_thresholds({"enable": True, **fields})


@pytest.mark.parametrize("strategy", [None, {}, {"enable": False}, {"enable": None, **SATISFIED}])
def test_off(strategy: object) -> None:
    """Without a strategy that is enabled, nothing is asked for, and nothing is wrong with it."""
    assert read_thresholds(strategy) == OFF
    assert OFF.off


def test_koordinators_defaults() -> None:
    """What is enabled and says no more asks for memory from 70 percent on, for BE pods, and for no CPU."""
    defaults = {**KEYS["resource-threshold-config"].defaults, "enable": True}
    for strategy in ({"enable": True}, defaults):
        found = read_thresholds(strategy)
        assert found.limits == {Form.BE_MEMORY: Limits(70, 68)}
        assert found.satisfaction is None
        assert found.window == 60
        assert found.findings == ()


def test_everything() -> None:
    """Each form has its own fields; no priority reaches online pods."""
    found = read(
        **SATISFIED,
        **ALLOCATABLE,
        cpuEvictPolicy="evictByAllocatable",
        cpuEvictTimeWindowSeconds=30,
        memoryEvictThresholdPercent=80,
        memoryEvictLowerPercent=60,
        cpuEvictThresholdPercent=90,
        evictEnabledPriorityThreshold=9999,
        memoryAllocatableEvictThresholdPercent=120,
        memoryAllocatableEvictLowerPercent=90,
    )
    assert found.findings == ()
    assert found.satisfaction == Satisfaction(50, 80, 90, by_allocatable=True)
    assert found.window == 30
    assert found.limits == {
        Form.BE_MEMORY: Limits(80, 60),
        Form.CPU_ALLOCATABLE: Limits(110, 100, 5999),
        Form.MEMORY_ALLOCATABLE: Limits(120, 90, 5999),
        Form.CPU: Limits(90, 88, 7999),
        Form.MEMORY: Limits(80, 60, 7999),
    }


@pytest.mark.parametrize(
    ("fields", "off", "says"),
    [
        (
            {"cpuEvictBESatisfactionLowerPercent": 50},
            Form.BE_CPU,
            "without cpuEvictBESatisfactionUpperPercent",
        ),
        (
            {"cpuEvictBESatisfactionUpperPercent": 50},
            Form.BE_CPU,
            "without cpuEvictBESatisfactionLowerPercent",
        ),
        ({**SATISFIED, "cpuEvictBESatisfactionLowerPercent": 61}, Form.BE_CPU, "write one from 1 to 60"),
        ({**SATISFIED, "cpuEvictBESatisfactionUpperPercent": 100}, Form.BE_CPU, "an upper one below 100"),
        ({"memoryEvictLowerPercent": 70}, Form.BE_MEMORY, "70 is not from 0 to below"),
        ({"memoryEvictThresholdPercent": 1}, Form.BE_MEMORY, "-1 is not from 0 to below"),
        ({"cpuEvictThresholdPercent": 90}, Form.CPU, "does nothing without evictEnabledPriorityThreshold"),
        (
            {**ALLOCATABLE, "allocatableEvictPriorityThreshold": None},
            Form.CPU_ALLOCATABLE,
            "does nothing without allocatableEvictPriorityThreshold",
        ),
        (
            {**ALLOCATABLE, "cpuAllocatableEvictLowerPercent": None},
            Form.CPU_ALLOCATABLE,
            "does nothing without cpuAllocatableEvictLowerPercent",
        ),
    ],
)
def test_what_is_not_complete(fields: dict[str, Any], off: Form, says: str) -> None:
    """That form is off, a finding says why, and the others hold."""
    found = read(**fields)
    assert off not in found.limits
    assert off is not Form.BE_CPU or found.satisfaction is None
    assert any(says in each for each in found.findings)
    assert off is Form.BE_MEMORY or Form.BE_MEMORY in found.limits


@pytest.mark.parametrize(
    "wrong", [{"memoryEvictThresholdPercent": "80"}, {"cpuEvictPolicy": "x"}, {"cpuEvictLowerPercent": 101}]
)
def test_values_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    """The strategy counts as absent as a whole: nothing is asked for."""
    assert read(**ALLOCATABLE, **wrong) == OFF


NAMES = sorted(THRESHOLD.fields)
VALUES = st.one_of(st.none(), st.integers(-5, 120), st.integers(-5, 120), st.booleans(), st.text(max_size=3))


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES)))
def test_whatever_stands_there(fields: dict[str, Any]) -> None:
    """It is read, and what is on can be meant: lower bounds are lower, and no priority is online work's."""
    found = read(**fields)
    for form, limits in found.limits.items():
        assert 0 <= limits.lower < limits.threshold
        assert (limits.priority is None) == (form is Form.BE_MEMORY)
        assert limits.priority is None or limits.priority <= 7999
    if found.satisfaction is not None:
        assert 0 < found.satisfaction.lower <= min(60, found.satisfaction.upper)
        assert found.satisfaction.upper < 100
    assert found.window >= 1
