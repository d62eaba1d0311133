"""What bodies of requests may cost the running service: memory, time, and the reviews of others."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.server.http.test_cost import HONEST, LARGE, pod, review
from tests.server.running.service import REVIEW, Service, ask
from tests.waiting import until
from webhook.server.http.bodies import MAX_BODY

MIB = 2**20
HEAD = "POST /mutate?timeout={timeout} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MOST_MIB = 128
"""What the attacks here may add to a process: bodies 64 MiB, and the sockets' own buffers."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A service without TLS, for what needs no other."""
    with Service(tmp_path_factory.mktemp("service"), tls=False) as service:
        yield service


@pytest.fixture
def attacked(tmp_path):
    """A service of its own, whose memory is measured."""
    with Service(tmp_path, tls=False) as service:
        assert service.post()[0] == 200
        yield service


def resident(service, field="VmHWM"):
    """MiB of the worker: its peak, or another field."""
    (worker,) = service.workers()
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def begin(service, length=None, timeout="30s"):
    """A connection on which the head of a review has been sent; without a length, in chunks."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    client = socket.create_connection(("127.0.0.1", service.port), 20)
    client.sendall((HEAD.format(timeout=timeout) + framing + "\r\n\r\n").encode())
    return client


@contextlib.contextmanager
def in_threads(*functions):
    """Run functions of one argument, which is set when the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=each, args=(stop,)) for each in functions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("name", LARGE)
def test_the_largest_pods_of_etcd_are_decided_on(service, name, path):
    """Created and updated, by either worker: an answer of the webhook, and never a 413."""
    for operation, more in (("CREATE", {}), ("UPDATE", {"oldObject": LARGE[name]})):
        status, answer = service.post(f"{path}?timeout=30s", review(LARGE[name], operation, **more))
        assert status == 200, answer
        assert answer["response"]["allowed"] is True


@pytest.mark.parametrize("padding", [0, 1000, 100_000, 620_000, HONEST])
def test_padding_is_no_way_around_a_rule(plain, padding):
    """A QoS class cannot be changed, whatever the size of the pod in which somebody tries."""

    def labelled(qos):
        made = pod(env=[{"name": "BIG", "value": "<" * padding}])
        made["metadata"]["labels"] = {"koordinator.sh/qosClass": qos}
        return made

    body = review(labelled("LS"), "UPDATE", oldObject=labelled("BE"))
    status, answer = plain.post("/validate?timeout=30s", body)
    assert status == 200
    assert answer["response"]["allowed"] is False


def test_bodies_that_are_held_cost_a_bounded_amount(attacked):
    """80 times 7 MiB less a kilobyte: most wait unread; small reviews go on, and the memory is bounded."""
    size = 7 * MIB
    before = resident(attacked, "VmRSS")

    def hold(stop):
        with contextlib.suppress(OSError), contextlib.closing(begin(attacked, size)) as client:
            client.settimeout(0.2)
            left = size - 1000
            while left > 0 and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    left -= client.send(b"x" * min(left, MIB))
            stop.wait()

    with in_threads(*[hold] * 80):
        until(lambda: attacked.metric("colocation_webhook_requests_in_flight") >= 10)
        for _ in range(100):
            assert "patch" in attacked.post("/mutate?timeout=3s")[1]["response"]
        time.sleep(3)
        assert "patch" in attacked.post("/mutate?timeout=3s")[1]["response"]
        assert resident(attacked) < before + MOST_MIB


@pytest.mark.parametrize("piece", [1, 2, 100, 70_000])
def test_chunks_cost_no_multiple_of_their_payload(attacked, piece):
    """A byte at a time or more: the memory is that of the body."""
    before = resident(attacked, "VmRSS")
    chunk = b"%x\r\n%s\r\n" % (piece, b" " * piece)
    left = min(3 * MIB // piece, 500_000)
    with contextlib.closing(begin(attacked)) as client:
        while left > 0:
            client.sendall(chunk * min(left, 1000))
            left -= 1000
        client.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(REVIEW), REVIEW))
        assert client.recv(12) == b"HTTP/1.1 200"
    assert resident(attacked) < before + 3 * 3 + 16


def test_small_reviews_go_on_while_eight_tenants_fill_the_rest(attacked):
    """Large reviews all the time, by eight clients: no small pod is refused, late or unmutated."""
    before = resident(attacked, "VmRSS")
    bodies = [review(LARGE[name], "UPDATE", oldObject=LARGE[name]) for name in LARGE]
    outcomes = []

    def tenant(stop):
        number = 0
        with contextlib.closing(attacked.connect(timeout=60)) as client:
            while not stop.is_set():
                number += 1
                try:
                    # The time that an API server gives by default: 18 MB come in it on the busiest machine.
                    outcomes.append(
                        ask(client, path="/mutate?timeout=10s", body=bodies[number % len(bodies)])[0]
                    )
                except OSError:
                    client.close()

    with in_threads(*[tenant] * 8):
        until(lambda: len(outcomes) > 8, 60)
        for _ in range(100):
            status, answer = attacked.post("/mutate?timeout=3s")
            assert status == 200
            assert "patch" in answer["response"]
        medium = review({**pod(env=[{"name": "A", "value": "a" * 200_000}]), "kind": "Pod"})
        for _ in range(10):
            assert attacked.post("/mutate?timeout=3s", medium)[0] == 200
    assert set(outcomes) <= {200, 429}
    assert 200 in outcomes
    assert resident(attacked) < before + 384


