"""Calls to an API server: JSON in, JSON out, and streams of lines.

urllib3 carries them. Reads, PUTs and server-side applies go over connections that are kept,
because a call that changes a ledger waits inside somebody's admission request, and a TLS
handshake would cost more than the call; the others, and streams, have a connection of their
own. Every wait has an end: connecting, reading, and (by keep-alive probes of the kernel) a
peer that has vanished.
"""

import datetime as dt
import email.utils
import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from webhook.kube import transport
from webhook.kube.access import Access, parse_server

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
_MAX_BODY: Final = 256 * 2**20
_MAX_LINE: Final = 16 * 2**20  # bytes; etcd holds objects of at most a tenth of it
_CHUNK: Final = 64 * 2**10
_SHOWN: Final = 200
_OF_SERVER: Final = frozenset({0, 401, 429, 502, 503, 504})
_KEPT: Final = frozenset({"GET", "PUT"})
"""What may use a kept connection: a second PUT would be refused, for it names the version it replaces."""

JSON: Final = "application/json"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Asks for an object, or a watch of them, without spec and status."""

METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The same for a list. A watch that asks for this is answered, too: with nothing, at once."""

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
"""Server-side apply; JSON is YAML, too."""


class ApiError(Exception):
    """A call that gave no answer, or one that is no success.

    Attributes:
        status: the HTTP status, or the code in a ``Status`` object; 0 where there was no answer.
        retry_after: seconds that the server asks to wait; 0 where it asks for nothing.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after: float = 0.0) -> None:
        """Keep the evidence."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def of_server(self) -> bool:
        """Whether another call would fail alike; else the answer is about the object that was named.

        A 500 is an answer about one object: the API server gives it where a webhook that it asks about
        that object cannot be called.
        """
        return self.status in _OF_SERVER


