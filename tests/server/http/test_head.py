"""Heads: what is read, and what is refused."""

import pytest

from webhook.server.http.head import MAX_FIELDS, MAX_LINE, Head, HttpError, read_head

HOST = (b"Host", b"x")


def test_what_is_read_of_a_head():
    """Names in any case; the path without percent signs, the query as it came."""
    fields = [
        HOST,
        (b"CONTENT-TYPE", b"application/json"),
        (b"content-length", b"12"),
        (b"Expect", b"100-Continue"),
    ]
    assert read_head(b"POST", b"/%6dutate?timeout=1%73", fields) == Head(
        "POST", "/mutate", "timeout=1%73", "application/json", 12, waits=True
    )
    assert read_head(b"GET", b"/", [HOST]) == Head("GET", "/", "", "", 0, waits=False)
    assert read_head(b"POST", b"/", [(b"Transfer-Encoding", b"\tChunked ")]).length is None
    assert read_head(b"GET", b"HTTP://host:8443/mutate?a=http://b", [HOST])[1:3] == ("/mutate", "a=http://b")


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        (b"/" + b"x" * MAX_LINE, [], 414),
        (b"/", [(b"A", b"x" * MAX_LINE)], 431),
        (b"/", [(b"A" * MAX_LINE, b"x")], 431),
        (b"/", [(b"A%d" % n, b"x") for n in range(MAX_FIELDS + 1)], 431),
        (b"/", [HOST, HOST], 400),
        (b"/", [(b"Content-Type", b"text/plain"), (b"content-type", b"application/json")], 400),
        (b"/", [(b"Content-Length", b"1"), (b"content-length", b"1")], 400),
        (b"/", [(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"chunked")], 400),
        (b"/", [(b"Transfer-Encoding", b"gzip, chunked")], 400),
        (b"/", [(b"Transfer-Encoding", b"gzip")], 400),
        (b"/", [(b"Transfer-Encoding", b"")], 400),
        (b"/", [(b"Expect", b"200-ok")], 417),
    ],
)
def test_what_is_refused(target, fields, status):
    """Too long, twice, or not known."""
    with pytest.raises(HttpError) as caught:
        read_head(b"POST", target, fields)
    assert caught.value.status == status


def test_what_is_just_allowed():
    """The limits themselves are."""
    fields = [(b"A%d" % n, b"x" * 10) for n in range(MAX_FIELDS - 1)] + [(b"A", b"x" * (MAX_LINE - 1))]
    assert read_head(b"POST", b"/" * MAX_LINE, fields).path == "/" * MAX_LINE
