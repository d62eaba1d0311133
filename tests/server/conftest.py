"""One service for the tests that only ask, because starting one takes the better part of a second."""

import pytest

from tests.server.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A TLS service in its default settings, shared: its metrics and files belong to everybody."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running
