"""What a few bytes of somebody else may cost: probes, reviews and the view go on."""

import json
import select
import socket
import threading
import time

import pytest

from tests.pods.test_documents import LAUGH
from tests.server.service import PROFILE, REVIEW, Service, wait_for


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A service without TLS."""
    with Service(tmp_path_factory.mktemp("service"), tls=False) as service:
        yield service


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROFILE.partition("spec:")[0] + LAUGH + "spec: *a8\n", "aliases add more than"),
        ("a: &a [[*a]]\n", "or in itself"),
        ("{a: " * 100_000, "nested deeper than"),
        ("a: " + "7" * 4000, "a number of 4000 characters"),
        ("a: 0x" + "7" * 8_000_000, "a number of 8000002 characters"),
        (" " * 100 * 10**6, "has 100000000 bytes"),
    ],
    ids=lambda value: value[-30:],
)
def test_a_file_of_little_that_makes_much_keeps_the_view(quiet, text, message):
    """It is refused in one short line, reviews and probes are answered meanwhile."""
    file = quiet.objects / "laugh.yaml"
    file.write_text(text)
    error = wait_for(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"])
    assert message in error
    assert len(error) < 300
    assert quiet.admin("/healthz")[0] == 200
    assert quiet.post()[1]["response"]["patchType"] == "JSONPatch"
    file.unlink()
    wait_for(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"] is None)


HEAD = b"POST /explain HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healt", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nX: ", HEAD, HEAD + b"{"],
    ids=["silent", "line", "no header", "header", "no body", "body"],
)
@pytest.mark.parametrize("again", [False, True], ids=["", "again"])
def test_probes_are_answered_while_requests_trickle(quiet, begun, again):
    """64 connections that send a byte now and then, and come back when they are closed, keep no probe out."""
    attack, stop = [], threading.Event()

    def connect():
        connection = socket.create_connection(("127.0.0.1", quiet.admin_port))
        connection.sendall(begun)
        return connection

    def trickle():
        while not stop.wait(0.1):
            for i, connection in enumerate(attack):
                try:
                    connection.send(b"a" * bool(begun))
                    if select.select([connection], [], [], 0)[0] and not connection.recv(4096):
                        raise ConnectionError
                except OSError:
                    if again:
                        connection.close()
                        attack[i] = connect()

    attack += [connect() for _ in range(64)]
    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        for _ in range(8):
            assert quiet.admin("/healthz")[0] == 200
            assert quiet.admin("/readyz")[0] == 200
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join()
        for connection in attack:
            connection.close()
    assert b"Traceback" not in (quiet.folder / "log").read_bytes()


@pytest.mark.parametrize("begun", [b"GET /healthz HTTP/1.1\r\nX: ", HEAD], ids=["head", "body"])
def test_a_request_that_does_not_arrive_whole_is_given_up(quiet, begun):
    """Though a byte comes every quarter of a second: without an answer, and without a line in the log."""
    with socket.create_connection(("127.0.0.1", quiet.admin_port)) as connection:
        connection.sendall(begun)

        def closed():
            try:
                connection.send(b"a")
                return bool(select.select([connection], [], [], 0.25)[0]) and not connection.recv(1)
            except OSError:
                return True

        wait_for(closed)
    assert b"Traceback" not in (quiet.folder / "log").read_bytes()


@pytest.mark.parametrize("pieces", [2, 20])
def test_a_request_that_comes_in_pieces_is_answered(quiet, pieces):
    """Slow is allowed, within the time."""
    whole = HEAD.replace(b"5000", b"%d" % len(REVIEW)) + REVIEW
    size = -(-len(whole) // pieces)
    with socket.create_connection(("127.0.0.1", quiet.admin_port)) as connection:
        for at in range(0, len(whole), size):
            connection.sendall(whole[at : at + size])
            time.sleep(0.02)
        assert connection.recv(15).startswith(b"HTTP/1.0 200")
