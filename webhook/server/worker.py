"""gunicorn's ASGI worker, with bounds on a connection and a drain that closes idle ones.

gunicorn parses HTTP, speaks TLS through the event loop and says ``Connection: close`` once it is
asked to stop. Added here, because its worker does not do it: a limit of connections, at which the
longest idle one makes room, a time limit for a request's head, a TLS handshake limit, ``Status``
objects for requests that are not HTTP, a once-a-second hook, and a drain that lets go of idle
connections instead of waiting for them until the end of the grace period.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gunicorn import glogging
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

from webhook.kube.status import status_body

HEADER_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 2.0
_TICK_SECONDS = 1.0
_STILL_ACCEPTING_SECONDS = 1.0
"""After SIGTERM: what the kernel has accepted already would be reset if the socket closed at once."""

_HANDSHAKE_GRACE_SECONDS = 2.0
"""After SIGTERM: how long a connection that was accepted may take to finish its TLS handshake."""

_IDLE_SECONDS = 1.0
"""After SIGTERM: how long a connection may be idle; a busy one hears ``Connection: close``."""

_POLL_SECONDS = 0.05
_SAY_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WorkerHooks:
    """What a worker asks of the application that it serves, which may have it as ``hooks``.

    Attributes:
        on_tick: called about once a second in the event loop.
        may_accept: whether there is a certificate; until then connections wait, perhaps for another worker.
        requires_client_cert: whether a client without a certificate is refused.
        on_unauthenticated: called for each request of such a client, with what is wrong.
    """

    on_tick: Callable[[], None] = lambda: None
    may_accept: Callable[[], bool] = lambda: True
    requires_client_cert: bool = False
    on_unauthenticated: Callable[[str], None] = lambda _: None


class Connection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection: gunicorn's own, known to its worker so that it can be closed in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        self.worker.handshaking.pop(self, None)
        self.heard_at = self.worker.loop.time()
        self.head_since: float | None = self.heard_at
        self.closing = False
        self.worker.open.add(self)
        self.unauthenticated = self.worker.hooks.requires_client_cert and not transport.get_extra_info(
            "peercert"
        )
        if len(self.worker.open) > self.worker.worker_connections:
            self.worker.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a number that is too long to be one is the client's mistake, too."""
        if self.unauthenticated:
            self.worker.hooks.on_unauthenticated("none was shown")
            self._send_error_response(403, "this webhook asks for a client certificate (--client-ca)")
            self.close_idle()
            return
        self.heard_at = self.worker.loop.time()
        if self.head_since is None and self._awaiting_request:
            self.head_since = self.heard_at
        try:
            super().data_received(data)
        except ValueError as error:
            self._send_error_response(400, f"the request is not HTTP: {error}"[:200])
            self.close_idle()
        if self._request_ready.is_set():
            self.head_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.worker.open.discard(self)
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether no request is being served: it is idle, or a head has not arrived yet."""
        return bool(self._awaiting_request) and not self.closing

    def close_idle(self) -> None:
        """Close a connection that serves no request, the way gunicorn does when keep-alive runs out."""
        self.closing = True
        self._keepalive_timeout()

    async def _serve_http_request(self, request: object, sockname: object, peername: object) -> bool:
        """Run the application in the connection's own task.

        gunicorn gives it one of its own, so that the next request need not wait for what an
        application does after its answer. Ours does nothing then, and a task costs 10 µs.
        """
        return bool(await self._handle_http_request(request, sockname, peername))

    def _send_error_response(
        self, status: int, message: str, extra_headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answer what the HTTP parser refuses with a ``Status`` object instead of plain text."""
        body = status_body(status, message)
        extra = "".join(f"{name}: {value}\r\n" for name, value in extra_headers)
        head = (
            f"HTTP/1.1 {status} {self._get_reason_phrase(status)}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
        )
        self._safe_write(head.encode("latin-1") + body)


