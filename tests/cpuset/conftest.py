"""Where the recorded answers are, and machines for hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "data" / "cpuset"


@pytest.fixture(scope="session")
def sample() -> Path:
    """The few recorded cases that are kept with the tests."""
    return SAMPLE


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of all recorded cases; without it CI fails and others skip."""
    folder = os.environ.get("COLOCATION_REFERENCE")
    if folder and (Path(folder) / "cpuset").is_dir():
        return Path(folder) / "cpuset"
    reason = (
        f"the recorded answers were not compared: COLOCATION_REFERENCE is {folder!r}, which "
        "has no folder cpuset"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
