"""An HTTP proxy on loopback: CONNECT to anywhere, and plain requests passed on."""

import contextlib
import http.client
import select
import socket
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeProxy:
    """The proxy; ``with FakeProxy() as proxy`` runs it.

    Attributes:
        port: where it listens.
        asked: what it was asked for, in order: (``CONNECT host:port`` or a URL, Proxy-Authorization).
        refuses: the status with which it refuses everything; None: it serves.
    """

    def __init__(self, tls=None):
        """Ask for nothing yet; ``tls``: an ssl.SSLContext to speak it."""
        self.asked = []
        self.refuses = None
        proxy = self

        class Handler(_Handler):
            fake = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        """Start."""
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    fake = None

    def log_message(self, *_):
        """Say nothing."""

    def do_CONNECT(self):
        if self._refused():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port))) as far:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self._carry(far)
        self.close_connection = True

    def _carry(self, far):
        near = self.connection
        while True:
            waiting = getattr(near, "pending", lambda: 0)()
            ready = [near] if waiting else select.select([near, far], [], [], 30)[0]
            for one in ready:
                data = one.recv(65536)
                if not data:
                    return
                (far if one is near else near).sendall(data)

    def do_GET(self):
        if self._refused():
            return
        parts = urllib.parse.urlsplit(self.path)
        far = http.client.HTTPConnection(parts.hostname, parts.port)
        far.request("GET", f"{parts.path}?{parts.query}", headers=dict(self.headers))
        answer = far.getresponse()
        body = answer.read()
        far.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self):
        self.fake.asked.append((f"{self.command} {self.path}", self.headers.get("Proxy-Authorization")))
        if self.fake.refuses is not None:
            self.send_response(self.fake.refuses)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return self.fake.refuses is not None
