"""Bodies of many connections share what a process may hold."""

from tests.server.http.clients import LINE, TE, post
from webhook.server.http import connection, exchange
from webhook.server.http.bodies import DEFAULT_BYTES, MAX_BODY, Share


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


def test_a_body_that_had_to_wait_was_not_too_slow(many, monkeypatch):
    """429 when its time is over, as of one that waits still: the bodies of others took its time."""
    monkeypatch.setattr(exchange, "_PROGRESS_SECONDS", 0.01)
    length = b"Content-Length: %d\r\n" % MAX_BODY
    holders, let_in, waiting = [many(), many()], many(), many()
    for each in (*holders, let_in, waiting):
        each.send(LINE + length + b"\r\n")
    holders[0].connection.connection_lost(None)
    assert (let_in.transport.paused, waiting.transport.paused) == (False, True)
    let_in.send(b"x" * 1000)
    monkeypatch.setattr(exchange.Exchange, "_left", lambda _: -1.0)
    let_in.run(0.05)
    answers = {each: [status for status, _ in each.answers()] for each in (holders[1], let_in, waiting)}
    assert list(answers.values()) == [[408], [429], [429]]


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
