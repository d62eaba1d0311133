"""What could be read in two ways, or has no end, is refused; what is clear is served."""

import json

import pytest

from tests.server.http.clients import CL, LINE, TE, chunked, post
from webhook.server.http.head import MAX_HEAD

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


@pytest.mark.parametrize("target", [b"/mutate", b"/nowhere"])
def test_a_refused_head_gets_no_body(client, target):
    """What refuses it says why in a body, which a client that sent HEAD does not expect."""
    client.send(b"HEAD %s HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n" % target)
    assert client.answers() == [(413, b"")]
