"""Decaying histograms, next to a plain list of weighted samples."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.agent.measuring.histogram import CPU_BUCKETS, MEMORY_BUCKETS, Histogram

HALF = 100.0
SAMPLES = st.lists(
    st.tuples(st.floats(0.0, 200.0), st.floats(0.0, 60.0)), min_size=1, max_size=80
)  # value, seconds since the one before


def _histogram(samples: Sequence[tuple[float, float]]) -> tuple[Histogram, float]:
    histogram, now = Histogram(CPU_BUCKETS, HALF), 1000.0
    for value, after in samples:
        now += after
        histogram.add(value, now)
    return histogram, now


def _exact(samples: Sequence[tuple[float, float]], percent: float) -> float:
    """Return the weighted percentile of the samples themselves."""
    now, weighted = 0.0, []
    for value, after in samples:
        now += after
        weighted.append((value, 2 ** (now / HALF)))
    threshold = sum(weight for _, weight in weighted) * percent / 100
    for value, weight in sorted(weighted):
        threshold -= weight
        if threshold <= 1e-9:
            return value
    raise AssertionError


@given(SAMPLES, st.sampled_from([50, 90, 95, 98]))
def test_a_percentile_is_that_of_the_samples_rounded_up_by_a_bucket(
    samples: Sequence[tuple[float, float]], percent: float
) -> None:
    """Never less, but for what decayed to nothing; at most a twentieth and the first bucket more."""
    histogram, _ = _histogram(samples)
    found = histogram.percentile(percent)
    # Buckets with next to no weight left are left out: a hundredth of a percent each way.
    low, high = _exact(samples, max(percent - 0.5, 0)), _exact(samples, min(percent + 0.5, 100))
    assert low - 1e-9 <= found <= high * 1.05 + CPU_BUCKETS.first * 1.06


@given(SAMPLES)
def test_what_a_file_keeps_gives_the_same_answers(samples: Sequence[tuple[float, float]]) -> None:
    """Also for the samples that come later."""
    histogram, now = _histogram(samples)
    restored = Histogram(CPU_BUCKETS, HALF)
    restored.restore(json.loads(json.dumps(histogram.to_json())))
    for each in (histogram, restored):
        each.add(3.0, now + 10)
    for percent in (50, 95):
        assert restored.percentile(percent) == pytest.approx(histogram.percentile(percent), rel=0.06)


def test_what_is_new_outweighs_what_is_old() -> None:
    """After ten half-lives the old load is forgotten."""
    histogram = Histogram(MEMORY_BUCKETS, HALF)
    for second in range(1000):
        histogram.add(8 * 2.0**30, float(second))
    for second in range(2000, 2100):
        histogram.add(2.0**30, float(second))
    assert 2.0**30 <= histogram.percentile(98) <= 1.06 * 2.0**30


@pytest.mark.parametrize("jump", [-1e9, 1e12])
def test_a_clock_that_jumps_costs_no_more_than_old_weights(jump: float) -> None:
    """Samples count from then on as before, whichever way it jumped."""
    histogram = Histogram(CPU_BUCKETS, HALF)
    for second in range(100):
        histogram.add(4.0, 2e9 + second)
    for second in range(100):
        histogram.add(1.0, 2e9 + jump + second)
    assert histogram.percentile(45) <= 1.1
    assert histogram.percentile(99.99) >= 1.0


def test_an_empty_one_knows_of_nothing() -> None:
    """Its percentiles are 0."""
    assert Histogram(CPU_BUCKETS, HALF).percentile(95) == 0.0


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"at": 1, "weights": None},
        {"at": "x", "weights": {}},
        {"at": 1, "weights": {"-1": 1}},
        {"at": 1, "weights": {"100000": 1}},
        {"at": 1, "weights": {"1": float("nan")}},
        {"at": float("inf"), "weights": {}},
        {"at": 1, "weights": {"1": -1}},
    ],
)
def test_a_broken_file_is_refused(kept: dict[str, object]) -> None:
    """Nothing is taken of it."""
    histogram = Histogram(CPU_BUCKETS, HALF)
    with pytest.raises(ValueError, match=r"histogram|could not convert"):
        histogram.restore(kept)
    assert histogram.percentile(50) == 0.0
