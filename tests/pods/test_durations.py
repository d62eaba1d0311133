"""Durations as Go writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.pods.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300.0), ("1h30m0s", 5400.0), ("1.5s", 1.5), ("200ms", 0.2), ("0", 0.0), ("-1m", 60.0)],
)
def test_durations(text, seconds):
    """Numbers with units, one after the other; the sign is left out."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "5", "5 m", "m", "5d", None, 300, ["5m"], "٥m"])
def test_what_is_no_duration(value):
    """None, not a guess."""
    assert parse_duration(value) is None


@given(st.integers(0, 10**8))
def test_what_is_written_is_read_back(seconds):
    """To the second."""
    assert parse_duration(format_duration(seconds)) == seconds


def test_a_duration_has_an_end():
    """However many digits it has."""
    assert parse_duration("9" * 400 + "h") == 1e9


def test_the_form_is_gos():
    """Minutes are there where hours are."""
    assert [format_duration(each) for each in (5, 300, 3605)] == ["5s", "5m0s", "1h0m5s"]
