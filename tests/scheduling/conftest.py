"""A fake API server with a node of 16 CPUs, and an extender beside it."""

import pytest

from tests.binding.builders import server
from tests.scheduling.builders import Told


@pytest.fixture
def fake():
    """The server."""
    with server() as running:
        yield running


@pytest.fixture
def told(fake):
    """An extender that has heard of the node."""
    made = Told(fake)
    yield made
    made.replica.endpoint.close()
