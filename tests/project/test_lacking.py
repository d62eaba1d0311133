"""What a test does where the machine lacks something it needs."""

import os

import pytest

from tests import conftest, lacking


@pytest.mark.parametrize(("ci", "ends"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_it_fails_in_ci_and_is_skipped_with_its_reason_elsewhere(monkeypatch, ci, ends) -> None:
    """A desk without Koordinator's recorded answers has no failed test."""
    monkeypatch.setattr(lacking, "CI", ci)
    with pytest.raises(ends, match="no such folder"):
        lacking.stop_if_lacking("no such folder")
    lacking.stop_if_lacking("")


def test_ci_is_where_the_environment_says_so() -> None:
    """And nowhere else."""
    assert conftest.CI is (os.environ.get("CI") == "true")
