"""Calls a WSGI application with a request that has been read (PEP 3333)."""

import io
import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication

from webhook.kube.status import status_body
from webhook.server.http.head import Head

_LOG = logging.getLogger(__name__)


class Response(NamedTuple):
    """What an application answered; ``headers`` are lines that end in CRLF."""

    status: int
    headers: bytes
    body: bytes


def call(application: WSGIApplication, head: Head, body: bytes) -> Response:
    """Return the application's whole answer, a 500 where it raises; blocks as long as it takes."""
    try:
        return _called(application, head, body)
    except Exception:  # noqa: BLE001 — the last line of defence: no traceback reaches a client
        _LOG.exception("fault while answering %s %s", head.method, head.path)
        return Response(
            500, b"Content-Type: application/json\r\n", status_body(500, "internal fault; see the log")
        )


def _called(application: WSGIApplication, head: Head, body: bytes) -> Response:
    started: list[Response] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        del exc_info
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers if name.lower() != "content-length")
        started[:] = [Response(int(status[:3]), lines.encode("latin-1"), b"")]
        return chunks.append

    chunks: list[bytes] = []
    answer = application(_environ(head, body), start_response)
    try:
        chunks.extend(answer)
    finally:
        if (close := getattr(answer, "close", None)) is not None:
            close()
    return started[0]._replace(body=b"".join(chunks))


def _environ(head: Head, body: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "CONTENT_TYPE": head.content_type,
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
