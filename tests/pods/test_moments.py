"""Times in objects."""

import datetime as dt

import pytest

from webhook.pods.moments import read_moment

EIGHT = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("2026-01-31T08:00:00Z", EIGHT),
        ("2026-01-31T09:00:00+01:00", EIGHT),
        ("2026-01-31T08:00:00.000001Z", EIGHT.replace(microsecond=1)),
        ("2026-01-31T08:00:00", None),
        ("yesterday", None),
        ("", None),
        (1_769_846_400, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_moment(raw: object, moment: dt.datetime | None) -> None:
    """One in a time zone, or none."""
    assert read_moment(raw) == moment
