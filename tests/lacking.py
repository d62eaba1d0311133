"""What a test needs and this machine lacks: in CI the test fails, so none is lost; elsewhere it skips."""

import pytest

from tests.conftest import CI


def stop_if_lacking(what: str) -> None:
    """End the test that asks, for this reason; with "" the machine lacks nothing, and the test goes on."""
    if what:
        (pytest.fail if CI else pytest.skip)(what)