class ReviewWorker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves reviews in one process with one event loop."""

    alive: bool

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.hooks: WorkerHooks = getattr(self.app, "hooks", WorkerHooks())
        self.open: set[Connection] = set()
        self.handshaking: dict[Connection, float] = {}  # and when each was accepted
        self._stopping = asyncio.Event()
        self._crowded_until = 0.0

    def handle_exit_signal(self) -> None:
        """SIGTERM: every answer from now on says ``Connection: close``."""
        super().handle_exit_signal()
        self._stopping.set()

    def handle_quit_signal(self) -> None:
        """SIGINT, SIGQUIT: stop at once."""
        super().handle_quit_signal()
        self._stopping.set()

    async def _serve(self) -> None:
        context = self._get_ssl_context()
        limits = {}
        if context:
            limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": _GOODBYE_SECONDS}
        while self.alive and not self.hooks.may_accept():
            self.notify()
            self.hooks.on_tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
        for listener in self.sockets:
            server = await self.loop.create_server(
                self._accept, sock=listener.sock, ssl=context, backlog=self.cfg.backlog, **limits
            )
            self.servers.append(server)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self._close_silent()
            try:
                self.hooks.on_tick()
            except Exception:  # Metrics that cannot be updated are no reason to stop serving.
                self.log.exception("the once-a-second hook failed")
            try:
                await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)
            except TimeoutError:
                continue
        self.alive = False  # The parent may be gone instead; the answers should say so all the same.
        await self._shutdown()

    def make_room(self, newcomer: Connection) -> None:
        """Close a connection, because there are too many.

        First one that never sent a request, so that those who only hold connections cannot keep the API
        server's out; then the one that has been idle for longest; the new one where all are busy.
        """
        idle = (c for c in self.open if c.waits and c is not newcomer)
        chosen = min(idle, key=lambda c: (c.req_count > 1, c.heard_at), default=newcomer)
        chosen.close_idle()
        now = self.loop.time()
        if now >= self._crowded_until:
            self._crowded_until = now + _SAY_AGAIN_SECONDS
            self.log.warning("more than %d connections: closing the longest idle", self.worker_connections)

    def _accept(self) -> Connection:
        connection = Connection(self)
        self.handshaking[connection] = self.loop.time()
        return connection

    def _expect(self, seconds: float) -> bool:
        """Return whether some handshake began within the last ``seconds``; forget older ones."""
        latest = self.loop.time() - seconds
        for connection in [c for c, since in self.handshaking.items() if since < latest]:
            del self.handshaking[connection]  # it failed, which nothing reports
        return bool(self.handshaking)

    def _close_silent(self) -> None:
        """Close connections whose request does not come, or comes too slowly; idle ones are keep-alive's."""
        self._expect(HANDSHAKE_SECONDS)
        latest = self.loop.time() - HEADER_SECONDS
        for connection in [c for c in self.open if c.waits and (c.head_since or latest) < latest]:
            connection.close_idle()

    async def _shutdown(self) -> None:
        if not self._quick_shutdown:
            await asyncio.sleep(_STILL_ACCEPTING_SECONDS)
        for server in self.servers:
            server.close()
        # The master kills what is left when its own clock, which started earlier, runs out.
        end = self.loop.time() + self.cfg.graceful_timeout - 1
        idle: dict[Connection, tuple[int, float]] = {}
        while not self._quick_shutdown and self.loop.time() < end:
            if not self._expect(_HANDSHAKE_GRACE_SECONDS) and not self.open:
                return
            now = self.loop.time()
            for connection in [c for c in self.open if c.waits]:
                requests, since = idle.setdefault(connection, (connection.req_count, now))
                if requests != connection.req_count:
                    idle[connection] = (connection.req_count, now)
                elif now - since > _IDLE_SECONDS:
                    connection.close_idle()
            await asyncio.sleep(_POLL_SECONDS)
        if self.open:
            self.log.warning("stopping with %d connections still open", len(self.open))


class GunicornLogger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own messages through the root logger, so that there is one format and one level."""

    def setup(self, cfg: object) -> None:
        """Leave the handlers out and pass records on."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def warning(self, msg: str, *args: object, **kwargs: object) -> None:
        """Leave out that Ctrl-C ended a worker, which gunicorn calls a signal that was not expected."""
        if "SIGQUIT" not in args:
            super().warning(msg, *args, **kwargs)
