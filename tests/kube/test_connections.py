"""Calls over connections that are kept: fewer of them, and none the worse for it."""

import http.client
import os

import pytest

from tests.kube.fakeapi import NAMESPACES
from webhook.kube import connections
from webhook.kube.client import ApiError
from webhook.kube.connections import Connections


@pytest.fixture
def opened(monkeypatch):
    """The connections that are opened, in order."""
    made = []
    connect = http.client.HTTPConnection.connect

    def counted(connection):
        made.append(connection)
        connect(connection)

    monkeypatch.setattr(http.client.HTTPConnection, "connect", counted)
    return made


def test_reads_share_a_connection(fake, opened):
    """However many there are, one after another."""
    api = fake.api()
    for _ in range(5):
        api.get(NAMESPACES)
    assert len(opened) == 1


def test_a_failure_leaves_the_connection_good(fake, opened):
    """A 404 is an answer like others."""
    api = fake.api()
    for _ in range(3):
        with pytest.raises(ApiError):
            api.get(f"{NAMESPACES}/none")
    assert len(opened) == 1


def test_a_server_that_came_back_is_asked_on_a_new_connection(fake, opened):
    """What it closed meanwhile costs nobody a call."""
    api = fake.api()
    api.get(NAMESPACES)
    fake.stop()
    fake.start()
    assert api.get(NAMESPACES)["items"] == []
    assert len(opened) == 2


def test_a_read_whose_connection_ends_is_made_again_once(fake):
    """On a new connection; if that ends as well, it is an error."""
    api = fake.api()
    api.get(NAMESPACES)
    fake.failures["GET", NAMESPACES] = [(0, b"")]
    assert api.get(NAMESPACES)["items"] == []
    fake.failures["GET", NAMESPACES] = [(0, b""), (0, b"")]
    with pytest.raises(ApiError):
        api.get(NAMESPACES)


def test_what_must_not_be_done_twice_is_asked_once(fake, opened):
    """A POST has a connection of its own, and is not repeated."""
    api = fake.api()
    api.get(NAMESPACES)
    fake.failures["POST", NAMESPACES] = [(0, b"")]
    with pytest.raises(ApiError):
        api.call("POST", NAMESPACES, body={"metadata": {"name": "a"}})
    assert fake.requests["POST", NAMESPACES] == 1
    assert len(opened) == 2


def test_idle_connections_are_let_go(fake):
    """Those that are too old, made with other credentials, of a parent process, or too many."""
    now = [0.0]
    kept = Connections(lambda: now[0])

    def one():
        connection = http.client.HTTPConnection("127.0.0.1", fake.port)
        connection.connect()
        return connection

    first = one()
    kept.keep(first, None)
    assert kept.take(None) is first
    kept.keep(first, None)
    now[0] += connections.IDLE_SECONDS
    assert kept.take(None) is None
    assert first.sock is None
    other, context = one(), object()
    kept.keep(other, context)
    assert kept.take(None) is None
    assert other.sock is None
    many = [one() for _ in range(connections.MOST_IDLE + 1)]
    for each in many:
        kept.keep(each, None)
    assert [each.sock is None for each in many].count(True) == 1
    kept._owner = os.getpid() + 1
    assert kept.take(None) is None
    assert [each.sock is None for each in many].count(True) == 1
    for each in many:
        each.close()
