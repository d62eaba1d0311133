"""Calls over connections that are kept: fewer of them, and none the worse for it."""

import contextlib
import ssl
import subprocess
import sys
import threading

import pytest
import trustme

from tests.kube.fakeapi import NAMESPACES, FakeApi
from tests.kube.fakeproxy import FakeProxy
from tests.waiting import until
from webhook.kube import transport
from webhook.kube.access import Access
from webhook.kube.client import APPLY_PATCH, ApiError, Client

PLACE = f"{NAMESPACES}/a"

FORKED = """
import os, sys
from pathlib import Path
from webhook.kube.access import Access, from_file
from webhook.kube.client import Client

port, ca, path = sys.argv[1:]
client = Client(Access(f"https://127.0.0.1:{port}", authority=from_file(Path(ca))))
client.get(path)
child = os.fork()
if child == 0:
    client.get(path)
    client.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
client.get(path)
"""


@pytest.fixture
def opened(monkeypatch):
    """The connections that are opened, in order."""
    made = []
    connect = transport.Connection.connect

    def counted(connection):
        made.append(connection)
        connect(connection)

    monkeypatch.setattr(transport.Connection, "connect", counted)
    return made


@pytest.fixture
def authority():
    """Who vouches for servers."""
    return trustme.CA()


@pytest.fixture
def tls(authority):
    """What a server on loopback speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_reads_share_a_connection(fake, opened):
    """However many there are, one after another."""
    api = fake.api()
    for _ in range(5):
        api.get(NAMESPACES)
    assert len(opened) == 1


def test_a_put_uses_the_kept_connection(fake, opened):
    """Somebody's admission request waits for it."""
    fake.put(NAMESPACES, "a")
    api = fake.api()
    found = api.get(PLACE)
    assert api.call("PUT", PLACE, body=found)["metadata"]["name"] == "a"
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


def test_a_put_looks_at_the_kept_connection_first(fake, opened):
    """One that the server closed while it was idle is not used: the PUT is made once, and succeeds."""
    fake.put(NAMESPACES, "a")
    fake.closes = True
    api = fake.api()
    found = api.get(PLACE)
    (kept,) = opened
    until(lambda: not kept.is_connected)
    api.call("PUT", PLACE, body=found)
    assert (fake.requests["PUT", PLACE], len(opened)) == (1, 2)


def test_a_read_whose_connection_ends_is_made_again_once(fake):
    """On a new connection; if that ends as well, it is an error."""
    api = fake.api()
    api.get(NAMESPACES)
    fake.failures["GET", NAMESPACES] = [(0, b"")]
    assert api.get(NAMESPACES)["items"] == []
    fake.failures["GET", NAMESPACES] = [(0, b""), (0, b"")]
    with pytest.raises(ApiError):
        api.get(NAMESPACES)


def test_a_put_whose_connection_ends_is_not_made_again(fake):
    """It may have been done: only who asked can know what follows."""
    fake.put(NAMESPACES, "a")
    api = fake.api()
    found = api.get(PLACE)
    fake.failures["PUT", PLACE] = [(0, b"")]
    with pytest.raises(ApiError, match="closed connection without response") as raised:
        api.call("PUT", PLACE, body=found)
    assert raised.value.status == 0
    assert fake.requests["PUT", PLACE] == 1


def test_an_apply_may_be_made_twice(fake, opened):
    """It uses the kept connection, and is made again where that ends: done twice, it changes nothing more."""
    fake.put(NAMESPACES, "a")
    api = fake.api()
    api.get(PLACE)
    body, query = {"metadata": {"name": "a"}, "spec": {"x": 1}}, {"fieldManager": "m", "force": "false"}
    api.call("PATCH", PLACE, body=body, content_type=APPLY_PATCH, query=query)
    assert len(opened) == 1
    fake.failures["PATCH", PLACE] = [(0, b"")]
    assert api.call("PATCH", PLACE, body=body, content_type=APPLY_PATCH, query=query)["spec"] == {"x": 1}
    assert (fake.requests["PATCH", PLACE], len(opened)) == (3, 2)


def test_what_must_not_be_done_twice_is_asked_once(fake, opened):
    """A POST has a connection of its own, and is not repeated."""
    api = fake.api()
    api.get(NAMESPACES)
    fake.failures["POST", NAMESPACES] = [(0, b"")]
    with pytest.raises(ApiError):
        api.call("POST", NAMESPACES, body={"metadata": {"name": "a"}})
    assert fake.requests["POST", NAMESPACES] == 1
    assert len(opened) == 2


def test_what_was_idle_for_long_is_not_used(fake, opened, monkeypatch):
    """A load balancer may have forgotten it."""
    api = fake.api()
    api.get(NAMESPACES)
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.0)
    api.get(NAMESPACES)
    assert [connection.is_closed for connection in opened] == [False, False]
    assert len(opened) == 2


def test_only_so_many_are_kept(fake, opened, monkeypatch):
    """A storm leaves no hundred connections behind."""
    monkeypatch.setattr(transport, "MOST_IDLE", 2)
    api = fake.api()
    fake.lag = 0.2
    threads = [threading.Thread(target=api.get, args=(NAMESPACES,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [connection.is_closed for connection in opened].count(False) == 2
    api.close()
    assert all(connection.is_closed for connection in opened)


def test_a_kept_connection_is_of_the_trust_that_counts_now(authority, tls, opened):
    """When the authority changes, no call goes over a connection that the old one vouched for."""
    pem = [authority.cert_pem.bytes()]
    with FakeApi(tls) as fake:
        api = Client(Access(f"https://127.0.0.1:{fake.port}", authority=lambda: pem[0]))
        api.get(NAMESPACES)
        pem[0] = trustme.CA().cert_pem.bytes()
        with pytest.raises(ApiError, match="the server's certificate is not good"):
            api.call("PUT", PLACE, body={})
        assert opened[0].is_closed
        pem[0] += authority.cert_pem.bytes()
        api.get(NAMESPACES)
        assert fake.requests["PUT", PLACE] == 0
        api.close()


def test_a_child_leaves_its_parents_connections_alone(authority, tls, tmp_path):
    """After a fork it opens its own; the parent's goes on, which a good-bye in its name would end."""
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    with FakeApi(tls) as fake:
        accepted = []
        accept = fake.server.get_request
        fake.server.get_request = lambda: accepted.append(1) or accept()
        command = [sys.executable, "-c", FORKED, str(fake.port), str(tmp_path / "ca.crt"), NAMESPACES]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 — ours
        assert done.returncode == 0, done.stderr
        assert fake.requests["GET", NAMESPACES] == 3
        assert len(accepted) == 2


@pytest.mark.parametrize("layers", ["plain", "tls", "tls in tls"])
def test_a_stream_is_ended_from_another_thread(authority, tls, layers):
    """A read that waits for the server returns at once, whatever carries it."""
    secure = layers != "plain"
    with FakeApi(tls if secure else None) as fake, FakeProxy(tls) as proxy:
        access = Access(
            f"http{'s' if secure else ''}://127.0.0.1:{fake.port}",
            authority=authority.cert_pem.bytes,
            proxy=f"https://127.0.0.1:{proxy.port}" if layers == "tls in tls" else None,
        )
        streams, ended = [], threading.Event()

        def read():
            query = {"watch": "1", "resourceVersion": "0"}
            with contextlib.suppress(ApiError):
                list(Client(access).stream(NAMESPACES, query=query, opened=streams.append))
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        until(lambda: streams and fake.watches)
        assert not ended.is_set()
        streams[0].abort()
        assert ended.wait(10)
        streams[0].abort()
        fake.cut()
