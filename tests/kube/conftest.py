"""A fake API server, and waiting for what it is told."""

import pytest

from tests.kube.fakeapi import FakeApi
from webhook.kube import backoff


@pytest.fixture
def fake():
    """A server with nothing in it."""
    with FakeApi() as server:
        yield server


@pytest.fixture
def hurry(monkeypatch):
    """Waits a tenth as long."""
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(backoff, "LONGEST_WAIT", 0.2)
