"""How much is to be released."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eviction.builders import GI, cpu_ask, memory_ask
from webhook.eviction.release import release_of
from webhook.eviction.thresholds import Form


def test_the_specifications_examples() -> None:
    """BE pods request 20 cores and can get 10: 6 are to go. 128 GiB at 73 percent: 6.4 GiB."""
    assert cpu_ask().release == 6000
    assert memory_ask(73, 128 * GI).release == 128 * GI * 5 // 100


@pytest.mark.parametrize(
    ("limit", "requested", "used", "release"),
    [
        (10_000, 20_000, 8_999, 0),  # they use less than 90 percent of what they can get
        (10_000, 20_000, 9_000, 6_000),
        (12_000, 20_000, 12_000, 4_000),  # 60 percent is too little still
        (12_001, 20_000, 12_001, 0),
        (999, 2_000, 0, 601),  # less than one core is busy by itself
        (0, 20_000, 0, 0),  # no limit that could be read says nothing
        (-1, 20_000, 0, 0),
        (10_000, 0, 10_000, 0),
    ],
)
def test_satisfaction(limit: int, requested: int, used: int, release: int) -> None:
    """Too little is at most the lower bound, while BE pods want it."""
    assert cpu_ask(limit, requested, used).release == release


def test_now_and_on_average() -> None:
    """Both have to be too little, and the smaller release counts."""
    figures = dict(cpu_ask().figures)
    assert release_of(Form.BE_CPU, figures | {"meanLimit": 11_000, "meanUsed": 11_000}) == 5000
    assert release_of(Form.BE_CPU, figures | {"limit": 20_000}) == 0


@pytest.mark.parametrize(
    ("requested", "allocatable", "release"),
    [(110, 100, 0), (111, 100, 11), (500, 100, 400), (500, 0, 0), (500, -1, 0), (0, 100, 0)],
)
def test_requests(requested: int, allocatable: int, release: int) -> None:
    """What is requested beyond the threshold goes down to the lower bound; no offer is no reason."""
    figures = {"requested": requested, "allocatable": allocatable, "threshold": 110, "lower": 100}
    assert release_of(Form.MEMORY_ALLOCATABLE, figures) == release


@pytest.mark.parametrize("form", list(Form))
def test_without_figures(form: Form) -> None:
    """Nothing is released."""
    assert release_of(form, {}) == 0
    assert release_of(form, {"used": 2**62, "capacity": 2**62, "threshold": 1, "lower": 0}) == 0


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 100), st.integers(0, 99))
def test_memory_once_more(used: int, capacity: int, threshold: int, lower: int) -> None:
    """The same in fractions: what is left after the release is at the lower bound, to a percent."""
    if lower >= threshold:
        return
    figures = {"used": used, "capacity": capacity, "threshold": threshold, "lower": lower}
    found = release_of(Form.BE_MEMORY, figures)
    if capacity == 0 or Fraction(used * 100, capacity) < threshold:
        assert found == 0
        return
    wanted = used - Fraction(capacity * lower, 100)
    assert wanted - Fraction(capacity, 100) - 1 <= found <= wanted
    assert found <= used


@given(*[st.integers(0, 100_000)] * 3, *[st.integers(1, 99)] * 2)
def test_satisfaction_once_more(limit: int, requested: int, used: int, lower: int, upper: int) -> None:
    """Never less is left requested than BE pods can get."""
    if upper < lower:
        return
    now = {"limit": limit, "requested": requested, "used": used, "lower": lower, "upper": upper, "usage": 90}
    figures = {**now, "meanLimit": limit, "meanRequested": requested, "meanUsed": used}
    found = release_of(Form.BE_CPU, figures)
    assert found <= max(0, requested - limit)
    if found:
        assert Fraction(limit, requested) <= Fraction(lower, 100)
