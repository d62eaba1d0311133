"""A connection by itself: what bytes become requests, and what is answered, however they are cut."""

import asyncio
import itertools
import json
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge

from webhook.admission.response import Answer, errored
from webhook.server.http import connection, exchange
from webhook.server.http.bodies import DEFAULT_BYTES, MAX_BODY, Share
from webhook.server.http.connection import MOST_AHEAD, Connection
from webhook.server.http.head import MAX_HEAD
from webhook.server.http.site import Application, Site


class Echo:
    """Answers a body with itself, at once or, if it begins with ``later``, when asked to."""

    def __init__(self):
        self.bodies = []
        self.pending = []

    def begin(self, body, seconds):
        """Note the body."""
        del seconds
        self.bodies.append(body)
        if not body.startswith(b"later"):
            return Answer(200, body)
        future = Future()
        self.pending.append((future, body))
        return future

    def late(self, begun, seconds):
        """Say so."""
        del seconds
        begun.cancel()
        return errored(503, "late")

    def refuse(self, error):
        """Say so."""
        return errored(error.status, error.message)


class Transport:
    """Notes what is written."""

    def __init__(self):
        self.written = b""
        self.closed = self.paused = self.aborted = False
        self.unread = 0

    def write(self, data):
        """Note it."""
        assert not self.closed
        self.written += data

    def close(self):
        """Note it."""
        self.closed = True

    def abort(self):
        """Note it."""
        self.closed = self.aborted = True

    def get_write_buffer_size(self):
        """What the client has not read."""
        return self.unread

    def is_closing(self):
        """Say whether it was closed."""
        return self.closed

    def can_write_eof(self):
        """As TLS."""
        return False

    def get_extra_info(self, _):
        """Know nothing."""

    def pause_reading(self):
        """Note it."""
        assert not self.paused
        self.paused = True

    def resume_reading(self):
        """Note it."""
        assert self.paused
        self.paused = False


def rest(environ, start_response):
    """Answer all that is no review."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [b"none"]


class Client:
    """A connection, and the loop in which it lives."""

    def __init__(self, site=None, **more):
        self.loop = asyncio.new_event_loop() if site is None else site.loop
        self.echo = Echo()
        in_flight = Gauge("in_flight", "In flight.", registry=CollectorRegistry())
        application = Application({"/mutate": self.echo}, in_flight, lambda: rest, **more)
        self.in_flight = lambda: in_flight.collect()[0].samples[0].value
        self.site = site or Site(application, self.loop, 10, lambda: None)
        self.connection = Connection(self.site)
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    def send(self, *pieces):
        """Send pieces, one after another, as far as the connection is open."""
        for piece in pieces:
            if not self.transport.closed:
                self.connection.data_received(piece)

    def run(self, seconds=0.0):
        """Let the loop go on."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def wait(self):
        """Let the loop go on until there are answers to all."""
        while not self.connection.waits and not self.transport.closed:
            self.run(0.001)

    def answers(self):
        """Status and body of each answer."""
        found, left = [], self.transport.written
        while left:
            head, _, left = left.partition(b"\r\n\r\n")
            if head == b"HTTP/1.1 100 Continue":
                continue
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields.get(b"Content-Length", 0))  # an answer to HEAD has none
            found.append((int(head[9:12]), left[:length]))
            left = left[length:]
        return found

    def end(self):
        """Close, and look that nothing is held any more."""
        if self.connection in self.site.open:
            self.connection.connection_lost(None)
        assert self.in_flight() == 0
        bodies = self.site.bodies
        assert (bodies.small, bodies.large, bodies.waiting) == (0, 0, {})
        self.site.pool.shutdown()
        self.loop.close()


@pytest.fixture
def client():
    """A client; all that it held is given back at the end."""
    made = Client()
    yield made
    made.end()


LINE = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CL = b"Content-Length: 5\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


def post(body, extra=b"", target=b"/mutate"):
    """The bytes of a request."""
    head = LINE.replace(b"/mutate", target)
    return head + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), extra, body)


