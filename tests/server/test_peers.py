"""Other replicas are asked over HTTP; whatever they answer, nothing is raised."""

import contextlib
import http.server
import json
import threading

import pytest

from tests.ports import free_ports
from webhook.server import peers as asking
from webhook.server.peers import Peers


@contextlib.contextmanager
def answering(status, body):
    """A server on a port of the loopback address, which answers everything the same."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def report(instance="other", stale=()):
    """What a replica says of itself."""
    return json.dumps({"instance": instance, "view": {"stale": list(stale)}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "serves"),
    [
        (200, report(), True),
        (200, report(instance="me"), False),
        (200, report(stale=["namespaces"]), False),
        (503, report(), False),
        (200, b"", False),
        (200, b"ok", False),
        (200, b"[]", False),
        (200, b"null", False),
        (200, b'{"instance": "other", "view": {}}', False),
        (200, b'{"instance": "other", "view": null}', False),
        (200, b'{"view": {"stale": []}}', False),
    ],
)
def test_only_a_ready_replica_with_a_fresh_view_that_is_not_ourselves_serves(status, body, serves):
    """Anything that is not understood, an older version's answer say, is no help."""
    with answering(status, body) as port:
        found = Peers([("127.0.0.1", port)], "me").fresh()
    assert found == (f"127.0.0.1:{port}" if serves else None)


def test_the_first_that_serves_is_returned_and_nobody_there_is_no_error():
    """Closed ports and names that do not exist are passed over."""
    with answering(200, report()) as port:
        nobody = [("127.0.0.1", free_ports(1)[0]), ("no such name.invalid", 1), ("a" * 80, 1)]
        assert Peers([*nobody, ("127.0.0.1", port)], "me").fresh() == f"127.0.0.1:{port}"
        assert Peers(nobody, "me").fresh() is None


def test_every_address_of_a_name_is_asked(monkeypatch):
    """A headless Service has one for each replica; each is asked once."""
    addresses = ["127.0.0.2", "127.0.0.1", "127.0.0.1"]
    monkeypatch.setattr(
        asking.socket,
        "getaddrinfo",
        lambda _, port, **__: [(2, 1, 6, "", (address, port)) for address in addresses],
    )
    asked = []
    monkeypatch.setattr(Peers, "_serves", lambda _, *where: bool(asked.append(where)))
    assert Peers([("webhook-peers", 8081)], "me").fresh() is None
    assert asked == [("127.0.0.2", 8081), ("127.0.0.1", 8081)]
