"""A NodeSLO's spec as an agent reads it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.protocol import QoSClass
from webhook.slo.keys import BURST_CONFIG, CFS_QUOTA, CPUSET, KEYS, MEMORY_QOS, THRESHOLD
from webhook.slo.nodeslo import DEFAULT_SLO, CPUBurst, MemoryQoS, UsedThreshold, read_nodeslo
from webhook.slo.strategies import read_strategies, spec_of

ONLY = "cpuBurstOnly"
USED = "resourceUsedThresholdWithBE"
EVERY = {
    "enable": True,
    "cpuSuppressThresholdPercent": 2,
    "cpuSuppressMinPercent": 1,
    "cpuSuppressPolicy": CFS_QUOTA,
    "memoryEvictThresholdPercent": 4,
    "memoryEvictLowerPercent": 3,
    "cpuEvictBESatisfactionUpperPercent": 6,
    "cpuEvictBESatisfactionLowerPercent": 5,
    "cpuEvictBEUsageThresholdPercent": 7,
    "cpuEvictTimeWindowSeconds": 8,
    "cpuEvictPolicy": "evictByAllocatable",
    "cpuEvictThresholdPercent": 10,
    "cpuEvictLowerPercent": 9,
    "evictEnabledPriorityThreshold": 11,
    "cpuAllocatableEvictThresholdPercent": 13,
    "cpuAllocatableEvictLowerPercent": 12,
    "memoryAllocatableEvictThresholdPercent": 15,
    "memoryAllocatableEvictLowerPercent": 14,
    "allocatableEvictPriorityThreshold": 16,
}


def test_every_field_of_the_thresholds_is_read() -> None:
    """Each has its own value, in the order of the protocol's fields."""
    assert EVERY.keys() == THRESHOLD.fields.keys()
    read = read_nodeslo({USED: EVERY})
    assert not read.findings
    assert [getattr(read.threshold, name) for name in UsedThreshold.__slots__] == list(EVERY.values())


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"enable": True}, True),
        ({"enable": 1}, False),
        ({"cpuSuppressMinPercent": 20, "cpuSuppressThresholdPercent": 20}, True),
        ({"cpuSuppressMinPercent": 30, "cpuSuppressThresholdPercent": 20}, False),
    ],
)
def test_whether_the_thresholds_are_what_was_written(
    fields: dict[str, Any],
    read: bool,  # noqa: FBT001 — a parameter of the test
) -> None:
    """Not where something of them cannot be meant, or BE pods would have more than they may have."""
    assert read_nodeslo({USED: fields}).threshold_read is read
    assert read_nodeslo({USED: fields, "resourceQOSStrategy": 1}).threshold_read is read


def test_where_nothing_is_said_nothing_is_on() -> None:
    """With the defaults of the controller, whose own NodeSLO says the same."""
    made = spec_of(read_strategies({}), {})
    for spec in (None, {}, {USED: None, "resourceQOSStrategy": {"beClass": None}}, made):
        assert read_nodeslo(spec) == DEFAULT_SLO
    assert not DEFAULT_SLO.threshold.enable
    assert DEFAULT_SLO.threshold.cpu_suppress_threshold_percent == 65
    assert DEFAULT_SLO.threshold.cpu_suppress_policy == CPUSET
    assert set(DEFAULT_SLO.memory.values()) == {MemoryQoS()}


def test_memory_by_class() -> None:
    """An LSE pod counts as LSR; fields of other kernels are passed over."""
    on = {
        "enable": True,
        "minLimitPercent": 50,
        "lowLimitPercent": 80,
        "throttlingPercent": 90,
        "wmarkRatio": 95,
    }
    memory = read_nodeslo({"resourceQOSStrategy": {"lsrClass": {"memoryQOS": on}, "systemClass": {}}}).memory
    assert memory[QoSClass.LSE] == memory[QoSClass.LSR]
    assert memory[QoSClass.LSR] == MemoryQoS(
        enable=True, min_limit_percent=50, low_limit_percent=80, throttling_percent=90
    )
    assert memory[QoSClass.BE] == memory[QoSClass.LS] == MemoryQoS()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ([], "spec: []"),
        ({USED: "on"}, USED),
        ({USED: {"enable": "yes"}}, f"{USED}.enable"),
        ({USED: {"enable": True, "cpuSuppressThresholdPercent": 165}}, f"{USED}.cpuSuppressThresholdPercent"),
        ({USED: {"enable": True, "cpuSuppressPolicy": "cpu"}}, f"{USED}.cpuSuppressPolicy"),
        (
            {USED: {"enable": True, "memoryEvictThresholdPercent": 70, "memoryEvictLowerPercent": 70}},
            f"{USED}.memoryEvictLowerPercent",
        ),
        ({"resourceQOSStrategy": 1}, "resourceQOSStrategy: 1"),
        ({"resourceQOSStrategy": {"beClass": []}}, "resourceQOSStrategy.beClass: []"),
        (
            {"resourceQOSStrategy": {"beClass": {"memoryQOS": {"enable": True, "minLimitPercent": -1}}}},
            "resourceQOSStrategy.beClass.memoryQOS.minLimitPercent",
        ),
    ],
)
def test_what_cannot_be_meant_counts_as_absent(spec: Any, field: str) -> None:
    """As a whole strategy: the thresholds are off, although they say that they are on."""
    read = read_nodeslo(spec)
    assert any(field in each and "counts as absent" in each for each in read.findings)
    assert (read.threshold, read.memory) == (DEFAULT_SLO.threshold, DEFAULT_SLO.memory)


