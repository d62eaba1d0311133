"""What a node asks for."""

from typing import Any

import pytest

from tests.eviction.builders import GI
from webhook.eviction.asking import BECpu, Measured, PodRequest, asks_of
from webhook.eviction.thresholds import Form, Thresholds
from webhook.slo.eviction import eviction_of
from webhook.slo.nodeslo import read_nodeslo

FULL = {
    "enable": True,
    "cpuEvictBESatisfactionLowerPercent": 60,
    "cpuEvictBESatisfactionUpperPercent": 80,
    "cpuEvictTimeWindowSeconds": 30,
    "memoryEvictThresholdPercent": 70,
    "cpuEvictThresholdPercent": 90,
    "evictEnabledPriorityThreshold": 5999,
    "cpuAllocatableEvictThresholdPercent": 110,
    "cpuAllocatableEvictLowerPercent": 100,
    "memoryAllocatableEvictThresholdPercent": 110,
    "memoryAllocatableEvictLowerPercent": 100,
    "allocatableEvictPriorityThreshold": 7999,
}
BATCH = PodRequest(5500, {"kubernetes.io/batch-cpu": 12_000, "kubernetes.io/batch-memory": 4 * GI})
MID = PodRequest(7500, {"kubernetes.io/mid-cpu": 3_000, "kubernetes.io/mid-memory": GI})
SHORT = Measured(
    age=1.0,
    cpus=16_000,
    memory=100 * GI,
    cpu_used=15_000,
    memory_used=73 * GI,
    be=BECpu(10_000, 20_000, 10_000),
    be_mean=BECpu(10_000, 20_000, 10_000),
    be_seconds=10.0,
    pods=[BATCH, MID],
    offered={
        "kubernetes.io/batch-cpu": 10_000,
        "kubernetes.io/mid-cpu": 3_000,
        "kubernetes.io/batch-memory": GI,
    },
)


def read_thresholds(strategy: dict[str, Any]) -> Thresholds:
    """Return what a strategy says."""
    return eviction_of(read_nodeslo({"resourceUsedThresholdWithBE": strategy}).threshold)


def forms(measured: Measured, thresholds: Thresholds | None = None) -> list[tuple[Form, str]]:
    """Return what is asked for, and of which resource."""
    return [(ask.form, ask.resource) for ask in asks_of(measured, thresholds or read_thresholds(FULL))]


def test_everything_at_once() -> None:
    """All forms ask, in their order; each says its figures and up to which priority."""
    asks = asks_of(SHORT, read_thresholds(FULL))
    assert [(ask.form, ask.resource, ask.release, ask.priority) for ask in asks] == [
        (Form.BE_CPU, "kubernetes.io/batch-cpu", 6_000, None),
        (Form.BE_MEMORY, "memory", 5 * GI, None),
        (Form.CPU_ALLOCATABLE, "kubernetes.io/batch-cpu", 2_000, 7999),
        (Form.MEMORY_ALLOCATABLE, "kubernetes.io/batch-memory", 3 * GI, 7999),
        (Form.CPU, "cpu", 16_000 * 5 // 100, 5999),
        (Form.MEMORY, "memory", 5 * GI, 5999),
    ]
    assert str(asks[0]) == (
        "BECPUEvict: BE pods request 20 cores of CPU, can get 10 cores and use 10 cores: at most 60 % of it "
        "is too little, 80 % is the aim: 6 cores to release"
    )
    assert str(asks[1]) == (
        "BEMemoryEvict: 73.0Gi of 100.0Gi memory are used: at least 70 %, 68 % is the aim: 5.0Gi to release"
    )
    assert "pods request 12 cores of kubernetes.io/batch-cpu, the node offers 10 cores" in str(asks[2])


@pytest.mark.parametrize("age", [10.1, 1e9, -1.0])
def test_old_data(age: float) -> None:
    """It asks for nothing, however bad it looks."""
    assert forms(SHORT._replace(age=age)) == []


def test_missing_data() -> None:
    """What is not known is no reason."""
    nothing = Measured(1.0, 16_000, 100 * GI)
    assert forms(nothing) == []
    assert Form.BE_CPU not in dict(forms(SHORT._replace(be=None)))
    assert Form.BE_CPU not in dict(forms(SHORT._replace(be_mean=None)))
    assert Form.BE_CPU not in dict(forms(SHORT._replace(be_seconds=9.9)))  # a third of the window is 10 s


def test_what_was_withdrawn() -> None:
    """A resource that the node does not offer, or 0 of it, evicts nobody who requests it."""
    for offered in ({}, {"kubernetes.io/batch-cpu": 0, "kubernetes.io/batch-memory": 0}):
        found = dict(forms(SHORT._replace(offered=offered)))
        assert not {Form.CPU_ALLOCATABLE, Form.MEMORY_ALLOCATABLE} & found.keys()


def test_priorities_count_for_requests() -> None:
    """Pods above the threshold are not counted."""
    some = read_thresholds({**FULL, "allocatableEvictPriorityThreshold": 5400})
    assert Form.CPU_ALLOCATABLE not in dict(forms(SHORT, some))


def test_switched_off() -> None:
    """Without settings nothing is asked for."""
    assert forms(SHORT, Thresholds()) == []
