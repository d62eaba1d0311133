"""A second mutating webhook, as clusters have them: injects a sidecar, or translates like Koordinator.

Run as a script: port, certificate, key, and perhaps a file, to which it writes each review before it
answers, one a line. It speaks HTTP/1.1.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONTAINER = "injected"
INJECT = "second-webhook/inject"
TRANSLATE = "second-webhook/translate"
"""Labels of pods: what this webhook shall do with them."""

_UNITS = {"cpu": ("kubernetes.io/batch-cpu", lambda figure: str(int(figure) * 1000))}
_UNITS["memory"] = ("kubernetes.io/batch-memory", lambda figure: figure)


def patch(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """What to do with a pod, by its labels; nothing the second time."""
    labels = pod["metadata"].get("labels", {})
    operations: list[dict[str, Any]] = []
    if INJECT in labels and all(c["name"] != CONTAINER for c in pod["spec"]["containers"]):
        figures = {"cpu": "100m", "memory": "64Mi"}
        sidecar = {"name": CONTAINER, "image": "none", "resources": {"requests": figures, "limits": figures}}
        operations.append({"op": "add", "path": "/spec/containers/-", "value": sidecar})
    if TRANSLATE in labels and "koordinator.sh/qosClass" not in labels:
        operations += _translate(pod, labels)
    return operations


def _translate(pod: dict[str, Any], labels: dict[str, str]) -> list[dict[str, Any]]:
    """What Koordinator's own webhook leaves of a pod with whole CPUs, for a profile of its own."""
    marked = labels | {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority": "1111"}
    spec = pod["spec"] | {
        "schedulerName": "koord-scheduler",
        "priorityClassName": "koord-batch",
        "priority": 5000,
    }
    extended: dict[str, Any] = {}
    containers = []
    for container in spec["containers"]:
        translated = {
            side: {_UNITS[name][0]: _UNITS[name][1](figure) for name, figure in figures.items()}
            for side, figures in container["resources"].items()
        }
        extended[container["name"]] = translated
        containers.append(container | {"resources": translated})
    annotation = {"node.koordinator.sh/extended-resource-spec": json.dumps({"containers": extended})}
    metadata = pod["metadata"] | {"labels": marked}
    metadata["annotations"] = metadata.get("annotations", {}) | annotation
    return [
        {"op": "replace", "path": "/metadata", "value": metadata},
        {"op": "replace", "path": "/spec", "value": spec | {"containers": containers}},
    ]


class Handler(BaseHTTPRequestHandler):
    """Answers reviews, and records them."""

    protocol_version = "HTTP/1.1"
    file: Path | None = None
    lock = threading.Lock()

    def do_POST(self) -> None:
        """Answer one."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.file is not None:
            with self.lock, self.file.open("a") as file:
                file.write(json.dumps(review) + "\n")
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if operations := patch(request["object"]):
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(json.dumps(operations).encode()).decode()
        review["response"] = response
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until ended."""
    port, certificate, key, *files = sys.argv[1:]
    Handler.file = Path(files[0]) if files else None
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