def test_one_class_that_cannot_be_meant_costs_no_other() -> None:
    """Nor do mistakes in what no agent of ours does."""
    strategies = {
        "lsClass": {"memoryQOS": {"enable": True, "minLimitPercent": 10}},
        "beClass": {"memoryQOS": {"enable": 1}, "blkioQOS": {"enable": "?"}},
    }
    read = read_nodeslo({USED: EVERY, "resourceQOSStrategy": strategies})
    assert read.threshold.enable
    assert read.memory[QoSClass.LS].min_limit_percent == 10
    assert len(read.findings) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.text(max_size=5),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=5), each, max_size=2),
    max_leaves=4,
)


def some(rule: Any) -> st.SearchStrategy[Any]:
    """Strategies with some of a rule's fields, and whatever values."""
    return st.dictionaries(st.sampled_from(list(rule.fields)), VALUES, max_size=6) | VALUES


@given(st.fixed_dictionaries({}, optional={USED: some(THRESHOLD), "beClass": some(MEMORY_QOS)}))
def test_nothing_of_it_has_to_be_right(given_: dict[str, Any]) -> None:
    """What is read is within its range, or the default, and then a finding says so."""
    spec = {USED: given_.get(USED), "resourceQOSStrategy": {"beClass": {"memoryQOS": given_.get("beClass")}}}
    read = read_nodeslo(json.loads(json.dumps(spec)))
    percents = (read.threshold.cpu_suppress_threshold_percent, read.memory[QoSClass.BE].min_limit_percent)
    assert all(0 <= each <= 100 for each in percents)
    assert read.threshold.cpu_suppress_policy in (CPUSET, CFS_QUOTA)
    if spec[USED] is None and spec["resourceQOSStrategy"]["beClass"]["memoryQOS"] is None:
        assert not read.findings


@pytest.mark.parametrize(
    ("raw", "burst", "by"),
    [
        (None, CPUBurst(), ""),
        ({"policy": "none"}, CPUBurst(), ""),
        ({"policy": "cfsQuotaBurstOnly"}, CPUBurst(policy="cfsQuotaBurstOnly"), "quota"),
        (
            {"policy": "cpuBurstOnly", "cpuBurstPercent": 50},
            CPUBurst(policy=ONLY, cpu_burst_percent=50),
            "kernel",
        ),
        (
            {
                "policy": "auto",
                "cfsQuotaBurstPercent": 150,
                "cfsQuotaBurstPeriodSeconds": 60,
                "sharePoolThresholdPercent": 1,
            },
            CPUBurst(
                policy="auto",
                cfs_quota_burst_percent=150,
                cfs_quota_burst_period_seconds=60,
                share_pool_threshold_percent=1,
            ),
            "kernel, quota",
        ),
    ],
)
def test_bursts(raw: Any, burst: CPUBurst, by: str) -> None:
    """Off unless a policy says otherwise, with Koordinator's defaults."""
    found = read_nodeslo({"cpuBurstStrategy": raw})
    assert (found.burst, found.findings) == (burst, ())
    assert found.burst.by_kernel is ("kernel" in by)
    assert found.burst.by_quota is ("quota" in by)
    assert found.burst.is_on is bool(by)


def test_koordinators_defaults_of_bursts() -> None:
    """What an agent reads without a NodeSLO is what the controller writes."""
    by_controller = read_nodeslo({"cpuBurstStrategy": KEYS[BURST_CONFIG].defaults})
    assert by_controller.burst == CPUBurst()


@pytest.mark.parametrize(
    "raw",
    [
        {"policy": "both"},
        {"policy": ONLY, "cpuBurstPercent": 0},
        {"policy": ONLY, "cpuBurstPercent": 10_001},
        {"policy": ONLY, "cfsQuotaBurstPercent": 99},
        {"policy": ONLY, "cfsQuotaBurstPeriodSeconds": -2},
        {"policy": ONLY, "sharePoolThresholdPercent": 101},
        [ONLY],
    ],
)
def test_bursts_that_cannot_be_meant(raw: Any) -> None:
    """They count as absent, with a finding, and nothing else does."""
    found = read_nodeslo({"cpuBurstStrategy": raw, USED: {"enable": True}})
    assert found.burst == CPUBurst()
    assert found.threshold.enable
    assert found.threshold_read
    assert all(each.startswith("cpuBurstStrategy") for each in found.findings)
    assert found.findings
