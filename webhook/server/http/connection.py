"""One connection: bytes into exchanges, and their answers in the order of the requests.

While an answer is awaited, or the client does not read the last one, nothing more is read.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Final, cast

import httptools

from webhook.kube.status import status_body
from webhook.server.http.exchange import Exchange
from webhook.server.http.head import MAX_HEAD, HttpError, read_head
from webhook.server.http.site import Site
from webhook.server.http.wsgi import Response

LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused request is thrown away. A socket that is closed with unread bytes resets
the connection, and the client would lose the answer that says why.
"""

UNREAD_SECONDS: Final = 10.0
"""How long a client may leave an answer unread that does not fit the socket."""

MOST_AHEAD: Final = 32
"""Requests that may come together while an earlier one is being answered."""

_STATUS_LINES: Final = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode("latin-1") for each in HTTPStatus
}
_JSON: Final = b"Content-Type: application/json\r\n"


class Connection(asyncio.Protocol):
    """A client.

    Attributes:
        heard_at: when bytes came last.
        head_since: since when a head is on its way, or the first one is awaited; None: it has come.
        answered: number of answers.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._began = False  # a head did, in the bytes that are being parsed
        self._head_bytes = 0
        self._arriving: Exchange | None = None
        self._exchanges: deque[Exchange] = deque()  # that are not answered, the oldest first
        self._failure: Response | None = None
        self._deaf = False  # nothing that comes is looked at any more
        self._ending = False  # the last answer was written
        self._unread = False  # the client does not take an answer
        self._paused = False
        self._stuck: asyncio.TimerHandle | None = None
        self.heard_at = 0.0
        self.head_since: float | None = None
        self.answered = 0

    @property
    def waits(self) -> bool:
        """Whether no request is being served: it is idle, or a head has not arrived yet."""
        return not self._exchanges and not self._ending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection; there may be too many."""
        self._transport = cast("asyncio.Transport", transport)
        self.heard_at = self.head_since = self._site.loop.time()
        self._unauthenticated = self._site.application.requires_client_cert and not transport.get_extra_info(
            "peercert"
        )
        self._site.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what its requests held."""
        del exc
        self._site.open.discard(self)
        self._deaf = True
        if self._stuck is not None:
            self._stuck.cancel()
        for exchange in self._exchanges:
            exchange.end()
        self._exchanges.clear()
        self._arriving = None
        del self._parser  # which refers to this connection: what TLS holds need not wait for the collector

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._deaf:
            return
        if self._unauthenticated:
            self._site.application.on_unauthenticated("none was shown")
            self._fail(403, "this webhook asks for a client certificate (--client-ca)")
            return
        self.heard_at = self._site.loop.time()
        self._began = False
        before = None if self._arriving is None else self._arriving.length
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            why = error.__context__
            if isinstance(why, HttpError):
                self._fail(why.status, why.message)
            else:
                self._fail(400, f"the request is not HTTP: {error}"[:200])
        if not self._began:
            self._check_head(len(data), before)
        if self._arriving is not None:
            self._arriving.pause()
        if self._exchanges:
            self.update()

    def _check_head(self, number: int, before: int | None) -> None:
        """Refuse a head without end, and trailers without end: a body that is not longer than ``before``."""
        arriving = self._arriving
        if self.head_since is None and (arriving is None or arriving.length != before):
            self._head_bytes = 0
        else:
            self._head_bytes += number
            if self._head_bytes > MAX_HEAD and not self._deaf:
                self._fail(431, f"the head, or what follows a body, has more than {MAX_HEAD} bytes")

    def on_message_begin(self) -> None:
        """A head begins; what came with it is not counted, for it may be the end of a body."""
        self._began = True
        self._head_bytes = 0
        self.head_since = self.heard_at
        self._target = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; nobody reads those after a body in chunks."""
        if self._arriving is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole; raises HttpError."""
        self.head_since = None
        if self._ending or (self._exchanges and self._exchanges[-1].refused):
            return
        parser = self._parser
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise HttpError(505, "HTTP/1.1 is served")
        if parser.should_upgrade():
            raise HttpError(400, "the protocol cannot be changed; send HTTP/1.1 without Upgrade")
        if len(self._exchanges) >= MOST_AHEAD:
            raise HttpError(400, f"more than {MOST_AHEAD} requests came before their answers")
        head = read_head(parser.get_method(), self._target, self._fields)
        if version == "1.0":
            head = head._replace(waits=False)  # such a client knows no answer before the answer
        keep_alive = parser.should_keep_alive() and version == "1.1"
        exchange = self._arriving = Exchange(self, self._site, head, keep_alive=keep_alive)
        self._exchanges.append(exchange)
        exchange.begin()
        if head.waits:
            self.flush()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange, self._arriving = self._arriving, None
        if exchange is not None:
            exchange.complete()
            if exchange.refused and self._ending:
                self.close()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        self._unread = True
        self._stuck = self._site.loop.call_later(UNREAD_SECONDS, self._transport.abort)
        self.update()

    def resume_writing(self) -> None:
        """Go on."""
        self._unread = False
        if self._stuck is not None:
            self._stuck.cancel()
        self.update()

    def update(self) -> None:
        """Read on, or do not."""
        waits = bool(self._exchanges) and (self._arriving is None or not self._arriving.reading)
        pause = self._unread or waits
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def flush(self) -> None:
        """Write the answers that are known, in the order of the requests."""
        exchanges = self._exchanges
        while exchanges and (reply := exchanges[0].reply) is not None and not self._ending:
            exchange = exchanges.popleft()
            last = exchange.refused or self._site.stopping or not exchange.keep_alive
            self._write(reply, last=last, bodiless=exchange.head.method == "HEAD")
            exchange.end()
            if last and exchange.whole:
                self.close()
            elif last:  # what is left of the request is thrown away, see ``on_message_complete``
                self._ending = True
                self._site.loop.call_later(LINGER_SECONDS, self.close)
        if self._failure is not None and not exchanges and not self._ending:
            self._write(self._failure, last=True)
            self.close()
        if exchanges and exchanges[0].expects():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.update()

    def close(self) -> None:
        """Say no more, and hear no more."""
        self._ending = self._deaf = True
        transport = self._transport
        if transport.is_closing():
            return
        if self._failure is not None and transport.can_write_eof():
            transport.write_eof()
            self._site.loop.call_later(LINGER_SECONDS, transport.close)
        else:
            transport.close()  # of TLS, the farewell takes care of what is still on its way
        if transport.get_write_buffer_size() and self._stuck is None:  # it is closed once this has been read
            self._stuck = self._site.loop.call_later(UNREAD_SECONDS, transport.abort)

    def _fail(self, status: int, message: str) -> None:
        """Answer what is no HTTP, after all that was asked before."""
        self._deaf = True
        if self._exchanges and self._exchanges[-1] is self._arriving:
            self._exchanges.pop().end()
        self._arriving = None
        self._failure = Response(status, _JSON, status_body(status, message))
        self.flush()

    def _write(self, reply: Response, *, last: bool, bodiless: bool = False) -> None:
        status, headers, body = reply
        self.answered += 1
        end = b"Connection: close\r\n\r\n" if last else b"\r\n"
        length = b"Content-Length: %d\r\n" % len(body)
        if bodiless:
            length = body = b""  # after HEAD, the client reads the next answer where a body would begin
        self._transport.write(b"".join((_STATUS_LINES[status], self._site.date, headers, length, end, body)))
