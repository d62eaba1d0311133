"""Connections to an API server that are kept open between calls.

A call that changes a ledger waits for its answer inside somebody's admission request: a
TCP and a TLS handshake would cost more than the call. A connection is given to one call at
a time. What lies idle is looked at before it is used again: a server that has closed it has
said so on the socket. That cannot be known for certain, so only calls that may be made twice
(see ``Client.call``) use an idle connection at all.
"""

import http.client
import os
import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

MOST_IDLE: Final = 16
IDLE_SECONDS: Final = 30.0
"""An API server closes what was idle for 90 s, a load balancer before it often sooner."""


class _Idle(NamedTuple):
    connection: http.client.HTTPConnection
    context: ssl.SSLContext | None
    since: float


class Connections:
    """Idle connections to one server; safe to use from many threads, and after a fork."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; ``clock`` gives seconds."""
        self._clock = clock
        self._idle: deque[_Idle] = deque()
        self._lock = Lock()
        self._owner = os.getpid()

    def take(self, context: ssl.SSLContext | None) -> http.client.HTTPConnection | None:
        """Return an idle connection that was made with ``context`` and looks alive, or None."""
        while (found := self._last()) is not None:
            fresh = self._clock() - found.since < IDLE_SECONDS
            if fresh and found.context is context and not _readable(found.connection):
                return found.connection
            found.connection.close()
        return None

    def keep(self, connection: http.client.HTTPConnection, context: ssl.SSLContext | None) -> None:
        """Take a connection whose last answer has been read to its end."""
        with self._lock:
            if self._owner == os.getpid() and len(self._idle) < MOST_IDLE:
                self._idle.append(_Idle(connection, context, self._clock()))
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while (found := self._last()) is not None:
            found.connection.close()

    def __del__(self) -> None:
        """Close what is idle."""
        self.close()

    def _last(self) -> _Idle | None:
        with self._lock:
            if self._owner != os.getpid():
                # The parent's: closing them here would say good-bye in its name.
                self._idle, self._owner = deque(), os.getpid()
            return self._idle.pop() if self._idle else None


def _readable(connection: http.client.HTTPConnection) -> bool:
    """Whether something came while nothing was asked: the end, as a rule."""
    try:
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True
