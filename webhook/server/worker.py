"""gunicorn's worker: one process, one event loop, and a drain that closes idle connections.

Of gunicorn only what its base class `Worker` offers to those who write workers is used: sockets, settings,
log, signals, and the sign of life that the master waits for.
"""

import asyncio
import contextlib
import os
import signal
import socket

import uvloop
from gunicorn import glogging
from gunicorn.workers.base import Worker

from webhook.process.memory import give_back
from webhook.server.http.connection import Connection
from webhook.server.http.site import Application, Site

HEADER_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
MOST_HANDSHAKES = 512
"""At a time: each costs 80 KiB. An API server's takes some milliseconds."""

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
        self._handshakes: dict[asyncio.Task[None], tuple[socket.socket, float]] = {}  # the oldest first
        site = self._site = Site(self.wsgi, self._loop, self.cfg.worker_connections, self._say_crowded)
        while self.alive and not self.wsgi.may_accept():
            self.notify()
            self.wsgi.on_tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
        accepting = [asyncio.ensure_future(self._accept(each.sock)) for each in self.sockets]
        while self.alive and self.ppid == os.getppid():
            self.notify()
            site.tick()
            self._close_silent()
            give_back()
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
        for task in accepting:
            task.cancel()
        for listener in self.sockets:
            listener.close()
        await self._drain()

    async def _accept(self, listener: socket.socket) -> None:
        """Take connections; of too many that have not shaken hands the oldest goes."""
        while True:
            try:
                client, _ = await self._loop.sock_accept(listener)
            except OSError:  # too many open files, or a client that is gone already
                await asyncio.sleep(_POLL_SECONDS)
                continue
            task = self._loop.create_task(self._shake_hands(client))
            self._handshakes[task] = client, self._loop.time()
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))
            if len(self._handshakes) > MOST_HANDSHAKES:
                oldest, _ = self._handshakes.pop(next(iter(self._handshakes)))
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)

    async def _shake_hands(self, client: socket.socket) -> None:
        context = self.wsgi.context
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(self._site),
                client,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
                ssl_shutdown_timeout=_GOODBYE_SECONDS if context else None,
            )
        except OSError:  # as TLS errors are
            client.close()

    def _expect(self, seconds: float) -> bool:
        """Return whether some handshake began within the last ``seconds``."""
        latest = self._loop.time() - seconds
        return any(since >= latest for _, since in self._handshakes.values())

    def _close_silent(self) -> None:
        """Close connections whose request does not come, or comes too slowly, and those long idle."""
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
