"""urllib3's connections, as calls to an API server need them.

What it lacks: a connection that lay idle for long is not used again, a stream can be ended
from another thread whatever carries it, and an error says what the system said.
"""

import http.client
import logging
import socket
import ssl
import time
import urllib.parse
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProxyError

MOST_IDLE: Final = 16
IDLE_SECONDS: Final = 30.0
"""An API server closes what was idle for 90 s, a load balancer before it often sooner."""

# A peer that is gone is noticed after 15 + 3 x 5 s of silence, and 30 s after a write.
_SOCKET_OPTIONS: Final = [
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 15),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
    )
    if hasattr(socket, name)
]

_CLOSED: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""How a connection ends that the server closed while it was idle: without a byte of an answer."""

# What it warns of ends in an error as well, or is a full pool, which is no news.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class Connection(HTTPConnection):
    """A connection that is not used again after IDLE_SECONDS, and can be ended from another thread."""

    _used_at = 0.0
    _carrier: socket.socket | None = None

    def connect(self) -> None:
        """Connect, and keep the socket that ``abort`` shuts down: TLS inside TLS has no such call."""
        super().connect()
        self._carrier = getattr(self.sock, "socket", self.sock)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # as urllib3's own
        """Return the response, and note when the connection was used."""
        self._used_at = time.monotonic()
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        """Whether it may be used: not idle for long, and nothing came while nothing was asked."""
        return time.monotonic() - self._used_at < IDLE_SECONDS and super().is_connected

    def abort(self) -> None:
        """End the connection: a read that waits in another thread returns at once."""
        if self._carrier is not None:
            try:
                self._carrier.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


class _TLSConnection(Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection

    def _validate_conn(self, conn: Any) -> None:  # noqa: ANN401 — the type is not public
        """Connect, without a warning at each call for somebody who asked for no verification."""
        if conn.is_closed:
            conn.connect()


def connections(
    context: ssl.SSLContext | None, *, server_name: str | None = None, proxy: str | None = None
) -> urllib3.PoolManager:
    """Return connections that nobody has opened yet.

    Args:
        context: for TLS; None where the server is reached without.
        server_name: the name that the server's certificate must be for, where that is not the URL's.
        proxy: URL of the proxy, with user and password where it wants them.
    """
    options: dict[str, Any] = {"maxsize": MOST_IDLE, "socket_options": _SOCKET_OPTIONS}
    if context is not None:
        options |= {"ssl_context": context, "server_hostname": server_name}
    if proxy is None:
        made = urllib3.PoolManager(**options)
    else:
        url = urllib3.util.parse_url(proxy)
        user = urllib.parse.unquote(url.auth or "")
        made = urllib3.ProxyManager(
            url._replace(auth=None).url,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None,
            # As in client-go: one trust for the server and for the proxy before it.
            proxy_ssl_context=context,
            **options,
        )
    made.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return made


def closed_by_server(error: Exception) -> bool:
    """Whether the connection ended without a byte of an answer."""
    return isinstance(_cause(error), _CLOSED)


def reason(error: Exception) -> str:
    """Return in a few words what the system said."""
    cause = _cause(error)
    if isinstance(cause, TimeoutError):
        text = "no answer in time"
    elif isinstance(cause, ssl.SSLCertVerificationError):
        text = f"the server's certificate is not good: {cause.verify_message}"
    elif isinstance(cause, http.client.IncompleteRead):
        text = "the connection broke"
    else:
        text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return f"{'the proxy: ' if isinstance(error, ProxyError) else ''}{text or type(cause).__name__}"


def _cause(error: BaseException) -> BaseException:
    """Return the system's error of which urllib3 made one of its own."""
    while inner := error.__cause__ or next((a for a in error.args if isinstance(a, BaseException)), None):
        error = inner
    return error
