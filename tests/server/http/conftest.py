"""Clients of connections, of which nothing is held at the end."""

import pytest

from tests.server.http.clients import Client


@pytest.fixture
def client():
    """A client; all that it held is given back at the end."""
    made = Client()
    yield made
    made.end()


@pytest.fixture
def many():
    """Make connections of one process; all that they held is given back at the end."""
    clients = []

    def make():
        clients.append(Client(clients[0].site if clients else None))
        return clients[-1]

    yield make
    site = clients[0].site
    for each in clients:
        if each.connection in site.open:
            each.connection.connection_lost(None)
    assert (site.bodies.small, site.bodies.large, site.bodies.waiting) == (0, 0, {})
    site.pool.shutdown()
    site.loop.close()
