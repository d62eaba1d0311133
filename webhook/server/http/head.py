"""The head of a request: its limits, and what of it is read. The HTTP parser has checked its grammar."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

MAX_HEAD: Final = 64 * 2**10
"""Bytes that may come before a head is whole."""

MAX_LINE: Final = 8190
MAX_FIELDS: Final = 100
_ABSOLUTE: Final = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
"""Scheme and authority of a target, which a proxy may send (RFC 9112, section 3.2.2)."""

_ONCE: Final = frozenset({b"host", b"content-type", b"content-length", b"transfer-encoding", b"expect"})


class HttpError(Exception):
    """A request is no HTTP that is served; the connection ends with the answer that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(NamedTuple):
    """What is read of a head.

    Attributes:
        path: without percent signs.
        length: of the body; None: it comes in chunks.
        waits: whether the client waits for ``100 Continue`` before it sends the body.
    """

    method: str
    path: str
    query: str
    content_type: str
    length: int | None
    waits: bool


def read_head(method: bytes, target: bytes, fields: Sequence[tuple[bytes, bytes]]) -> Head:
    """Return the head of a request.

    Args:
        method: of the request.
        target: path and query.
        fields: names and values of the header fields, in order.

    Raises:
        HttpError: something is too long, stands twice or is not served.
    """
    if len(target) > MAX_LINE:
        raise HttpError(414, f"the URL has {len(target)} bytes; {MAX_LINE} are allowed")
    read: dict[bytes, bytes] = {}
    for raw, value in fields:
        if len(raw) + len(value) > MAX_LINE:
            raise HttpError(431, f"a header field has more than {MAX_LINE} bytes")
        name = raw.lower()
        if name in _ONCE:
            if name in read:
                raise HttpError(400, f"the header field {name.decode()} stands twice")
            read[name] = value.strip(b" \t")
    if len(fields) > MAX_FIELDS:
        raise HttpError(431, f"there are {len(fields)} header fields; {MAX_FIELDS} are allowed")
    expect = read.get(b"expect", b"").lower()
    if expect not in {b"", b"100-continue"}:
        raise HttpError(417, "of what a client may expect, only 100-continue is known")
    coding = read.get(b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise HttpError(400, "Transfer-Encoding: only chunked is known")
    path, _, query = _ABSOLUTE.sub("", target.decode("latin-1")).partition("?")
    return Head(
        method.decode(),
        unquote(path, "latin-1") if "%" in path else path,
        query,
        read.get(b"content-type", b"").decode("latin-1"),
        int(read.get(b"content-length", b"0")) if coding is None else None,
        bool(expect),
    )
