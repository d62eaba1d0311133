"""A connection by itself: what bytes become requests, and what is answered, however they are cut."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.http.clients import LINE, Client, chunked, post
from webhook.admission.response import Answer
from webhook.server.http import exchange
from webhook.server.http.connection import MOST_AHEAD

REQUESTS = [
    (post(b"one"), [(200, b"one")]),
    (post(b""), [(200, b"")]),
    (chunked(b"a", b"bc"), [(200, b"abc")]),
    (chunked(b"a", end=b"0\r\nX: y\r\n\r\n"), [(200, b"a")]),
    (b"GET /%6eowhere HTTP/1.1\r\nHost: x\r\n\r\n", [(404, b"none")]),
    (b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", [(404, b"")]),
    (post(b"body", target=b"/nowhere"), [(404, b"none")]),
    (post(b"POST /mutate HTTP/1.1\r\nHost: x\r\n\r\n", target=b"/nowhere"), [(404, b"none")]),
]
Cuts = st.lists(st.integers(0, 2000), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), Cuts)
def test_requests_are_answered_in_order_however_they_are_cut(requests, cuts):
    """Pipelined, in pieces, some by a thread: each its own answer, and the connection stays open."""
    text = b"".join(request for request, _ in requests)
    edges = [0, *sorted(cut % len(text) for cut in cuts), len(text)]
    made = Client()
    try:
        for start, end in itertools.pairwise(edges):
            if made.transport.paused:
                made.wait()
            made.send(text[start:end])
        made.wait()
        assert made.answers() == [answer for _, answers in requests for answer in answers]
        assert not made.transport.closed
    finally:
        made.end()


def test_a_later_answer_keeps_the_order_and_stops_reading(client):
    """What was asked behind it waits, and what comes then is not read."""
    client.send(post(b"later 1") + post(b"two") + post(b"later 3"))
    assert client.answers() == []
    assert client.transport.paused
    assert client.in_flight() == 3
    (first, body), (third, _) = client.echo.pending
    third.set_result(Answer(200, b"three"))
    client.run()
    assert client.answers() == []
    first.set_result(Answer(200, body))
    client.run(0.01)
    assert client.answers() == [(200, b"later 1"), (200, b"two"), (200, b"three")]
    assert not client.transport.paused


def test_requests_ahead_are_bounded(client):
    """The connection ends with a refusal behind those that were taken."""
    client.send(post(b"later") + post(b"next") * (MOST_AHEAD + 5))
    ((future, body),) = client.echo.pending
    future.set_result(Answer(200, body))
    client.run(0.01)
    statuses = [status for status, _ in client.answers()]
    assert statuses == [200] * MOST_AHEAD + [400]
    assert client.transport.closed


@pytest.mark.parametrize("text", [post(b"x" * 40_000), post(b"later"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_client_that_leaves_is_forgotten(text):
    """Whatever was being done for it: nothing is held, nothing is written, nothing raises."""
    made = Client()
    made.send(text)
    made.connection.connection_lost(None)
    for future, body in made.echo.pending:
        future.set_result(Answer(200, body))
    made.transport.closed = True
    made.run(0.05)
    made.end()


def test_an_answer_that_is_not_read_stops_reading(client):
    """Until the client takes it."""
    client.send(post(b"one"))
    client.connection.pause_writing()
    assert client.transport.paused
    client.connection.resume_writing()
    assert not client.transport.paused


def test_without_a_certificate_nothing_is_answered():
    """A 403 for whatever comes, and it is counted."""
    seen = []
    made = Client(requires_client_cert=True, on_unauthenticated=seen.append)
    made.send(post(b"one"))
    assert [status for status, _ in made.answers()] == [403]
    assert made.transport.closed
    assert made.echo.bodies == []
    assert len(seen) == 1
    made.end()


def test_a_client_that_asks_for_the_end_gets_it(client):
    """After its answer, and what it sends behind that is not served."""
    client.send(post(b"one", b"Connection: close\r\n") + post(b"two"))
    assert client.answers() == [(200, b"one")]
    assert b"\r\nConnection: close\r\n" in client.transport.written
    assert client.transport.closed


def test_http_1_0_is_served_and_closed(client):
    """Whatever it says of the connection."""
    client.send(post(b"one", b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert client.answers() == [(200, b"one")]
    assert client.transport.closed


def test_100_continue_is_said_once_and_only_where_it_is_waited_for(client):
    """Not when the body came with the head, nor for a refusal."""
    head, _, body = post(b"one", b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert client.answers() == [(200, b"one")]
    client.send(head.replace(b"json", b"xml") + b"\r\n\r\n")
    assert client.transport.written.count(b" 100 ") == 1
    assert client.answers()[1][0] == 415


def test_an_old_client_hears_nothing_before_its_answer(client):
    """HTTP/1.0 knows no 100 Continue."""
    client.send(post(b"one", b"Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")[:-3])
    assert client.transport.written == b""
    client.send(b"one")
    assert client.answers() == [(200, b"one")]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
        b"PUT /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"GET /mutate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        LINE + b"Content-Length: 10\r\n\r\n",
    ],
)
def test_a_body_that_does_not_come_ends_whatever_it_was_for(client, head, monkeypatch):
    """Also where nobody would read it: else a few bytes hold a connection for good."""
    monkeypatch.setattr(exchange, "_PROGRESS_SECONDS", 0.01)
    monkeypatch.setattr(exchange.Exchange, "_left", lambda _: -1.0)
    client.send(head)
    client.run(0.05)
    assert [status for status, _ in client.answers()] == [408]
