"""A closed-loop HTTP client that costs less than the servers it measures.

One thread, one ``epoll``, one request in flight on each keep-alive connection. The request is
rendered once; of a response only the length, the status and one marker are looked at.
"""

from __future__ import annotations

import dataclasses
import resource
import select
import socket
import ssl
import time

_CONTENT_LENGTH = b"content-length:"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where the requests go and what they are; ``marker`` stands in the body of every right answer."""

    host: str
    port: int
    path: str
    body: bytes
    marker: bytes
    tls: ssl.SSLContext | None

    def request(self) -> bytes:
        """Render the request as the API server writes it: HTTP/1.1, keep-alive."""
        head = (
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "User-Agent: kube-apiserver-admission",
            f"Content-Length: {len(self.body)}",
            "Accept: application/json, */*",
            "Content-Type: application/json",
            "Accept-Encoding: gzip",
        )
        return "\r\n".join((*head, "", "")).encode() + self.body


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What one run saw.

    Latencies are in milliseconds, ``client_cpu`` is the client's share of one core.
    """

    connections: int
    requests: int
    failed: int
    seconds: float
    p50: float
    p99: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class _Connection:
    """One keep-alive connection: at most one request in flight."""

    __slots__ = ("buffer", "expected", "sent_at", "socket")

    def __init__(self, target: Target) -> None:
        plain = socket.create_connection((target.host, target.port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = target.tls.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
        self.buffer = b""
        self.expected = 0
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.socket.settimeout(10)
        self.buffer = b""
        self.expected = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)
        self.socket.settimeout(0)

    def receive(self) -> bytes | None:
        """The whole response, or None while some of it is missing."""
        while True:
            try:
                data = self.socket.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return None
            if not data:
                raise ConnectionError("the server closed the connection in the middle of a run")
            self.buffer += data
            if not self.expected:
                self.expected = _length(self.buffer)
            if self.expected and len(self.buffer) >= self.expected:
                return self.buffer


def _length(buffer: bytes) -> int:
    """Bytes of the response whose head stands in ``buffer``, 0 while the head is incomplete."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = buffer[:end].lower()
    start = head.find(_CONTENT_LENGTH) + len(_CONTENT_LENGTH)
    stop = head.find(b"\r\n", start)
    return end + 4 + int(head[start : stop if stop >= 0 else None])


def ask(target: Target) -> bytes:
    """Send one request on a connection of its own and return the whole response; raises OSError."""
    connection = _Connection(target)
    with connection.socket:
        connection.send(target.request())
        connection.socket.settimeout(10)
        while (response := connection.receive()) is None:
            pass
        return response


def run(target: Target, connections: int, seconds: float) -> Load:
    """Keep ``connections`` requests in flight for ``seconds``; latencies as the client sees them."""
    request = target.request()
    poll = select.epoll()
    open_connections = {}
    for _ in range(connections):
        connection = _Connection(target)
        open_connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    latencies: list[float] = []
    failed = 0
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    for connection in open_connections.values():
        connection.send(request)
    end = started + seconds
    now = started
    while now < end and open_connections:
        ready = poll.poll(10)
        if not ready:
            failed += len(open_connections)  # Nothing within ten seconds: the server hangs.
            break
        for descriptor, _ in ready:
            connection = open_connections[descriptor]
            try:
                response = connection.receive()
                if response is None:
                    continue
                now = time.perf_counter()
                latencies.append((now - connection.sent_at) * 1000)
                if not response.startswith(b"HTTP/1.1 200") or target.marker not in response:
                    failed += 1
                connection.send(request)
            except OSError:
                failed += 1
                poll.unregister(descriptor)
                open_connections.pop(descriptor).socket.close()
    elapsed = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    for connection in open_connections.values():
        connection.socket.close()
    poll.close()
    latencies.sort()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load(
        connections,
        len(latencies),
        failed,
        elapsed,
        _quantile(latencies, 0.50),
        _quantile(latencies, 0.99),
        cpu / elapsed,
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
