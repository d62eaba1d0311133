"""The network of Services, for an API server that is no part of it: a proxy that knows who is behind which.

The API server's egress selector sends there what is meant for the cluster. A connection to ``ADDRESS:PORT``
of a Service ends at the local port that was named for it, as kube-proxy would bring it to a pod.
"""

from __future__ import annotations

import contextlib
import http.server
import select
import socket
import socketserver
import tempfile
import threading
from pathlib import Path
from typing import Self

_CHUNK = 1 << 16


class ClusterNetwork:
    """Listens on a Unix socket from entering to leaving."""

    def __init__(self) -> None:
        """Know no Service yet."""
        self.ports: dict[str, int] = {}
        """Local ports by the ``ADDRESS:PORT`` of Services."""

        network = self

        class Handler(_Handler):
            ports = network.ports

        # The names of such sockets are short: those of the tests' own folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="services-")
        self.path = Path(self._folder.name) / "socket"
        self._server = _Server(str(self.path), Handler)

    def __enter__(self) -> Self:
        """Begin."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; connections end with the API server."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    ports: dict[str, int]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the standard library's name
        """Say nothing."""

    def do_CONNECT(self) -> None:
        """Join the connection to the one behind the address; end it where there is none."""
        self.close_connection = True
        try:
            onward = socket.create_connection(("localhost", self.ports[self.path]), timeout=5)
        except (KeyError, OSError):
            return  # A connection that ends is what the API server would see, too.
        with onward:
            self.send_response(200)
            self.end_headers()
            _join(self.connection, onward)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    opposite = {one: other, other: one}
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select(list(opposite), [], [])[0]:
                data = ready.recv(_CHUNK)
                if not data:
                    return
                opposite[ready].sendall(data)
