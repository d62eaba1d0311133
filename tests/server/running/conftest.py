"""One service for the tests that only ask, because starting one takes the better part of a second."""

import pytest

from tests.server.running.service import Service


@pytest.fixture(scope="session", params=["fast", "flask"])
def service(request, tmp_path_factory):
    """A TLS service in its default settings, by either worker; shared: its metrics belong to everybody."""
    with Service(tmp_path_factory.mktemp("service"), "--worker", request.param) as running:
        yield running