@pytest.mark.parametrize(
    "body",
    [
        review({"a": 1}).replace(b'"a":1', b'"a":[' + b"{}," * (6 * MIB) + b"1]"),
        review({"a": 1}).replace(b'"a":1', b'"a":[' + b'{"":0},' * (2 * MIB) + b"1]"),
        review({"a": 1}).replace(b'"a":1', b'"a":[' + b"[[[]]]," * (2 * MIB) + b"1]"),
        review({"spec": {"containers": [{"name": "c"}] * 6000}}),
        review({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": 1}}}] * 9000}}),
    ],
    ids=["empty objects", "objects", "lists", "containers", "containers that are changed"],
)
def test_what_costs_too_much_is_denied_and_not_left_to_ignore(attacked, body):
    """An AdmissionReview that denies, with the uid and the reason; the memory stays."""
    before = resident(attacked, "VmRSS")
    assert len(body) <= MAX_BODY
    status, answer = attacked.post("/mutate", body)
    assert status == 200
    response = answer["response"]
    assert (response["uid"], response["allowed"], response["status"]["code"]) == ("u-1", False, 422)
    assert "too costly to decide on" in response["status"]["message"]
    assert resident(attacked) < before + 128
    assert attacked.metric('colocation_webhook_requests_total{code="422"') == 1


def test_what_takes_too_long_is_denied(plain):
    """Half of the time is over: denied before the API server gives up; with more time it is allowed."""
    body = review(LARGE["variables"])
    answer = plain.post("/mutate?timeout=120ms", body)[1]
    if "response" in answer:  # else the machine was too slow even to read it
        assert answer["response"]["allowed"] is False
        assert "half of its ?timeout=" in answer["response"]["status"]["message"]
    assert plain.post("/mutate?timeout=30s", body)[1]["response"]["allowed"] is True


def test_in_audit_mode_nothing_is_denied(tmp_path):
    """A warning says what would have been."""
    body = review({"spec": {"containers": [{}] * 6000}})
    with Service(tmp_path, "--mode", "audit", tls=False) as service:
        response = service.post(body=body)[1]["response"]
        assert response["allowed"] is True
        assert "would be denied" in response["warnings"][0]


def test_what_finds_no_room_is_asked_to_come_again(tmp_path):
    """More than may wait: 429 with Retry-After; one that waits gets its turn when another ends."""
    with Service(tmp_path, "--max-body-memory", "32", tls=False) as service, contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.closing(begin(service, MAX_BODY)))
        until(lambda: service.metric("colocation_webhook_requests_in_flight") == 1)
        waiting = [
            stack.enter_context(contextlib.closing(begin(service, 7 * MIB + len(REVIEW)))) for _ in range(16)
        ]
        until(lambda: service.metric("colocation_webhook_requests_in_flight") == 17)
        late = stack.enter_context(contextlib.closing(begin(service, 7 * MIB)))
        answer = late.recv(65536)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b"\r\nConnection: close\r\n" in answer
        first.close()
        for client in waiting:
            client.sendall(b" " * 7 * MIB + REVIEW)
            assert client.recv(12) == b"HTTP/1.1 200"


def test_a_body_has_a_least_rate(tmp_path):
    """A byte now and then is a 408, long before the time that its client asks for is over."""
    short = "import webhook.server.http.bodies as b; b.GRACE_SECONDS = 1.0; "
    with Service(tmp_path, tls=False, prelude=short) as service:
        for length in (9000, 7 * MIB, None):
            with contextlib.closing(begin(service, length)) as client:
                answer = b""
                client.settimeout(0.2)
                while not answer:
                    with contextlib.suppress(TimeoutError):
                        client.sendall(b"1\r\nx\r\n" if length is None else b"x")
                        answer = client.recv(65536)
                assert answer.startswith(b"HTTP/1.1 408 ")
                assert b"30 s" not in answer


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("POST /mutate?timeout=-1s", REVIEW),
        ("POST /mutate?timeout=-1s", REVIEW * 100),
        ("POST /mutate?timeout=soon", b""),
        ("POST /validate?timeout=soon", REVIEW[:1]),
        ("POST /nowhere", b"x" * 10),
    ],
)
def test_a_refusal_that_says_close_closes(service, head, body):
    """Whether the body came with the head or later; where it does not say so, the connection stays."""
    text = (
        f"{head} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for together in (True, False):
        with contextlib.closing(service.raw()) as client:
            if together:
                client.sendall(text.encode() + body)
            else:
                client.sendall(text.encode())
                time.sleep(0.1)
                client.sendall(body)
            answer = b""
            while not answer.partition(b"\r\n\r\n")[2].endswith(b"}"):
                answer += client.recv(65536)
            if b"\r\nConnection: close\r\n" in answer:
                client.settimeout(10)
                assert client.recv(1) == b""
            else:
                assert b" 404 " in answer
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 404"


@pytest.mark.parametrize("target", ["full", "closed", "unread"])
def test_a_service_that_cannot_write_goes_on_serving(tmp_path, target):
    """A full disk, no standard error at all, a pipe that nobody reads."""
    prelude = {
        "full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2); ",
        "closed": "import os; os.close(2); ",
        "unread": "import os; os.dup2(os.pipe()[1], 2); ",
    }[target]
    with Service(tmp_path, tls=False, prelude=prelude) as service:
        with contextlib.closing(service.connect()) as client:
            for _ in range(400):
                assert ask(client)[0] == 200
        assert service.post(body=b"no review")[0] == 400
        assert len(service.workers()) == 1
