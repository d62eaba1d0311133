"""gunicorn's worker: one process, one event loop, and a drain that closes idle connections.

Of gunicorn only what its base class `Worker` offers to those who write workers is used: sockets, settings,
log, signals, and the sign of life that the master waits for.
"""

import asyncio
import contextlib
import os
import signal

import uvloop
from gunicorn import glogging
from gunicorn.workers.base import Worker

from webhook.server.http.connection import Connection
from webhook.server.http.site import Application, Site

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


class ReviewWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """Serves reviews in one process with one event loop."""

    alive: bool
    wsgi: Application  # what the application's ``load`` returns

    def init_signals(self) -> None:
        """Have signals handled by the loop; those that are not ours stay the base class's."""
        super().init_signals()
        signal.set_wakeup_fd(-1)
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self._quick = False
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGQUIT):
            self._loop.add_signal_handler(number, self._stop, True)  # noqa: FBT003 — a signal has no keywords

    def run(self) -> None:
        """Serve until a signal, or until the master is gone."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            self.log.exception("the worker failed")
        finally:
            self._loop.close()

    def _stop(self, quick: bool = False) -> None:  # noqa: FBT001, FBT002 — as above
        """SIGTERM: every answer from now on says ``Connection: close``; SIGINT, SIGQUIT: stop at once."""
        self.alive = False
        self._quick = self._quick or quick
        self._stopping.set()

    async def _serve(self) -> None:
        self._crowded_until = 0.0
        self._handshaking: dict[Connection, float] = {}  # and when each was accepted
        site = self._site = Site(self.wsgi, self._loop, self.cfg.worker_connections, self._say_crowded)
        context = self.wsgi.context
        while self.alive and not self.wsgi.may_accept():
            self.notify()
            self.wsgi.on_tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
        servers = [
            await self._loop.create_server(
                self._accept,
                sock=listener.sock,
                ssl=context,
                backlog=self.cfg.backlog,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
                ssl_shutdown_timeout=_GOODBYE_SECONDS if context else None,
            )
            for listener in self.sockets
        ]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            site.tick()
            self._close_silent()
            try:
                self.wsgi.on_tick()
            except Exception:  # Metrics that cannot be updated are no reason to stop serving.
                self.log.exception("the once-a-second hook failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)
        self.alive = False  # The parent may be gone instead; the answers should say so all the same.
        site.stopping = True
        if not self._quick:
            await asyncio.sleep(_STILL_ACCEPTING_SECONDS)
        for server in servers:
            server.close()
        await self._drain()

    def _accept(self) -> Connection:
        connection = Connection(self._site)
        self._handshaking[connection] = self._loop.time()
        return connection

    def _expect(self, seconds: float) -> bool:
        """Return whether some handshake began within the last ``seconds``; forget others."""
        latest = self._loop.time() - seconds
        for connection, since in list(self._handshaking.items()):
            if connection in self._site.open or since < latest:
                del self._handshaking[connection]  # Nothing reports one that failed.
        return bool(self._handshaking)

    def _close_silent(self) -> None:
        """Close connections whose request does not come, or comes too slowly, and those long idle."""
        self._expect(HANDSHAKE_SECONDS)
        now = self._loop.time()
        for connection in [each for each in self._site.open if each.waits]:
            since, limit = connection.heard_at, self.cfg.keepalive
            if connection.head_since is not None:
                since, limit = connection.head_since, HEADER_SECONDS
            if since < now - limit:
                connection.close()

    async def _drain(self) -> None:
        # The master kills what is left when its own clock, which started earlier, runs out.
        end = self._loop.time() + self.cfg.graceful_timeout - 1
        idle: dict[Connection, tuple[int, float]] = {}
        while not self._quick and self._loop.time() < end:
            if not self._expect(_HANDSHAKE_GRACE_SECONDS) and not self._site.open:
                return
            now = self._loop.time()
            for connection in [each for each in self._site.open if each.waits]:
                answered, since = idle.setdefault(connection, (connection.answered, now))
                if answered != connection.answered:
                    idle[connection] = (connection.answered, now)
                elif now - since > _IDLE_SECONDS:
                    connection.close()
            await asyncio.sleep(_POLL_SECONDS)
        if self._site.open:
            self.log.warning("stopping with %d connections still open", len(self._site.open))

    def _say_crowded(self) -> None:
        now = self._loop.time()
        if now >= self._crowded_until:
            self._crowded_until = now + _SAY_AGAIN_SECONDS
            self.log.warning(
                "more than %d connections: closing the longest idle", self.cfg.worker_connections
            )


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
