"""Calls to an API server: JSON in, JSON out, and streams of lines.

The standard library's HTTP client, a connection a call. The ``kubernetes`` package was
measured beside it, with the same five watches over 10,000 namespaces and 1,000 profiles;
docs/cluster.md has the figures. Every wait has an end: connecting, reading, and (by
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
from typing import Any, Final, Self

import orjson

from webhook.cluster.access import Access, AccessError

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


class Api:
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

    def get(self, path: str, *, timeout: float = READ_SECONDS, **query: object) -> dict[str, Any]:
        """Read a resource; raises ApiError."""
        return self.call("GET", path, query=query, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = "application/json",
        query: Mapping[str, object] | None = None,
        timeout: float = READ_SECONDS,
    ) -> dict[str, Any]:
        """Make one call and return the object it answers with.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: ``/api/v1/…``.
            body: sent as JSON.
            content_type: of the body.
            query: parameters; None values are left out.
            timeout: seconds for connecting, and for each wait for the answer.

        Raises:
            ApiError: no answer, not JSON, or not a 2xx.
        """
        with self._open(method, path, body, content_type, query or {}, timeout) as answer:
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
        silence: float = READ_SECONDS,
        opened: Callable[["Answer"], None] = lambda _: None,
    ) -> Iterator[bytes]:
        """Yield the lines of an endless answer, until the server ends it.

        Args:
            path: ``/api/v1/…``.
            query: parameters.
            silence: seconds without a byte after which the connection counts as dead.
            opened: gets the answer, which another thread may ``abort``.

        Raises:
            ApiError: no answer, not a 2xx, or the connection broke or fell silent.
        """
        with self._open("GET", path, None, "", query or {}, silence) as answer:
            opened(answer)
            yield from answer.lines()

    def _open(
        self,
        method: str,
        path: str,
        body: object,
        content_type: str,
        query: Mapping[str, object],
        timeout: float,
    ) -> "Answer":
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = content_type
        given = {name: value for name, value in query.items() if value is not None}
        url = self._prefix + path + (f"?{urllib.parse.urlencode(given)}" if given else "")
        connection: http.client.HTTPConnection | None = None
        try:
            headers |= self.access.headers()
            connection = self._connect(timeout)
            connection.request(method, url, data, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, AccessError) as error:
            if connection is not None:
                connection.close()
            raise ApiError(f"{method} {self.access.server}{path}: {_reason(error)}") from None
        self.date = _date(response.headers.get("Date")) or self.date
        answer = Answer(f"{method} {path}", connection, response)
        if not http.HTTPStatus.OK <= response.status < http.HTTPStatus.MULTIPLE_CHOICES:
            if response.status == http.HTTPStatus.UNAUTHORIZED:
                self.access.renew()
            with answer:
                raise answer.failure()
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        seconds = min(timeout, CONNECT_SECONDS)
        connection = http.client.HTTPConnection(
            self._host, self._port or (443 if self._tls else 80), timeout=seconds
        )
        connection.connect()
        plain = connection.sock
        for level, name, value in _SOCKET_OPTIONS:
            if hasattr(socket, name):
                plain.setsockopt(level, getattr(socket, name), value)
        if self._tls:
            try:
                name = self.access.server_name or self._host
                connection.sock = self.access.context().wrap_socket(plain, server_hostname=name)
            except BaseException:
                plain.close()
                raise
        connection.sock.settimeout(timeout)
        return connection


class Answer:
    """The answer to one call, whose connection closes with it."""

    def __init__(
        self, what: str, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        """Take the connection over; ``what`` is for messages."""
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
        """Close the connection."""
        self._response.close()
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
