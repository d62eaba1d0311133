"""SIGTERM: no request fails, connections are told to close, idle ones are let go."""

import contextlib
import http.client
import signal
import socket
import threading
import time

import pytest

from tests.server.running.service import JSON, REVIEW, Service
from tests.waiting import until

HANGS_SECONDS = 60
"""Longer than any drain takes on a busy machine: what is not over then has hung."""


def arrives(service):
    """Wait until a request is under way."""
    until(lambda: service.metric("colocation_webhook_requests_in_flight") == 1)


@pytest.mark.parametrize("tls", [True, False])
def test_no_request_fails_in_a_drain_under_load(tmp_path, tls):
    """24 busy connections and 8 idle ones: each request gets its answer, and no idle one is waited for."""
    with Service(tmp_path, "--grace", 5 * HANGS_SECONDS, tls=tls) as service:
        outcomes, failures, closes = [], [], []

        def work():
            connection = service.connect()
            connection.connect()
            while True:
                try:
                    connection.request("POST", "/mutate", REVIEW, JSON)
                    response = connection.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException) as error:
                    failures.append(error)
                    return
                outcomes.append(response.status)
                if response.getheader("Connection") == "close":
                    closes.append(True)
                    connection.close()
                    return

        idle = [service.raw() for _ in range(8)]
        threads = [threading.Thread(target=work) for _ in range(24)]
        for thread in threads:
            thread.start()
        until(lambda: len(outcomes) > 10 * len(threads))
        service.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(HANGS_SECONDS)
        assert service.process.wait(HANGS_SECONDS) == 0
        for client in idle:
            with contextlib.closing(client):
                assert client.recv(10) == b""
        assert failures == []
        assert len(closes) == 24
        assert set(outcomes) == {200}


def test_a_request_under_way_is_finished_and_readiness_says_draining(tmp_path):
    """Part of a body before SIGTERM, the rest during the drain: the answer comes, and says close."""
    with Service(tmp_path) as service, contextlib.closing(service.raw()) as client:
        head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(REVIEW)}\r\n\r\n".encode() + REVIEW[:100])
        arrives(service)
        service.process.send_signal(signal.SIGTERM)
        until(lambda: b'"draining":true' in service.admin("/readyz")[1])
        assert service.admin("/readyz")[0] == 503
        client.sendall(REVIEW[100:])
        received = client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in received
        assert service.process.wait(10) == 0


def test_a_client_that_never_finishes_is_cut_at_the_grace_period(tmp_path):
    """--grace bounds the drain: the connection ends without an answer, long before the request's own time."""
    with Service(tmp_path, "--grace", 2, tls=False) as service, contextlib.closing(service.raw()) as client:
        client.settimeout(HANGS_SECONDS)
        head = b"POST /mutate?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(head + b"Content-Length: 9\r\n\r\n")
        arrives(service)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(HANGS_SECONDS)
        assert client.recv(10) == b""


def test_a_handshake_that_began_before_sigterm_is_finished(tmp_path):
    """A connection that was accepted and slow to speak TLS still gets its answer."""
    with Service(tmp_path) as service:
        plain = socket.create_connection(("127.0.0.1", service.port), 20)
        time.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(1.3)
        with service.context().wrap_socket(plain, server_hostname="localhost") as client:
            head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(REVIEW)}\r\n\r\n".encode() + REVIEW)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert service.process.wait(10) == 0
