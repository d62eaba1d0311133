"""The ASGI front: POST /mutate and /validate, and /bind where it is on, are answered here, the rest by Flask.

It exists because routing and request objects cost as much as a decision (``python -m
benchmarks.workers``). It reads a body within its limits and calls the same `Answerer` as the Flask routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from typing import Any

from webhook.admission import ReviewError, Webhook
from webhook.server.answer import Answer, Answerer, Waiting, failure
from webhook.server.endpoint import Door
from webhook.server.envelope import MAX_BODY, budget, check_content_type, check_length, too_slow
from webhook.server.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

WEBHOOKS = {f"/{webhook.value}": webhook for webhook in Webhook}

_ANSWER_SECONDS = 0.2
"""Of a request's time, what is kept for the way back when a namespace has to be looked up."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 8 * MAX_BODY


class FastPath:
    """An ASGI application in front of another one."""

    __slots__ = ("_answerer", "_door", "_metrics", "_rest")

    def __init__(
        self, answerer: Answerer, metrics: Metrics, rest: Application, door: Door | None = None
    ) -> None:
        self._answerer = answerer
        self._door = door
        self._metrics = metrics
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a review, or hand the request on."""
        webhook = (
            WEBHOOKS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        )
        if webhook is None:
            if self._door is not None and scope.get("path") == self._door.path and scope["method"] == "POST":
                await self._through(self._door, scope, receive, send)
                return
            await self._rest(scope, receive, send)
            return
        self._metrics.in_flight.inc()
        started = time.monotonic()
        try:
            body = await _read(scope, receive)
        except ReviewError as error:
            await _send(send, self._answerer.refuse(webhook, error), close=True)
            await _linger(receive)
        else:
            answer = self._answerer.begin(webhook, body)
            if isinstance(answer, Waiting):
                end = started + budget(scope["query_string"].decode("latin-1")) - _ANSWER_SECONDS
                answer = self._answerer.finish(answer, await _failure(answer, end - time.monotonic()))
            await _send(send, answer)
        finally:
            self._metrics.in_flight.dec()

    async def _through(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a review of another kind; what waits for the API server waits in a thread of the door's."""
        self._metrics.in_flight.inc()
        started = time.monotonic()
        try:
            body = await _read(scope, receive)
        except ReviewError as error:
            await _send(send, Answer(error.status, error.status_body()), close=True)
            await _linger(receive)
        else:
            seconds = budget(scope["query_string"].decode("latin-1"))
            begun = door.begin(body, seconds - (time.monotonic() - started))
            if isinstance(begun, Future):
                end = started + seconds - _ANSWER_SECONDS / 2
                begun = await _result(begun, end - time.monotonic()) or door.late(seconds)
            await _send(send, Answer(*begun))
        finally:
            self._metrics.in_flight.dec()


async def _result(future: Future[tuple[int, bytes]], seconds: float) -> tuple[int, bytes] | None:
    """Wait for an answer while others are given; None: it did not come in time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            # What is being done goes on when nobody waits any more: it may have been promised already.
            return await asyncio.shield(asyncio.wrap_future(future))
    except TimeoutError:
        return None


async def _read(scope: Scope, receive: Receive) -> bytes:
    """The whole body, checked on its way in; raises ReviewError."""
    content_type = ""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"content-length":
            check_length(int(value))  # The HTTP parser let nothing but digits through.
    check_content_type(content_type)
    seconds = budget(scope["query_string"].decode("latin-1"))
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


async def _failure(waiting: Waiting, seconds: float) -> str | None:
    """Wait as `webhook.server.answer.failure` does, while other reviews are answered."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    # Others may wait for the same look-up: it goes on when this one gives up.
    waiting.found.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await done.wait()
    return failure(waiting.found, 0)


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