def chunked(*chunks, end=b"0\r\n\r\n"):
    """The same in chunks."""
    return LINE + TE + b"\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end


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


SMUGGLED = post(b"smuggled")
SHAPES = {
    "both framings": LINE + CL + TE + b"\r\n0\r\n\r\n",
    "both framings, the other way": LINE + TE + CL + b"\r\n0\r\n\r\n",
    "two lengths": LINE + CL + b"Content-Length: 6\r\n\r\nhello",
    "two lengths that agree": LINE + CL + CL + b"\r\nhello",
    "a list of lengths": LINE + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": LINE + b"Content-Length: +5\r\n\r\nhello",
    "a length below nothing": LINE + b"Content-Length: -5\r\n\r\nhello",
    "a length in hexadecimal": LINE + b"Content-Length: 0x5\r\n\r\nhello",
    "a length with a space": LINE + b"Content-Length: 5 0\r\n\r\nhello",
    "a length that is no number": LINE + b"Content-Length: five\r\n\r\nhello",
    "an empty length": LINE + b"Content-Length: \r\n\r\nhello",
    "a length beyond all": LINE + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nhello",
    "a space before the colon": LINE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": LINE + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "another coding": LINE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": LINE + TE + TE + b"\r\n0\r\n\r\n",
    "chunked, and then not": LINE + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": LINE + b"Transfer-Encoding: identity\r\n\r\nhello",
    "lines that end in LF": LINE.replace(b"\r\n", b"\n") + b"Content-Length: 5\n\nhello",
    "a CR in a value": LINE + b"A: b\rTransfer-Encoding: chunked\r\n\r\n",
    "a NUL in a value": LINE + b"A: b\x00c\r\n\r\n",
    "a NUL in a name": LINE + b"A\x00: b\r\n\r\n",
    "a folded value": LINE + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a line without a colon": LINE + b"Transfer-Encoding\r\n\r\n",
    "a name with a space": LINE + b"A b: c\r\n\r\n",
    "a space before the first name": b"POST /mutate HTTP/1.1\r\n Host: x\r\n\r\n",
    "two hosts": LINE + b"Host: y\r\n\r\n",
    "two types": LINE + b"Content-Type: application/json\r\n\r\n",
    "a space in the target": b"POST /mutate /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"post /mutate HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method that is none": b"SMUGGLE /mutate HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /mutate\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.9": LINE.replace(b"1.1", b"1.9") + b"\r\n",
    "HTTP/3": LINE.replace(b"1.1", b"3.0") + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an upgrade": LINE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "a tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an expectation": LINE + b"Expect: miracles\r\nContent-Length: 5\r\n\r\n",
    "a chunk size that is none": LINE + TE + b"\r\nzz\r\n",
    "a chunk size with 0x": LINE + TE + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with a sign": LINE + TE + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond all": LINE + TE + b"\r\n" + b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": LINE + TE + b"\r\n3\r\nhello\r\n0\r\n\r\n",
    "a chunk without an end": LINE + TE + b"\r\n5\r\nhello0\r\n\r\n",
    "a chunk after LF": LINE + TE + b"\r\n5\nhello\n0\n\n",
    "a chunk size with a space": LINE + TE + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_could_be_read_in_two_ways_is_refused(client, shape, cut):
    """A 4xx or 505 that is a Status, the end of the connection, and nothing behind it is served."""
    text = SHAPES[shape] + SMUGGLED
    client.send(*([text] if not cut else [text[i : i + cut] for i in range(0, len(text), cut)]))
    client.wait()
    (answer,) = client.answers()
    assert 400 <= answer[0] < 500 or answer[0] == 505
    assert json.loads(answer[1])["kind"] == "Status"
    assert b"\r\nConnection: close\r\n" in client.transport.written
    assert client.transport.closed
    assert b"smuggled" not in client.echo.bodies


TWINS = {
    "chunks with an extension": LINE + TE + b"\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    "a length with zeros": LINE + b"Content-Length: 0005\r\n\r\nhello",
    "spaces around a value": LINE + b"Content-Length:   5  \r\n\r\nhello",
    "chunked in large letters": LINE + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an upgrade that nobody asks for": LINE + b"Upgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "empty lines before": b"\r\n\r\n" + LINE + CL + b"\r\nhello",
    "a byte above 127": LINE + b"A: \xff\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("shape", TWINS)
def test_what_is_clear_is_served(client, shape):
    """What the grammar allows, and what follows it."""
    client.send(TWINS[shape] + post(b"next"))
    client.wait()
    assert client.answers() == [(200, b"hello"), (200, b"next")]
    assert not client.transport.closed


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 1000,
        b"GET / HTTP/1.1\r\nA: " + b"x" * 1000,
        b"GET / HTTP/1.1\r\n" + b"A" * 1000,
        chunked(b"a", end=b"0\r\nA: ") + b"x" * 1000,
        chunked(b"a", end=b"0\r\n" + b"A: b\r\n" * 200),
        chunked(end=b"0" * 1000),
        chunked(end=b"1;" + b"x" * 1000),
    ],
)
def test_a_head_without_end_is_refused(client, endless):
    """Its memory is bounded, and so are trailers and chunk sizes."""
    again = endless[-996:]
    client.send(endless, *[again] * (2 * MAX_HEAD // 996))
    assert client.transport.closed
    assert [status for status, _ in client.answers()] in ([431], [400])


def test_a_head_that_begins_behind_a_large_body_is_no_large_head(client):
    """What belongs to the body before it is not counted."""
    text = post(b"x" * 200_000, target=b"/nowhere") + post(b"one")
    client.send(text[:190_000], text[190_000:-20], text[-20:])
    client.wait()
    assert [status for status, _ in client.answers()] == [404, 200]


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


@pytest.mark.parametrize("target", [b"/mutate", b"/nowhere"])
def test_a_refused_head_gets_no_body(client, target):
    """What refuses it says why in a body, which a client that sent HEAD does not expect."""
    client.send(b"HEAD %s HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n" % target)
    assert client.answers() == [(413, b"")]


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


def test_bodies_in_chunks_reserve_once(many):
    """Two of the largest fit; the others stand still, however many pieces come."""
    piece = b"x" * (64 * 2**10)
    clients = [many() for _ in range(4)]
    for each in clients:
        each.send(LINE + TE + b"\r\n")
    sent = [0] * 4
    for _ in range(20):
        for i, each in enumerate(clients):
            if not each.transport.paused:
                each.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent[i] += 1
    assert sent == [20, 20, 5, 5]
    assert clients[0].site.bodies.large == 2 * MAX_BODY


def test_100_continue_is_said_when_there_is_room(many):
    """To a client that had to wait for it."""
    length = b"Content-Length: %d\r\n" % MAX_BODY
    holders = [many(), many()]
    for each in holders:
        each.send(LINE + length + b"\r\n")
    waiting = many()
    waiting.send(LINE + length + b"Expect: 100-continue\r\n\r\n")
    assert waiting.transport.written == b""
    holders[0].connection.connection_lost(None)
    assert waiting.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_small_bodies_that_find_no_room_are_refused(client):
    """While others that have come whole wait to be decided on."""
    held = Share(lambda: None, lambda: None)
    most = DEFAULT_BYTES // 4
    assert client.site.bodies.hold(held, most, arriving=False)
    client.send(LINE + b"Content-Length: 1000\r\n\r\n" + b"x" * 900)
    assert [status for status, _ in client.answers()] == [429]
    client.site.bodies.release(held)


def test_what_a_leaving_client_does_not_read_is_given_up(client, monkeypatch):
    """Closing waits for the answers to be read, and not for ever."""
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.01)
    client.transport.unread = 5
    client.send(post(b"one", b"Connection: close\r\n"))
    client.run(0.05)
    assert client.transport.aborted
