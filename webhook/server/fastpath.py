"""The ASGI front: reads a review within its limits, and answers it or hands it to Flask.

It exists because routing and request objects cost as much as a decision (``python -m
benchmarks.workers``). Both ways end in the same `Endpoint`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future
from dataclasses import KW_ONLY, dataclass
from typing import Any

from prometheus_client import Gauge

from webhook.admission.response import Answer
from webhook.admission.review import ReviewError
from webhook.server.endpoint import Endpoint
from webhook.server.envelope import MAX_BODY, budget, check_content_type, check_length, too_slow

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ANSWER_SECONDS = 0.1
"""Of a request's time, what is kept for the way back when an answer has to be waited for: less than an
endpoint keeps, whose own answer says why there was not enough time.
"""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 8 * MAX_BODY


@dataclass(slots=True, eq=False)
class FastPath:
    """An ASGI application in front of another one, which answers all that is no review.

    Attributes:
        only_reads: whether reviews are read here and answered by the other one, too.
    """

    _endpoints: Mapping[str, Endpoint]
    _in_flight: Gauge
    _rest: Application
    _: KW_ONLY
    only_reads: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a review, or hand the request on."""
        posted = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self._endpoints.get(scope["path"]) if posted else None
        if endpoint is None:
            await self._rest(scope, receive, send)
            return
        self._in_flight.inc()
        started = time.monotonic()
        try:
            _check_head(scope)
            seconds = budget(scope["query_string"].decode("latin-1"))
            body = await _read(receive, seconds)
        except ReviewError as error:
            await _send(send, endpoint.refuse(error), close=True)
            await _linger(receive)
        else:
            if self.only_reads:
                await self._rest(_with_length(scope, len(body)), _replayed(body, receive), send)
                return
            begun = endpoint.begin(body, started + seconds - time.monotonic())
            if isinstance(begun, Future):
                left = started + seconds - ANSWER_SECONDS - time.monotonic()
                begun = await _result(begun, left) or endpoint.late(begun, seconds)
            await _send(send, begun)
        finally:
            self._in_flight.dec()


async def _result(future: Future[Answer], seconds: float) -> Answer | None:
    """Wait for an answer while others are given; None: it did not come in time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            # What is being done goes on when nobody waits any more: it may have been promised already.
            return await asyncio.shield(asyncio.wrap_future(future))
    except TimeoutError:
        return None


def _check_head(scope: Scope) -> None:
    """Raise a ReviewError for a body that is announced as too long or as something else than JSON."""
    content_type = ""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"content-length":
            check_length(int(value))  # The HTTP parser let nothing but digits through.
    check_content_type(content_type)


async def _read(receive: Receive, seconds: float) -> bytes:
    """The whole body, checked on its way in; raises ReviewError."""
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                return bytes(message["body"])
            chunks, length = [], 0
            while message["type"] == "http.request":
                chunks.append(message["body"])
                length += len(message["body"])
                check_length(length)
                if not message.get("more_body"):
                    return b"".join(chunks)
                message = await receive()
    except TimeoutError:
        pass
    # Out of time, or the client went away; then nobody reads this answer.
    raise too_slow(seconds)


def _with_length(scope: Scope, length: int) -> Scope:
    """Return the scope of a request whose body has been read, however it was framed."""
    framing = {b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in scope["headers"] if name not in framing]
    return {**scope, "headers": [*headers, (b"content-length", b"%d" % length)]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read to the next application, then what comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


async def _send(send: Send, answer: Answer, *, close: bool = False) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _linger(receive: Receive) -> None:
    """Throw away what a refused client is still sending.

    Closing a socket with unread bytes resets the connection, and the client would lose the answer
    that says why.
    """
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
