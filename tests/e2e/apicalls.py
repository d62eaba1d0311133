"""Calls to the control plane's API server without kubectl, for tests that make thousands."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from typing import Self

from tests.e2e.controlplane import ADMIN_TOKEN, ControlPlane
from tests.e2e.kubectl import Object

MERGE_PATCH = "application/merge-patch+json"


class Calls:
    """What lies under one path, over a connection for each thread; leaving the block closes all of them."""

    def __init__(self, control_plane: ControlPlane, prefix: str = "") -> None:
        """Take the path that all others are appended to; nothing is called yet."""
        self._port = control_plane.port
        self._trust = ssl.create_default_context(cafile=str(control_plane.certificate))
        self._prefix = prefix
        self._mine = threading.local()
        self._open: set[http.client.HTTPSConnection] = set()

    def __enter__(self) -> Self:
        """Nothing is called yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every thread's connection; no thread calls any more."""
        for connection in self._open:
            connection.close()

    def call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> tuple[int, str]:
        """Status and body; raises OSError or HTTPException where there is no answer."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content_type}
        try:
            connection = self._connection()
            connection.request(method, self._prefix + path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._mine, "connection", None)
        self._mine.connection = None
        if connection is not None:
            self._open.discard(connection)
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._trust, timeout=60)
            self._mine.connection = connection
            self._open.add(connection)
        return connection


def message(body: str) -> str:
    """What a Status says, or the beginning of what is none."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body[:300]
