"""A fake API server with a node, and replicas of binding at it."""

import pytest

from tests.binding.builders import Replica, server


@pytest.fixture
def fake():
    """The server."""
    with server() as running:
        yield running


@pytest.fixture
def replica(fake):
    """One replica that has heard of everything."""
    made = Replica(fake)
    yield made
    made.endpoint.close()
