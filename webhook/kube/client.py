"""Calls to an API server: JSON in, JSON out, and streams of lines.

The standard library's HTTP client. The ``kubernetes`` package was measured beside it, with
the same five watches over 10,000 namespaces and 1,000 profiles; docs/cluster.md has the
figures. Calls that may be made twice go over connections that are kept (``connections``);
the others, and streams, have one of their own. Every wait has an end: connecting, reading, and (by
keep-alive probes of the kernel) a peer that has vanished.
"""

import datetime as dt
import email.utils
import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson

from webhook.kube.access import Access, AccessError
from webhook.kube.connections import Connections

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
_MAX_ANSWER: Final = 256 * 2**20
_MAX_LINE: Final = 16 * 2**20  # bytes; etcd holds objects of at most a tenth of it
_CHUNK: Final = 64 * 2**10
_SHOWN: Final = 200
# A peer that is gone is noticed after 15 + 3 x 5 s of silence, and 30 s after a write.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 15),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)

_TWICE: Final = frozenset({"GET", "PUT"})
"""What may reach the server twice: a PUT names the version it replaces, and the second one is refused."""

_DEAD: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""How a connection ends that the server closed while it was idle: without a byte of an answer."""

JSON: Final = "application/json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Asks for an object, or a watch of them, without spec and status."""

METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The same for a list. A watch that asks for this is answered, too: with nothing, at once."""

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


class ApiError(Exception):
    """A call that gave no answer, or one that is no success.

    Attributes:
        status: the HTTP status, or the code in a ``Status`` object; 0 where there was no answer.
        reason: ``Status.reason`` (``Expired``, ``NotFound`` …), else "".
        retry_after: seconds that the server asks to wait; 0 where it asks for nothing.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float = 0.0) -> None:
        """Keep the evidence."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def gone(self) -> bool:
        """Whether what was asked for is too old: list again."""
        return self.status == http.HTTPStatus.GONE


class Client:
    """One API server.

    Attributes:
        date: the server's own time of day when it answered last; None before it said so.
    """

    def __init__(self, access: Access, *, user_agent: str = "colocation-webhook") -> None:
        """Take how to reach it; nothing is called yet. Raises AccessError for a URL without a host."""
        parts = urllib.parse.urlsplit(access.server)
        if not parts.hostname:
            raise AccessError(f"server {access.server!r}: has no host name")
        self.access = access
        self.date: dt.datetime | None = None
        self._host = parts.hostname
        self._port = parts.port
        self._tls = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._user_agent = user_agent
        self._connections = Connections()

    def close(self) -> None:
        """Close the connections that are idle; calls that are made later open others."""
        self._connections.close()

    def get(self, path: str, *, timeout: float = READ_SECONDS, **query: object) -> dict[str, Any]:
        """Read a resource; raises ApiError."""
        return self.call("GET", path, query=query, timeout=timeout)

    def find(self, path: str, *, timeout: float = READ_SECONDS) -> dict[str, Any] | None:
        """Read a resource; None where it does not exist. Raises ApiError."""
        try:
            return self.get(path, timeout=timeout)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def call(  # noqa: PLR0913 — what an HTTP request has
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        query: Mapping[str, object] | None = None,
        timeout: float = READ_SECONDS,
    ) -> dict[str, Any]:
        """Make one call and return the object it answers with.

        GET and PUT use a kept connection and are made again, on a new one, when the server had
        closed it. A PUT may therefore have been done although it is answered with a conflict.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: ``/api/v1/…``.
            body: sent as JSON.
            content_type: of the body.
            accept: the form of the answer, for example METADATA_ONLY.
            query: parameters; None values are left out.
            timeout: seconds for connecting, and for each wait for the answer.

        Raises:
            ApiError: no answer, not JSON, or not a 2xx.
        """
        asked = _Asked(method, path, body, content_type, accept, query or {})
        with self._open(asked, timeout, keep=True) as answer:
            data = answer.read_all()
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise ApiError(f"{method} {path}: the answer is not JSON: {_shown(data)}") from None
        if not isinstance(value, dict):
            raise ApiError(f"{method} {path}: the answer is no object: {_shown(data)}")
        return value

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        accept: str = JSON,
        silence: float = READ_SECONDS,
        opened: Callable[["Answer"], None] = lambda _: None,
    ) -> Iterator[bytes]:
        """Yield the lines of an endless answer, until the server ends it.

        Args:
            path: ``/api/v1/…``.
            query: parameters.
            accept: the form of the objects in it.
            silence: seconds without a byte after which the connection counts as dead.
            opened: gets the answer, which another thread may ``abort``.

        Raises:
            ApiError: no answer, not a 2xx, or the connection broke or fell silent.
        """
        asked = _Asked("GET", path, None, "", accept, query or {})
        with self._open(asked, silence, keep=False) as answer:
            opened(answer)
            yield from answer.lines()

    def _open(self, asked: "_Asked", timeout: float, *, keep: bool) -> "Answer":
        headers = {"Accept": asked.accept, "User-Agent": self._user_agent}
        data = None
        if asked.body is not None:
            data = orjson.dumps(asked.body)
            headers["Content-Type"] = asked.content_type
        given = {name: value for name, value in asked.query.items() if value is not None}
        url = self._prefix + asked.path + (f"?{urllib.parse.urlencode(given)}" if given else "")
        connection: http.client.HTTPConnection | None = None
        try:
            headers |= self.access.headers()
            context = self.access.context() if self._tls else None
            if keep and asked.method in _TWICE:
                connection = self._connections.take(context)
            response = None
            if connection is not None:
                response = _again(connection, (asked.method, url, data, headers), timeout)
            if connection is None or response is None:
                connection = self._connect(context, timeout)
                connection.request(asked.method, url, data, headers)
                response = connection.getresponse()
        except (OSError, http.client.HTTPException, AccessError) as error:
            if connection is not None:
                connection.close()
            raise ApiError(f"{asked.method} {self.access.server}{asked.path}: {_reason(error)}") from None
        self.date = _date(response.headers.get("Date")) or self.date
        made = connection

        def done() -> None:
            self._connections.keep(made, context)

        answer = Answer(f"{asked.method} {asked.path}", connection, response, done if keep else None)
        if not http.HTTPStatus.OK <= response.status < http.HTTPStatus.MULTIPLE_CHOICES:
            if response.status == http.HTTPStatus.UNAUTHORIZED:
                self.access.renew()
            with answer:
                raise answer.failure()
        return answer

    def _connect(self, context: ssl.SSLContext | None, timeout: float) -> http.client.HTTPConnection:
        seconds = min(timeout, CONNECT_SECONDS)
        connection = http.client.HTTPConnection(
            self._host, self._port or (443 if self._tls else 80), timeout=seconds
        )
        connection.connect()
        plain = connection.sock
        for level, name, value in _SOCKET_OPTIONS:
            if hasattr(socket, name):
                plain.setsockopt(level, getattr(socket, name), value)
        if context is not None:
            try:
                name = self.access.server_name or self._host
                connection.sock = context.wrap_socket(plain, server_hostname=name)
            except BaseException:
                plain.close()
                raise
        connection.sock.settimeout(timeout)
        return connection


class _Asked(NamedTuple):
    method: str
    path: str
    body: object
    content_type: str
    accept: str
    query: Mapping[str, object]


class Answer:
    """The answer to one call, whose connection closes with it unless it is kept."""

    def __init__(
        self,
        what: str,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        keep: Callable[[], None] | None = None,
    ) -> None:
        """Take the connection over; ``what`` is for messages, ``keep`` takes it when all has been read."""
        self._keep = keep
        self._what = what
        self._socket = connection.sock
        self._connection = connection
        self._response = response

    def __enter__(self) -> Self:
        """Return the answer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection, or give it back."""
        whole = self._response.isclosed() and not self._response.will_close
        self._response.close()
        if whole and self._keep is not None:
            self._keep()
        else:
            self._connection.close()

    def abort(self) -> None:
        """End the connection from another thread: a read that waits returns at once."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    def read_all(self) -> bytes:
        """Return the whole body; raises ApiError."""
        try:
            data = self._response.read(_MAX_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"{self._what}: {_reason(error)}") from None
        if len(data) > _MAX_ANSWER:
            raise ApiError(f"{self._what}: the answer is longer than {_MAX_ANSWER} bytes")
        return data

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the body as they come; raises ApiError."""
        rest = b""
        while True:
            try:
                chunk = self._response.read1(_CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise ApiError(f"{self._what}: {_reason(error)}") from None
            if not chunk:
                if rest.strip():
                    raise ApiError(f"{self._what}: the connection ended in the middle of a line")
                return
            *whole, rest = (rest + chunk).split(b"\n")
            yield from filter(None, whole)
            if len(rest) > _MAX_LINE:
                raise ApiError(f"{self._what}: a line is longer than {_MAX_LINE} bytes")

    def failure(self) -> ApiError:
        """Return the error that an answer which is no success stands for."""
        status = self._response.status
        data = self.read_all()
        try:
            said = orjson.loads(data)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            said = {"message": _shown(data) or self._response.reason}
        wait = self._response.headers.get("Retry-After", "")
        return ApiError(
            f"{self._what}: {status}: {said.get('message') or self._response.reason}",
            status=status,
            reason=str(said.get("reason") or ""),
            retry_after=float(wait) if wait.isascii() and wait.isdigit() else 0.0,
        )


def _again(
    connection: http.client.HTTPConnection,
    asked: tuple[str, str, bytes | None, dict[str, str]],
    timeout: float,
) -> http.client.HTTPResponse | None:
    """Ask over a kept connection; None: the server had closed it."""
    try:
        connection.sock.settimeout(timeout)
        connection.request(*asked)
        return connection.getresponse()
    except _DEAD:
        connection.close()
        return None


def _date(text: str | None) -> dt.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date.astimezone(dt.UTC)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not good: {error.verify_message}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _shown(data: bytes) -> str:
    text = data[:_SHOWN].decode(errors="replace").strip()
    return json.dumps(text, ensure_ascii=False) if text else ""
