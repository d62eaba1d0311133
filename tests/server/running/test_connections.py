"""Clients that hold connections cannot keep the others out."""

import contextlib
import http.client
import resource
import socket
import threading
import time

import pytest

from tests.server.running.service import JSON, REVIEW, Service, ask
from tests.waiting import until

HEAD = b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
# Who makes room goes by order alone: on a busy machine a client may be silent for longer than a head may.
PATIENT = "import webhook.server.worker as w; w.HEADER_SECONDS = w.HANDSHAKE_SECONDS = 600.0; "
FEW = PATIENT + "import webhook.server.run as r; r.MAX_CONNECTIONS = 20; "


@pytest.mark.parametrize("tls", [True, False])
def test_a_silent_connection_makes_room_and_a_used_one_stays(tmp_path, tls):
    """At the limit the longest idle goes, those first that never sent a request."""
    with Service(tmp_path, tls=tls, prelude=FEW) as service, contextlib.ExitStack() as stack:
        used = stack.enter_context(contextlib.closing(service.connect()))
        assert ask(used)[0] == 200
        silent = [stack.enter_context(contextlib.closing(service.raw())) for _ in range(60)]
        assert ask(used)[0] == 200
        for _ in range(5):
            assert service.post()[0] == 200
        assert ask(used)[0] == 200
        # The last to come are still there.
        silent[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)
        silent[0].settimeout(5)
        assert silent[0].recv(1) == b""
        crowded = [line for line in service.lines if "more than 20 connections" in str(line)]
        assert len(crowded) == 1


def test_handshakes_that_do_not_go_on_make_room(tmp_path):
    """The oldest goes, whatever it sent of a handshake; the others are not kept out."""
    few = PATIENT + "w.MOST_HANDSHAKES = 20; "
    with Service(tmp_path, prelude=few) as service, contextlib.ExitStack() as stack:
        used = stack.enter_context(contextlib.closing(service.connect()))
        assert ask(used)[0] == 200
        address = ("127.0.0.1", service.port)
        silent = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(60)]
        for client in silent[1::2]:
            with contextlib.suppress(OSError):
                client.sendall(b"\x16\x03\x01\x02")
        for _ in range(5):
            assert service.post()[0] == 200
        assert ask(used)[0] == 200
        for client in silent[:40]:
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
        silent[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)


def test_idle_clients_that_sent_a_request_make_room_too(tmp_path):
    """The longest idle of them goes."""
    with Service(tmp_path, tls=False, prelude=FEW) as service, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(service.connect())) for _ in range(20)]
        for client in clients:
            assert ask(client)[0] == 200
        assert service.post()[0] == 200
        assert ask(clients[-1])[0] == 200
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(clients[0])


def test_busy_connections_are_not_closed_for_a_new_one(tmp_path):
    """Where all are in the middle of a request, the new one goes."""
    with Service(tmp_path, tls=False, prelude=FEW) as service, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(contextlib.closing(service.raw())) for _ in range(20)]
        for client in busy:
            client.sendall(HEAD % len(REVIEW) + b"\r\n" + REVIEW[:10])
        until(lambda: service.metric("colocation_webhook_requests_in_flight") == 20)
        late = stack.enter_context(contextlib.closing(service.raw()))
        with contextlib.suppress(ConnectionError):
            assert late.recv(1) == b""
        for client in busy:
            client.sendall(REVIEW[10:])
            assert client.recv(12) == b"HTTP/1.1 200"


def test_a_head_that_trickles_in_after_the_first_request_is_cut(tmp_path):
    """The time of a head is the same for every request; idle time before it does not count."""
    short = "import webhook.server.worker as w; w.HEADER_SECONDS = 1.5; "
    with Service(tmp_path, tls=False, prelude=short) as service:
        client = service.connect(timeout=5)
        with contextlib.closing(client):
            assert ask(client)[0] == 200
            time.sleep(3)
            assert ask(client)[0] == 200  # idle for longer than a head may take
            stop = threading.Event()

            def trickle():
                with contextlib.suppress(OSError):
                    client.sock.sendall(b"POST /mutate HTTP/1.1\r\nX: ")
                    while not stop.wait(0.2):
                        client.sock.sendall(b"x")

            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                with contextlib.suppress(ConnectionError):
                    assert client.sock.recv(1) == b""
            finally:
                stop.set()
                thread.join()
        assert service.post()[0] == 200


def test_a_large_review_that_is_slow_is_not_cut_by_the_head_s_time(tmp_path):
    """A body has the request's own time."""
    short = "import webhook.server.worker as w; w.HEADER_SECONDS = 0.5; "
    with Service(tmp_path, tls=False, prelude=short) as service:
        client = service.raw()
        with contextlib.closing(client):
            client.sendall(HEAD % len(REVIEW) + b"\r\n")
            for start in range(0, len(REVIEW), 2000):
                client.sendall(REVIEW[start : start + 2000])
                time.sleep(0.5)
            assert client.recv(12) == b"HTTP/1.1 200"


def test_more_connections_than_a_shell_allows_files(tmp_path):
    """The soft limit of open files is raised."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    service = Service(tmp_path, tls=False)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
        try:
            stack.enter_context(service)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        clients = [stack.enter_context(contextlib.closing(service.connect())) for _ in range(200)]
        for client in clients:
            assert ask(client, headers=JSON)[0] == 200


def test_a_hook_that_fails_does_not_stop_the_service(tmp_path):
    """A failure to update metrics is logged; reviews are answered."""
    broken = (
        "from webhook.server.service import ReviewService\n"
        "def observe(*_): raise RuntimeError('injected')\n"
        "ReviewService.observe = observe\n"
    )
    with Service(tmp_path, tls=False, prelude=broken) as service:
        until(lambda: any("injected" in str(line) for line in service.lines))
        assert service.post()[0] == 200
        assert len(service.workers()) == 1
