"""The API server for many calls: a connection for each thread, no process for each."""

from __future__ import annotations

import http.client
import json
import ssl
import threading

from tests.e2e.cluster.controlplane import ADMIN_TOKEN, ControlPlane
from tests.e2e.cluster.kubectl import Object

MERGE_PATCH = "application/merge-patch+json"
NOW = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}


class ApiClient:
    """The administrator's client. Each thread that called closes its connection."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._port = control_plane.port
        self._trust = ssl.create_default_context(cafile=str(control_plane.certificate))
        self._mine = threading.local()

    def call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> tuple[int, str]:
        """Status and body; raises OSError where there is no answer."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content_type}
        try:
            connection = self._connection()
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"{method} {path}: {error!r}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._mine, "connection", None)
        self._mine.connection = None
        if connection is not None:
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._trust, timeout=60)
            self._mine.connection = connection
        return connection


def message(body: str) -> str:
    """What a Status says, or the beginning of what is none."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body[:300]
