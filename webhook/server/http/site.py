"""What is served, and what all connections of one process share."""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

from webhook.admission.response import Answer
from webhook.process.metrics import Level
from webhook.server.endpoint import Endpoint
from webhook.server.http.bodies import DEFAULT_BYTES, Bodies
from webhook.server.http.lanes import Lane
from webhook.server.http.wsgi import Response

if TYPE_CHECKING:
    from webhook.server.http.connection import Connection

_FLASK_THREADS = 16
_REST_THREADS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Application:
    """What a worker serves; made before the fork.

    Attributes:
        endpoints: of reviews, by path.
        in_flight: counts reviews whose head has arrived and whose answer has not left.
        rest: makes the application that answers all that is no review; called when the first comes.
        through_flask: whether it answers reviews, too, which are read here all the same.
        body_bytes: memory for bodies in flight, of one process.
        context: of TLS; None: plain HTTP.
        on_tick: called about once a second in the event loop.
        may_accept: whether there is a certificate; until then connections wait, perhaps for another worker.
        requires_client_cert: whether a client without a certificate is refused.
        on_unauthenticated: called for each request of such a client, with what is wrong.
    """

    endpoints: Mapping[str, Endpoint]
    in_flight: Level
    rest: Callable[[], WSGIApplication]
    through_flask: bool = False
    body_bytes: int = DEFAULT_BYTES
    context: ssl.SSLContext | None = None
    on_tick: Callable[[], None] = lambda: None
    may_accept: Callable[[], bool] = lambda: True
    requires_client_cert: bool = False
    on_unauthenticated: Callable[[str], None] = lambda _: None


class Site:
    """One process's connections, and their share of it.

    Attributes:
        bodies: counts bodies in flight.
        medium, large: decide on reviews up to, and above, `bodies.SMALL_BODY`.
        pool: calls the application of `Application.rest`.
        open: all connections.
        stopping: whether each answer says ``Connection: close``.
        date: the header line, brought up to date once a second.
    """

    def __init__(
        self,
        application: Application,
        loop: asyncio.AbstractEventLoop,
        most: int,
        on_crowded: Callable[[], None],
    ) -> None:
        """Take what is served, how many connections there may be, and what is called when there are more."""
        self.application = application
        self.loop = loop
        self._most = most
        self._on_crowded = on_crowded
        self.bodies = Bodies(application.body_bytes)
        self.medium: Lane[Answer | Response] = Lane("medium")
        self.large: Lane[Answer | Response] = Lane("large")
        self.pool = ThreadPoolExecutor(_FLASK_THREADS if application.through_flask else _REST_THREADS, "rest")
        self.open: set[Connection] = set()
        self.stopping = False
        self.date = b""
        self._rest: WSGIApplication | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.tick()

    @property
    def rest(self) -> WSGIApplication:
        """What answers all that is no review."""
        if self._rest is None:
            self._rest = self.application.rest()
        return self._rest

    def opened(self, connection: "Connection") -> None:
        """Count a connection; where there are too many, close one.

        First one that never sent a request, so that those who only hold connections cannot keep the API
        server's out; then the one that has been idle for longest; the new one where all are busy.
        """
        self.open.add(connection)
        if len(self.open) <= self._most:
            return
        idle = (each for each in self.open if each.waits and each is not connection)
        min(idle, key=lambda each: (each.answered > 0, each.heard_at), default=connection).close()
        self._on_crowded()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine to its end."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def soon(self, act: Callable[[], None]) -> None:
        """Call from another thread; nothing happens when the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(act)

    def tick(self) -> None:
        """Bring the date up to date."""
        self.date = b"Date: %s\r\n" % formatdate(usegmt=True).encode()
