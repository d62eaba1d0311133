"""What the tests of pods share."""

from tests.cli.conftest import examples  # noqa: F401 — a fixture
