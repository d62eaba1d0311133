"""A mutating webhook that changes nothing and writes each review that it gets to a file, one a line.

Run as a script: port, certificate, key, file. It answers after the review is written.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Records and allows."""

    protocol_version = "HTTP/1.1"
    file: Path
    lock = threading.Lock()

    def do_POST(self) -> None:
        """Answer one review."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock, self.file.open("a") as file:
            file.write(json.dumps(review) + "\n")
        body = json.dumps(review | {"response": {"uid": review["request"]["uid"], "allowed": True}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until ended."""
    port, certificate, key, file = sys.argv[1:]
    Handler.file = Path(file)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
