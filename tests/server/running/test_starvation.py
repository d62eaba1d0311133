"""What a few bytes of somebody else may cost: probes, reviews and the view go on."""

import itertools
import json
import select
import signal
import socket
import threading
import time

import pytest
import yaml

from tests.kube.fakeapi import CLASSES, NAMESPACES, PROFILES, FakeApi
from tests.pods.test_documents import LAUGH
from tests.server.running.service import JSON, PROFILE, REVIEW, Service
from tests.server.running.test_cluster import ClusterService, in_namespace
from tests.waiting import until


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
        (" " * 100 * 10**6, "has 100000000 bytes; at most 16777216 are read"),
    ],
    ids=lambda value: value[-30:],
)
def test_a_file_of_little_that_makes_much_keeps_the_view(quiet, text, message):
    """It is refused in one short line, reviews and probes are answered meanwhile."""
    file = quiet.objects / "laugh.yaml"
    (quiet.folder / "laugh").write_text(text)
    (quiet.folder / "laugh").rename(file)
    error = until(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"])
    assert message in error
    assert len(error) < 300
    assert quiet.admin("/healthz")[0] == 200
    assert quiet.post()[1]["response"]["patchType"] == "JSONPatch"
    file.unlink()
    until(lambda: json.loads(quiet.admin("/readyz")[1])["view"]["error"] is None)


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
    """Though a byte comes every quarter of a second: with a 408 at most, and without a line in the log."""
    with socket.create_connection(("127.0.0.1", quiet.admin_port)) as connection:
        connection.sendall(begun)

        def closed():
            try:
                connection.send(b"a")
                return bool(select.select([connection], [], [], 0.25)[0]) and not connection.recv(1)
            except OSError:
                return True

        until(closed)
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


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("zz/{}", 400),
        ("zz.{}", 400),
        ("ZZ{}", 400),
        ("zz-{}", 403),
        ("zz-{}", 404),
        ("zz-{}", 429),
        ("zz-{}", 503),
    ],
)
def test_reviews_of_names_made_up_do_not_starve_a_new_namespace(tmp_path, name, status):
    """24 clients ask for one name after another, each for a second; a pod in a new namespace is mutated."""

    class Failures(dict):
        def get(self, key, default=None):
            return [(status, {"message": "no"})] if "zz" in key[1].lower() else default

    with FakeApi() as fake:
        fake.put(PROFILES, "spark", spec=yaml.safe_load(PROFILE)["spec"])
        fake.put(CLASSES, "koord-batch", value=5000)
        fake.failures = Failures()
        numbers, stop, seen = itertools.count(), threading.Event(), set()
        with ClusterService(tmp_path, fake, "--no-write-status") as service:

            def flood():
                while not stop.is_set():
                    body = in_namespace(name.format(next(numbers)))
                    seen.add(service.post("/mutate?timeout=1s", body)[0])

            threads = [threading.Thread(target=flood) for _ in range(24)]
            for thread in threads:
                thread.start()
            try:
                for i in range(3):
                    time.sleep(0.5)
                    fake.quietly(NAMESPACES, f"fresh-{i}")
                    code, answer = service.post("/mutate?timeout=3s", in_namespace(f"fresh-{i}"))
                    assert (code, answer["response"]["patchType"]) == (200, "JSONPatch")
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert seen == {400 if status == 400 else 503}
            fake.quietly(NAMESPACES, "after")
            assert service.post("/mutate?timeout=3s", in_namespace("after"))[0] == 200
        asked = [path for method, path in fake.requests if method == "GET" and "zz" in path.lower()]
        assert bool(asked) is (status != 400)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_look_ups_that_are_open_at_the_end_are_no_errors(tmp_path, number):
    """Their reviews end as the service does; the log shows no error and no traceback."""
    with FakeApi() as fake:
        held = threading.Event()
        for i in range(9):
            fake.late["GET", f"{NAMESPACES}/new-{i}"] = lambda: held.wait(20)
        with ClusterService(tmp_path, fake, "--no-write-status") as service:
            connections = [service.connect() for _ in range(9)]
            for i, connection in enumerate(connections):
                connection.request("POST", "/mutate?timeout=2s", in_namespace(f"new-{i}"), JSON)
            until(lambda: service.metric("colocation_webhook_requests_in_flight") == 9)
            service.process.send_signal(number)
            service.process.wait(30)
            held.set()
            for connection in connections:
                connection.close()
        text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    assert [line for line in service.lines if line["level"] == "error" and "in time" not in str(line)] == []