class Client:
    """One API server; safe to use from many threads, and after a fork.

    Attributes:
        access: where it is, and what proves who we are.
        date: the server's own time of day when it answered last; None before it said so.
        user_agent: what it calls itself.
    """

    def __init__(self, access: Access, *, user_agent: str = "python-kube-client") -> None:
        """Take how to reach it; nothing is called yet. Raises AccessError for a URL without a host."""
        self._url = parse_server(access.server, "server").url.rstrip("/")
        self.access = access
        self.date: dt.datetime | None = None
        self.user_agent = user_agent
        # The process and the context that they were made for, and the connections.
        self._kept: tuple[object, urllib3.PoolManager] | None = None

    def close(self) -> None:
        """Close the connections that are idle; calls that are made later open others."""
        self._kept = None

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

        GET, PUT and server-side apply use a kept connection. A GET or an apply whose connection the
        server had closed is made again on a new one: an apply that was done changes nothing then.
        Nothing else is ever sent twice: such a PUT is an ApiError with the status 0, and may have
        been done.

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
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept} if body is None else {"Accept": accept, "Content-Type": content_type}
        with closing(self._open(method, path, query, headers, timeout, data)) as response:
            answer = response.read_all()
        try:
            value = orjson.loads(answer)
        except orjson.JSONDecodeError:
            raise ApiError(f"{method} {path}: the answer is not JSON: {_shown(answer)}") from None
        if not isinstance(value, dict):
            raise ApiError(f"{method} {path}: the answer is no object: {_shown(answer)}")
        return value

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        accept: str = JSON,
        silence: float = READ_SECONDS,
        opened: Callable[["Stream"], None] = lambda _: None,
    ) -> Iterator[bytes]:
        """Yield the lines of an endless answer, until the server ends it.

        Args:
            path: ``/api/v1/…``.
            query: parameters.
            accept: the form of the objects in it.
            silence: seconds without a byte after which the connection counts as dead.
            opened: gets the stream, which another thread may ``abort``.

        Raises:
            ApiError: no answer, not a 2xx, or the connection broke or fell silent.
        """
        with closing(self._open("GET", path, query, {"Accept": accept}, silence, keep=False)) as stream:
            opened(stream)
            yield from stream.lines()

    def _open(  # noqa: PLR0913 — what an HTTP request has
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        headers: dict[str, str],
        timeout: float,
        body: bytes | None = None,
        *,
        keep: bool = True,
    ) -> "Stream":
        repeatable = method == "GET" or headers.get("Content-Type") == APPLY_PATCH
        keep = keep and (repeatable or method in _KEPT)
        given = urllib.parse.urlencode({k: v for k, v in (query or {}).items() if v is not None})

        def send(context: ssl.SSLContext | None) -> urllib3.BaseHTTPResponse:
            connections = self._kept_connections(context) if keep else self._connections(context)
            return connections.urlopen(
                method,
                f"{self._url}{path}?{given}" if given else f"{self._url}{path}",
                body=body,
                headers={"User-Agent": self.user_agent, **headers, **self.access.headers()},
                timeout=urllib3.Timeout(connect=min(timeout, CONNECT_SECONDS), read=timeout),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )

        try:
            context = self.access.context() if self._url.startswith("https:") else None
            try:
                response = send(context)
            except HTTPError as error:
                if not (keep and repeatable and transport.closed_by_server(error)):
                    raise
                self._kept = None  # what the server did to one, it did to all
                response = send(context)
        except (OSError, http.client.HTTPException, HTTPError, ValueError) as error:
            raise ApiError(f"{method} {self._url}{path}: {transport.reason(error)}") from None
        self.date = _date(response.headers.get("Date")) or self.date
        stream = Stream(f"{method} {path}", response)
        if not http.HTTPStatus.OK <= response.status < http.HTTPStatus.MULTIPLE_CHOICES:
            if response.status == http.HTTPStatus.UNAUTHORIZED:
                self.access.renew()
            with closing(stream):
                raise stream.failure()
        return stream

    def _kept_connections(self, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        """Return those of this process that were made with ``context``; others are let go."""
        kept, made_for = self._kept, (os.getpid(), context)
        if kept is None or kept[0] != made_for:
            self._kept = kept = (made_for, self._connections(context))
        return kept[1]

    def _connections(self, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        return transport.connections(context, server_name=self.access.server_name, proxy=self.access.proxy)


class Stream:
    """The body of one answer, whose connection closes with it unless it is kept and was read to its end."""

    def __init__(self, what: str, response: urllib3.BaseHTTPResponse) -> None:
        """Take the response over; ``what`` is for messages."""
        self._what = what
        self._response = response
        self._connection = response.connection

    def close(self) -> None:
        """Close the connection, if it was not given back."""
        self._response.close()

    def abort(self) -> None:
        """End the connection from another thread: a read that waits returns at once."""
        if isinstance(self._connection, transport.Connection):
            self._connection.abort()

    def read_all(self) -> bytes:
        """Return the whole body; raises ApiError."""
        chunks, length = [], 0
        while chunk := self._read(self._response.read):
            chunks.append(chunk)
            length += len(chunk)
            if length > _MAX_BODY:
                raise ApiError(f"{self._what}: the answer is longer than {_MAX_BODY} bytes")
        return b"".join(chunks)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the body as they come; raises ApiError."""
        rest = b""
        while chunk := self._read(self._response.read1):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from filter(None, whole)
            if len(rest) > _MAX_LINE:
                raise ApiError(f"{self._what}: a line is longer than {_MAX_LINE} bytes")
        if rest.strip():
            raise ApiError(f"{self._what}: the connection ended in the middle of a line")

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
            retry_after=float(wait) if wait.isascii() and wait.isdigit() else 0.0,
        )

    def _read(self, read: Callable[[int], bytes]) -> bytes:
        try:
            return read(_CHUNK)
        except (OSError, http.client.HTTPException, HTTPError, ValueError) as error:
            raise ApiError(f"{self._what}: {transport.reason(error)}") from None


def _date(text: str | None) -> dt.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date.astimezone(dt.UTC)


def _shown(data: bytes) -> str:
    text = data[:_SHOWN].decode(errors="replace").strip()
    return json.dumps(text, ensure_ascii=False) if text else ""
