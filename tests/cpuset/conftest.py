"""Where the recorded answers are, and machines for hypothesis."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference import reference as recorded

SAMPLE = Path(__file__).parents[1] / "data" / "cpuset"


@pytest.fixture(scope="session")
def sample() -> Path:
    """The few recorded cases that are kept with the tests."""
    return SAMPLE


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of all recorded cases."""
    return recorded("cpuset")
