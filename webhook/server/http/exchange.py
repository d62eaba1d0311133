"""One request and its answer: the body's way in, within its limits, and who decides."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from webhook.admission.response import Answer, errored
from webhook.admission.review import ReviewError
from webhook.server.endpoint import Endpoint, answer
from webhook.server.envelope import DEFAULT_BUDGET, budget, check_content_type, check_length, too_slow
from webhook.server.http.bodies import MAX_BODY, SMALL_BODY, Share, expected
from webhook.server.http.cost import ENVELOPE_BYTES, TooCostlyError, check_tree, tree_bytes
from webhook.server.http.head import Head
from webhook.server.http.lanes import OWN_SHARE, BusyError, Lane, TooLongError
from webhook.server.http.site import Site
from webhook.server.http.wsgi import Response, call

if TYPE_CHECKING:
    from webhook.server.http.connection import Connection

ANSWER_SECONDS: Final = 0.1
"""Of a request's time, what is kept for the way back when an answer has to be waited for: less than an
endpoint keeps, whose own answer says why there was not enough time.
"""

AT_ONCE: Final = 32 * 2**10
"""Bytes of a review that is decided on in the event loop; none of that size takes longer than 30 ms."""

_PROGRESS_SECONDS: Final = 1.0
_JSON: Final = b"Content-Type: application/json\r\n"
_RETRY: Final = _JSON + b"Retry-After: 1\r\n"

T = TypeVar("T")

_BUSY: Final = "too many large reviews at a time for --max-body-memory; try again"


class Exchange:
    """A request from its head to its answer.

    Attributes:
        head: of the request.
        keep_alive: whether the connection stays open after the answer.
        length: bytes of the body that have come.
        whole: whether all have.
        reply: the answer, once it is known.
        refused: whether ``reply`` was given before the body was read.
        reading: whether the body may be read now.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_connection",
        "_continues",
        "_endpoint",
        "_seconds",
        "_share",
        "_since",
        "_site",
        "_timer",
        "head",
        "keep_alive",
        "length",
        "reading",
        "refused",
        "reply",
        "whole",
    )

    def __init__(self, connection: "Connection", site: Site, head: Head, *, keep_alive: bool) -> None:
        self._connection = connection
        self._site = site
        self.head = head
        self.keep_alive = keep_alive
        self.whole = self.refused = False
        self.reading = True
        self.reply: Response | None = None
        self._body: bytes | bytearray = b""
        self.length = 0
        self._continues = head.waits
        self._share: Share | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = self._since = time.monotonic()
        self._seconds = DEFAULT_BUDGET
        self._endpoint: Endpoint | None = None
        if head.method == "POST":
            self._endpoint = site.application.endpoints.get(head.path)

    def expects(self) -> bool:
        """Return, once, whether the client waits for leave to send the body."""
        expects = self._continues and self.reading and not self.length and self.reply is None
        self._continues = self._continues and not expects
        return expects

    def begin(self) -> None:
        """Check the head, and make room for the body."""
        if self._endpoint is not None:
            self._site.application.in_flight.number += 1
        try:
            length = self.head.length
            check_length(length or 0)
            if self._endpoint is not None:
                check_content_type(self.head.content_type)
                self._seconds = budget(self.head.query)
                if length is not None and length > SMALL_BODY:
                    self._reserve(length)
        except ReviewError as error:
            self._refuse(error)

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self.length += len(chunk)
        if self.reply is not None:
            return
        if self.length > MAX_BODY:
            self._refuse_by(check_length, self.length)
        elif self._endpoint is None:
            pass  # Nobody reads it.
        elif not self._body:
            self._body = chunk
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += chunk
            if self.head.length is None and self.length > SMALL_BODY >= self.length - len(chunk):
                self._refuse_by(self._reserve, MAX_BODY)

    def pause(self) -> None:
        """Note that the body is not whole, and nothing more has come."""
        if self.reply is not None:
            return
        small = self.length <= SMALL_BODY and (self.head.length or 0) <= SMALL_BODY
        held = self._endpoint is not None and small
        if held and not self._site.bodies.hold(self._shared(), self.length):
            self._refuse(_busy())
        if self._timer is None and self.reply is None:
            self._watch()

    def complete(self) -> None:
        """Answer: the body is whole."""
        self.whole = True
        self._stop_timer()
        if self.reply is not None:
            return
        body = self._body
        if self._endpoint is None:
            self._call_rest(body)
            return
        if self._share is not None:
            self._site.bodies.shrink(self._share, len(body))
        if len(body) > AT_ONCE:
            self._refuse_by(self._enter_lane, body)
        elif self._site.application.through_flask:
            self._call_rest(body)
        else:
            begun = self._endpoint.begin(bytes(body), self._left())
            if isinstance(begun, Answer):
                self._answer(begun)
            else:
                self._wait_for(begun, self._endpoint, body)

    def end(self) -> None:
        """Give back what the request held: it is answered, or its client is gone."""
        self._stop_timer()
        self._body = b""
        if self._share is not None:
            self._site.bodies.release(self._share)
            self._share = None
        if self._endpoint is not None:
            self._endpoint = None
            self._site.application.in_flight.number -= 1

    def _left(self) -> float:
        return self._begun + self._seconds - time.monotonic()

    def _shared(self) -> Share:
        if self._share is None:
            self._share = Share(self._on_room, self._on_lost)
        return self._share

    def _on_room(self) -> None:
        self.reading, self._since = True, time.monotonic()
        self._connection.flush()  # the client may wait for leave to go on

    def _on_lost(self) -> None:
        self._refuse(_busy())

    def _reserve(self, length: int) -> None:
        fits = self._site.bodies.reserve(self._shared(), length)
        if fits is None:
            raise _busy()
        self.reading = fits

    def _watch(self) -> None:
        seconds = max(0.0, min(_PROGRESS_SECONDS, self._left()))
        self._timer = self._site.loop.call_later(seconds, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Look whether the body comes fast enough."""
        self._timer = None
        if self._left() <= 0:
            waited = self._since > self._begun  # for room: the delay is not, or not only, the sender's
            self._refuse(_busy() if waited or not self.reading else too_slow(self._seconds))
        elif self.reading and self.length < expected(time.monotonic() - self._since):
            self._refuse(too_slow(time.monotonic() - self._since))
        else:
            self._watch()

    def _enter_lane(self, body: bytes | bytearray) -> None:
        """Have a review decided on outside of the event loop; raises ReviewError."""
        if len(body) > SMALL_BODY:
            check_tree(body)
            lane = self._site.large
        else:
            if not self._site.bodies.hold(self._shared(), len(body), arriving=False):
                raise _busy()
            lane = self._site.medium
        self._site.begin(self._run_in(lane, bytes(body[:ENVELOPE_BYTES])))

    async def _run_in(self, lane: Lane[Answer | Response], beginning: bytes) -> None:
        seconds = self._left() - ANSWER_SECONDS
        try:
            self._answer(await lane.run(self._decide, seconds))
        except BusyError:
            self._refuse(_busy())
        except TooLongError:
            text = f"it takes longer than {seconds * OWN_SHARE:.2g} s, half of its ?timeout="
            self._refuse(TooCostlyError.of(beginning, text))

    def _decide(self) -> Answer | Response:
        """Decide on a review, in a thread; its body is not needed any more."""
        endpoint, body, self._body = self._endpoint, bytes(self._body), b""
        if endpoint is None:
            return errored(HTTPStatus.SERVICE_UNAVAILABLE, "the client is gone")
        if self._site.application.through_flask:
            return call(self._site.rest, self.head, body)
        return answer(endpoint, body, self._left() - ANSWER_SECONDS)

    def _call_rest(self, body: bytes | bytearray) -> None:
        done = self._site.pool.submit(lambda: call(self._site.rest, self.head, bytes(body)))
        done.add_done_callback(lambda _: self._site.soon(lambda: self._answer(done.result())))

    def _wait_for(self, begun: Future[Answer], endpoint: Endpoint, body: bytes | bytearray) -> None:
        """Answer when the endpoint does; what is being done goes on when the client leaves."""
        loop, seconds = self._site.loop, self._seconds

        def late() -> None:
            self._answer(endpoint.late(begun, seconds))

        def done() -> None:
            timer.cancel()
            if not begun.cancelled():
                self._answer(begun.result())

        timer = loop.call_later(max(0.0, self._left() - ANSWER_SECONDS), late)
        begun.add_done_callback(lambda _: self._site.soon(done))
        if not self._site.bodies.hold(self._shared(), tree_bytes(body), arriving=False):
            timer.cancel()
            late()

    def _refuse_by(self, check: Callable[[T], None], value: T) -> None:
        try:
            check(value)
        except ReviewError as error:
            self._refuse(error)

    def _refuse(self, error: ReviewError) -> None:
        if self.reply is not None:
            return
        refusal = (
            errored(error.status, error.message) if self._endpoint is None else self._endpoint.refuse(error)
        )
        self.refused = not self.whole
        self._body = b""
        self._answer(refusal, _RETRY if refusal.status == HTTPStatus.TOO_MANY_REQUESTS else _JSON)

    def _answer(self, answer: Answer | Response, headers: bytes = _JSON) -> None:
        if self.reply is None:
            self.reply = (
                answer if isinstance(answer, Response) else Response(answer.status, headers, answer.body)
            )
            self._connection.flush()


def _busy() -> ReviewError:
    return ReviewError(_BUSY, status=HTTPStatus.TOO_MANY_REQUESTS)
