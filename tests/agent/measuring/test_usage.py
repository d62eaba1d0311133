"""Counters over time, into rates, means and percentiles."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.agent.measuring.usage import CpuMeter, NodeHistory, NodeSample, PodHistory, Use, system_use

SECOND = 10**9


def _sample(at: float, cpu: float, memory: float = 0.0) -> NodeSample:
    return NodeSample(at, Use(cpu, memory), Use(cpu / 2, memory / 2))


def test_a_rate_needs_two_samples() -> None:
    """Cores are CPU time over time that went by."""
    meter = CpuMeter()
    meter.take(10.0, 5 * SECOND, 4)
    assert (meter.cores, meter.seconds) == (None, 0.0)
    meter.take(12.0, 8 * SECOND, 4)
    assert (meter.cores, meter.seconds) == (1.5, 3.0)


@pytest.mark.parametrize(
    ("at", "counter"),
    [(2.0, 1), (2.0, 100 * SECOND)],
    ids=["it went back", "it runs faster than the machine has CPUs"],
)
def test_a_counter_of_another_group_is_taken_up_from_there(at: float, counter: int) -> None:
    """A group was removed and made again between two looks: nothing is guessed of it."""
    meter = CpuMeter()
    meter.take(0.0, 10 * SECOND, 2)
    meter.take(1.0, 11 * SECOND, 2)
    meter.take(at, counter, 2)
    assert (meter.cores, meter.seconds) == (None, 1.0)
    meter.take(at + 1, counter + SECOND, 2)
    assert (meter.cores, meter.seconds) == (1.0, 2.0)


def test_a_second_look_at_one_time_changes_nothing() -> None:
    """No rate over no time, and none over a negative one."""
    meter = CpuMeter()
    meter.take(1.0, 0, 1)
    meter.take(2.0, SECOND, 1)
    for at in (2.0, 1.5):
        meter.take(at, 2 * SECOND, 1)
        assert (meter.cores, meter.seconds) == (1.0, 1.0)


@given(st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=50), st.integers(0, 2**60))
def test_seconds_are_what_the_counter_moved_by(steps: Sequence[int], first: int) -> None:
    """Whatever it began with, as long as it runs no faster than the CPUs."""
    meter = CpuMeter()
    counter = first
    meter.take(0.0, counter, 3)
    for i, step in enumerate(steps, 1):
        counter += step
        meter.take(float(i), counter, 3)
    assert meter.seconds == pytest.approx(sum(steps) / SECOND)


def test_the_mean_of_a_pod_is_over_the_window_or_its_life() -> None:
    """CPU by the time that went by, memory by samples; with one sample nothing is known."""
    pod = PodHistory()
    pod.cpu.take(0.0, 0, 4)
    pod.take(0.0, 100, 300)
    assert pod.mean(0.0, 300) is None
    for at in range(10, 400, 10):
        pod.cpu.take(float(at), at * SECOND // 2, 4)
        pod.take(float(at), 100 + at, 300)
    mean = pod.mean(390.0, 300)
    assert mean is not None
    assert mean.cpu == pytest.approx(0.5)
    assert mean.memory == pytest.approx(100 + (90 + 390) / 2)
    assert pod.memory == 490


def test_a_window_counts_when_half_of_it_was_seen() -> None:
    """Before that there is no such window; a mean there is from the first sample on."""
    node = NodeHistory()
    assert node.mean(0.0, 60) is None
    for at in range(100):
        node.take(_sample(float(at), 1.0), 600)
    assert node.mean(99.0, 300) == (Use(1.0, 0.0), Use(0.5, 0.0))
    assert node.window(99.0, 300, (50,)) is None
    window = node.window(99.0, 198, (50,))
    assert window is not None
    assert window.node == {"avg": Use(1.0, 0.0), "p50": Use(1.0, 0.0)}
    assert window.system["p50"] == Use(0.5, 0.0)


@given(st.lists(st.floats(0, 64), min_size=1, max_size=300), st.sampled_from([50, 90, 95, 99]))
def test_percentiles_are_the_least_sample_that_so_many_do_not_exceed(
    values: list[float], percent: int
) -> None:
    """So many percent of the samples are no greater, and of those below it fewer."""
    node = NodeHistory()
    for at, value in enumerate(values):
        node.take(_sample(float(at), value), 1000)
    last = len(values) - 1
    window = node.window(last, last, (percent,))
    assert window is not None
    found = window.node[f"p{percent}"].cpu
    assert found in values
    assert sum(v <= found for v in values) >= math.ceil(len(values) * percent / 100)
    assert sum(v < found for v in values) < math.ceil(len(values) * percent / 100)


def test_what_is_kept_is_bounded() -> None:
    """By the longest duration, and for a day by the number of samples."""
    node = NodeHistory()
    for at in range(5000):
        node.take(_sample(float(at), 1.0), 1800)
    assert len(node) == 1801
    node = NodeHistory()
    for at in range(100_000):
        node.take(_sample(float(at), float(at)), 86_400)
    assert len(node) <= 3600 + 2
    assert node.last is not None
    assert node.last.node.cpu == 99_999.0
    window = node.window(99_999.0, 86_400, (50,))
    assert window is not None
    assert window.node["p50"].cpu == pytest.approx(99_999 - 43_200, rel=0.01)


def test_what_is_no_pods_is_never_less_than_nothing() -> None:
    """The counters are read one after the other."""
    assert system_use(Use(2.0, 100.0), Use(0.5, 150.0)) == Use(1.5, 0.0)


def test_a_look_that_came_late_counts_for_the_time_it_stands_for() -> None:
    """Where the agent had to wait for a CPU, the mean is still what the counters moved by."""
    node = NodeHistory()
    for at, cpu in ((0.0, 1.0), (1.0, 1.0), (10.0, 3.0)):
        node.take(_sample(at, cpu), 600)
    mean = node.mean(10.0, 300)
    assert mean is not None
    assert mean[0].cpu == pytest.approx((1.0 + 9 * 3.0) / 10)
