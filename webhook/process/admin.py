"""The admin port: health, readiness, and whatever routes a process adds, in plain HTTP.

It answers in threads of its own, so that a flood on another port cannot keep a probe waiting. A request has
to arrive whole within a few seconds; when too many are on their way, the oldest makes room.
"""

import contextlib
import io
import ipaddress
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson
from prometheus_client import CollectorRegistry

from webhook.kube.status import status_body
from webhook.process.metrics import CONTENT_TYPE, render

MAX_BODY = 7 * 2**20
_MAX_CONNECTIONS = 64
_REQUEST_SECONDS = 3.0
_ROOM_SECONDS = (0.0, 0.05, 0.05, 0.05)
"""How long a new connection waits for room: first, and each time after another one was closed for it."""

_LOG = logging.getLogger(__name__)


class Report(NamedTuple):
    """What a check found: whether the process is ready as far as it goes, and details for people."""

    ready: bool
    details: Mapping[str, object]


class Request(NamedTuple):
    """A request to a route; ``body`` is empty for a GET."""

    query: str
    content_type: str
    body: bytes


class Response(NamedTuple):
    """What a route answers."""

    status: int
    body: bytes
    content_type: str = "application/json"


Check = Callable[[], Report]
Route = Callable[[Request], Response]
Routes = Mapping[tuple[str, str], Route]
"""By method and path."""


def admin_routes(
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    observe: Callable[[], None],
    *,
    instance: str,
    draining: Callable[[], bool],
) -> dict[tuple[str, str], Route]:
    """Return the routes that every process has: /healthz, /readyz and /metrics.

    Args:
        checks: by the name under which /readyz shows the details; one that is not ready makes it a 503.
        registry: what /metrics shows.
        observe: brings the registry up to date.
        instance: what distinguishes this replica from its peers.
        draining: whether the process is about to end, and so not ready.
    """

    def readyz(_: Request) -> Response:
        reports = {name: check() for name, check in checks.items()}
        stopping = draining()
        ready = not stopping and all(report.ready for report in reports.values())
        details = {name: report.details for name, report in reports.items()}
        report = {"ready": ready, "draining": stopping, "instance": instance, **details}
        return json_response(200 if ready else 503, report)

    def metrics(_: Request) -> Response:
        observe()
        return Response(200, render(registry), CONTENT_TYPE)

    return {
        ("GET", "/healthz"): lambda _: Response(200, b"ok\n", "text/plain; charset=utf-8"),
        ("GET", "/readyz"): readyz,
        ("GET", "/metrics"): metrics,
    }


def json_response(code: int, value: object) -> Response:
    """Return a JSON document; times are written in UTC to the second."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
    return Response(code, orjson.dumps(value, default=str, option=options))


def failure(code: int, message: str) -> Response:
    """Return a ``metav1.Status``."""
    return Response(code, status_body(code, message))


def wsgi_app(routes: Routes) -> WSGIApplication:
    """Return a WSGI application that serves routes, and a ``metav1.Status`` for every other request."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response, headers = _answer(routes, environ)
        headers += [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    return application


def _answer(routes: Routes, environ: WSGIEnvironment) -> tuple[Response, list[tuple[str, str]]]:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    route = routes.get(("GET" if method == "HEAD" else method, path))
    if route is None:
        methods = sorted(each for each, known in routes if known == path)
        if methods:
            allow = [("Allow", ", ".join(methods))]
            return failure(405, f"{path} answers {' and '.join(methods)}, not {method[:20]}"), allow
        known = ", ".join(sorted({each for _, each in routes}))
        return failure(404, f"there is no path {path[:100]!r}; there are {known}"), []
    body = _body(environ)
    if isinstance(body, Response):
        return body, []
    try:
        return route(Request(environ.get("QUERY_STRING", ""), environ.get("CONTENT_TYPE", ""), body)), []
    except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
        _LOG.exception("fault while answering %s %s", method, path)
        return failure(500, f"internal fault at {path}; the log has the details"), []


def _body(environ: WSGIEnvironment) -> bytes | Response:
    """Return the body of a POST, or the refusal of one that is too long or does not arrive."""
    given = environ.get("CONTENT_LENGTH") or "0"
    if not (given.isascii() and given.isdigit()):
        return failure(400, f"Content-Length: {given[:20]!r} is no number")
    length = int(given.lstrip("0")[:20] or "0")
    if length > MAX_BODY:
        return failure(413, f"the body has {length} bytes or more; at most {MAX_BODY} are read")
    if environ["REQUEST_METHOD"] != "POST":
        return b""
    try:
        return bytes(environ["wsgi.input"].read(length))
    except OSError:
        return failure(408, f"the body did not arrive: a request has {_REQUEST_SECONDS:g} s in all")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches ``host``; a name other than localhost does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AdminServer(socketserver.ThreadingMixIn, WSGIServer):
    """Serves an application on a socket that several processes share, a thread a connection, at most 64."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        # Several processes are woken by one connection; the ones that come too late must not block in
        # accept().
        listener.settimeout(0)
        self.socket = listener
        self.server_name, self.server_port = "admin", listener.getsockname()[1]
        self.setup_environ()
        self.set_app(app)
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self.arriving: dict[socket.socket, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Serve the connection in a thread; at 64 the oldest whose request has not arrived makes room."""
        for seconds in _ROOM_SECONDS:
            if self._slots.acquire(timeout=seconds):
                super().process_request(request, client_address)
                return
            arriving = self.arriving.copy()
            if arriving:
                with contextlib.suppress(OSError):
                    min(arriving, key=arriving.__getitem__).shutdown(socket.SHUT_RDWR)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Serve the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Ignore what goes wrong with a connection: the client went away or was too slow."""

    def start(self) -> None:
        """Serve in a daemon thread until the process ends."""
        threading.Thread(target=self.serve_forever, name="admin", daemon=True).start()


class _Arrival(io.RawIOBase):
    """What a client sends, head and body, until the time for both is over."""

    def __init__(self, connection: socket.socket, arriving: dict[socket.socket, float]) -> None:
        self._connection = connection
        self._arriving = arriving  # the connections that wait for their clients, and since when they are open
        self._since = time.monotonic()

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 — io's type
        """Wait for bytes; raises ConnectionAbortedError when no more come, or not in time."""
        self._connection.settimeout(max(0.001, self._since + _REQUEST_SECONDS - time.monotonic()))
        self._arriving[self._connection] = self._since
        try:
            if received := self._connection.recv_into(buffer):
                return received
        except TimeoutError:
            pass
        finally:
            del self._arriving[self._connection]
        raise ConnectionAbortedError


class _Handler(WSGIRequestHandler):
    """One connection: bounded in time, without a log line for every probe."""

    server: AdminServer

    def setup(self) -> None:
        """Read through what looks at the clock."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Arrival(self.connection, self.server.arriving))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the standard library's name
        """Say nothing: probes and scrapes come every few seconds."""


ServerHandler.server_software = "colocation-webhook"
