"""One call to an API server, and a stream: what comes back, and what is said where nothing does."""

import contextlib
import datetime as dt
import socket
import ssl
import threading

import pytest
import trustme

from tests.kube.fakeapi import NAMESPACES, FakeApi
from tests.kube.fakeproxy import FakeProxy
from webhook.kube import client
from webhook.kube.access import Access, AccessError
from webhook.kube.client import ApiError, Client

PLACE = f"{NAMESPACES}/a"


@contextlib.contextmanager
def saying(*answers):
    """A server that sends bytes as they are, one answer for each connection; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    thread.join(10)
    server.close()


def answer(body, *headers, status="200 OK"):
    """An answer of HTTP."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_what_need_not_exist_is_found_or_not(fake):
    """A 404 is None; every other failure is one."""
    fake.put(NAMESPACES, "a")
    api = fake.api()
    assert api.find(PLACE)["metadata"]["name"] == "a"
    assert api.find(f"{NAMESPACES}/b") is None
    fake.failures["GET", PLACE] = [(403, {"message": "forbidden", "reason": "Forbidden"})]
    with pytest.raises(ApiError, match="403: forbidden"):
        api.find(PLACE)


def test_a_refusal_says_why_and_when_to_come_back():
    """Status, reason, message and Retry-After, and the server's own time of day."""
    body = b'{"kind":"Status","message":"later","reason":"TooManyRequests"}'
    date = "Date: Thu, 01 Jan 2026 12:00:00 GMT"
    with saying(answer(body, "Retry-After: 7", date, status="429 Too Many Requests")) as port:
        api = Client(Access(f"http://127.0.0.1:{port}"))
        with pytest.raises(ApiError, match="429: later") as raised:
            api.get("/")
    error = raised.value
    assert (error.status, error.retry_after) == (429, 7.0)
    assert api.date == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def test_it_goes_nowhere_else():
    """A redirection is not followed: the token is for this server alone."""
    there = answer(b"", "Location: http://127.0.0.1:1/", "Content-Length: 0", status="302 Found")
    with saying(there) as port, pytest.raises(ApiError, match="302") as raised:
        Client(Access(f"http://127.0.0.1:{port}", token=lambda: b"t")).get("/")
    assert raised.value.status == 302


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (answer(b"{", "Content-Length: 100"), "the connection broke"),
        (answer(b"5\r\n{}", "Transfer-Encoding: chunked"), "the connection broke"),
        (answer(b"x\r\n", "Transfer-Encoding: chunked"), "broke|chunk|invalid"),
        (answer(b"nothing"), "is not JSON"),
        (answer(b"[]"), "is no object"),
        (answer(b"1" * 2000), "longer than 1000 bytes"),
        (b"SSH-2.0-x\r\n", "SSH-2.0"),
        (b"", "closed connection without response"),
    ],
)
def test_an_answer_that_is_none_is_an_error(said, message, monkeypatch):
    """Cut off, too long, not HTTP, not an object."""
    monkeypatch.setattr(client, "_MAX_BODY", 1000)
    with saying(said) as port, pytest.raises(ApiError, match=message) as raised:
        Client(Access(f"http://127.0.0.1:{port}")).call("POST", "/")
    assert raised.value.status == 0


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (answer(b'{"a"', "Transfer-Encoding: identity"), "in the middle of a line"),
        (answer(b"x" * 2000), "a line is longer than 1000 bytes"),
        (answer(b"", status="410 Gone"), "410"),
    ],
)
def test_a_stream_that_goes_wrong_is_an_error(said, message, monkeypatch):
    """A half line is not one that was sent."""
    monkeypatch.setattr(client, "_MAX_LINE", 1000)
    with saying(said) as port, pytest.raises(ApiError, match=message):
        list(Client(Access(f"http://127.0.0.1:{port}")).stream("/"))


def test_nobody_there_and_no_certificate_for_it():
    """What the system says, in its words."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ApiError, match="Connection refused"):
        Client(Access(f"http://127.0.0.1:{port}")).get("/")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeApi(context) as fake, pytest.raises(ApiError, match="the server's certificate is not good"):
        Client(Access(f"https://127.0.0.1:{fake.port}")).get("/")


@pytest.mark.parametrize(
    "server",
    ["", "10.0.0.1", "https://", "https://[::1", "https://a:x", "ftp://a", "https://u@a", "https://a?b"],
)
def test_a_server_is_a_plain_url(server):
    """Anything else is refused before a call."""
    with pytest.raises(AccessError, match=r"server: .* is not an https:// URL"):
        Client(Access(server))


@pytest.mark.parametrize("token", [b"a\nb", b"a\r\nX: y", b"\xff", b" a", b"a\0"])
def test_a_token_that_no_header_can_hold_is_not_sent(fake, token):
    """A line break in it would begin a header of its own."""
    with pytest.raises(ApiError, match="holds a line break, or another") as raised:
        fake.api(token=lambda: token).get(NAMESPACES)
    assert "a\n" not in str(raised.value)
    assert fake.tokens == []


def test_a_proxy_carries_calls(fake):
    """With the user and password of its URL; what it refuses is its error."""
    fake.put(NAMESPACES, "a")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FakeProxy() as proxy, FakeApi(context) as secure:
        url = f"http://jane:p%40ss@127.0.0.1:{proxy.port}"
        fake.api(proxy=url).get(PLACE)
        access = Access(
            f"https://127.0.0.1:{secure.port}",
            authority=authority.cert_pem.bytes,
            proxy=url,
            token=lambda: b"t",
        )
        Client(access).get(NAMESPACES)
        basic = "Basic amFuZTpwQHNz"
        assert proxy.asked == [
            (f"GET http://127.0.0.1:{fake.port}{PLACE}", basic),
            (f"CONNECT 127.0.0.1:{secure.port}", basic),
        ]
        assert secure.tokens == ["Bearer t"]
        proxy.refuses = 403
        with pytest.raises(ApiError, match="Tunnel connection failed: 403") as raised:
            Client(access).get(NAMESPACES)
        assert "p%40ss" not in str(raised.value)
    with pytest.raises(ApiError, match="the proxy: Connection refused"):
        Client(access).get(NAMESPACES)
