"""The image, built once for the run, and the chart it is run by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.build import Image, built


@pytest.fixture(scope="package")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of this tree."""
    with built(tmp_path_factory.mktemp("build")) as image:
        yield image


@pytest.fixture(scope="package")
def root(image: Image) -> Iterator[Path]:
    """Its root file system."""
    with image.mounted() as folder:
        yield folder
