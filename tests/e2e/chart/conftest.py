"""Helm, for the tests of what the chart renders."""

from pathlib import Path

import pytest

from tests.e2e.release.rendering import Helm


@pytest.fixture
def helm(cache: Path, tmp_path: Path) -> Helm:
    """Helm, to render with."""
    return Helm(cache, tmp_path)
