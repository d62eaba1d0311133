"""Clients that mean harm, as a process: ``python -m tests.e2e.reliability.hostile PORT CONNECTIONS``.

Until SIGTERM, against a port of the loopback address: connections that say nothing (as many as given, half of
them without a handshake, opened again whenever they are closed), heads that trickle in, as first requests and
after good ones, heads without end, large bodies that are held, whole ones that are no reviews, small chunks,
TLS 1.0, no server name, renegotiation, garbage. At the end it prints how often each was done, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

_HEAD = b"GET /mutate HTTP/1.1\r\nHost: localhost\r\n"
_TRICKLING = 50
_SECONDS = 10.0
_POST = b"POST /mutate?timeout=30s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_LARGE = 7 * 2**20
_HOLDING = 40
_SENDING = 4

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Attacker:
    """Everything at once, each kind at a bounded rate."""

    def __init__(self, port: int, connections: int) -> None:
        self.done: Counter[str] = Counter()
        self._port = port
        self._connections = connections
        self._held = 0

    def begin(self) -> list[asyncio.Future[None]]:
        """Attack from now on."""
        kinds = [
            *(self._again(self.idle, 1.0) for _ in range(self._connections // 2)),
            *(self._again(self.silent, 1.0) for _ in range(self._connections - self._connections // 2)),
            *(self._again(self.trickle, 0.2) for _ in range(_TRICKLING)),
            *(self._again(self.trickle_later, 0.2) for _ in range(_TRICKLING)),
            *(self._again(self.hold_body, 0.2) for _ in range(_HOLDING)),
            *(self._again(self.send_body, 0.2) for _ in range(_SENDING)),
            *(
                self._again(each, 0.5)
                for each in (
                    self.huge_head,
                    self.chunks,
                    self.tls_1_0,
                    self.no_name,
                    self.renegotiate,
                    self.garbage,
                )
            ),
        ]
        return [asyncio.ensure_future(each) for each in kinds]

    async def _again(self, attack: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await attack()
            await asyncio.sleep(pause)

    async def idle(self) -> None:
        """Say nothing until the other side closes."""
        async with self._connected() as (reader, _):
            await self._hold(reader, "idle")

    async def silent(self) -> None:
        """The same, without a handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await self._hold(reader, "silent")
        finally:
            writer.transport.abort()

    async def _hold(self, reader: asyncio.StreamReader, name: str) -> None:
        self.done[name] += 1
        self._held += 1
        self.done["held at once"] = max(self.done["held at once"], self._held)
        try:
            await reader.read()
            self.done[f"{name} closed"] += 1
        finally:
            self._held -= 1

    async def trickle(self) -> None:
        """A head that never ends, a byte at a time."""
        async with self._connected() as stream:
            self.done["trickled"] += 1
            await _trickle(stream)
        self.done["trickled closed"] += 1

    async def trickle_later(self) -> None:
        """The same after a request that was answered."""
        async with self._connected() as (reader, writer):
            writer.write(_HEAD + b"\r\n")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
            self.done["trickled later"] += 1
            await _trickle((reader, writer))
        self.done["trickled later closed"] += 1

    async def huge_head(self) -> None:
        """Headers without end, as fast as they go."""
        async with self._connected() as (reader, writer):
            writer.write(_HEAD)
            for number in range(200):
                writer.write(b"X-%d: %s\r\n" % (number, b"x" * 8000))
            answer = await asyncio.wait_for(reader.read(12), _SECONDS)
            self.done["huge heads"] += 1
            self.done["huge heads refused"] += answer[9:12] in {b"431", b"400", b""}

    async def hold_body(self) -> None:
        """Seven megabytes less a kilobyte, and then nothing until the other side closes."""
        async with self._connected() as (reader, writer):
            writer.write(_POST + b"Content-Length: %d\r\n\r\n" % _LARGE)
            writer.write(b" " * (_LARGE - 1024))
            self.done["bodies held"] += 1
            answer = await reader.read(12)
            self.done["bodies held refused"] += answer[9:12] in {b"408", b"429", b""}

    async def send_body(self) -> None:
        """Seven megabytes that are no review."""
        async with self._connected() as (reader, writer):
            writer.write(_POST + b"Content-Length: %d\r\n\r\n" % _LARGE)
            writer.write(b"[" * _LARGE)
            answer = await asyncio.wait_for(reader.read(12), 3 * _SECONDS)
            self.done["bodies"] += 1
            self.done["bodies refused"] += answer[9:12] in {b"408", b"422", b"429", b""}

    async def chunks(self) -> None:
        """Three hundred thousand bytes, each a chunk."""
        async with self._connected() as (reader, writer):
            writer.write(_POST + b"Transfer-Encoding: chunked\r\n\r\n")
            writer.write(b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(12), 3 * _SECONDS)
            self.done["chunks"] += 1
            self.done["chunks refused"] += answer[9:12] in {b"400", b"408", b"429", b""}

    async def tls_1_0(self) -> None:
        """A hello of TLS 1.0."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            hello = b"\x03\x01" + bytes(32) + b"\x00\x00\x04\x00\x2f\x00\x35\x01\x00"
            message = b"\x01" + len(hello).to_bytes(3) + hello
            writer.write(b"\x16\x03\x01" + len(message).to_bytes(2) + message)
            answer = await asyncio.wait_for(reader.read(), _SECONDS)
            self.done["TLS 1.0"] += 1
            self.done["TLS 1.0 refused"] += answer[:1] in {b"\x15", b""}  # an alert, or the end
        finally:
            writer.transport.abort()

    async def no_name(self) -> None:
        """A handshake without a server name, and a request."""
        async with self._connected(name="") as (reader, writer):
            writer.write(_HEAD + b"\r\n")
            answer = await asyncio.wait_for(reader.read(12), _SECONDS)
            self.done["no server name"] += 1
            self.done["no server name answered"] += answer[:8] == b"HTTP/1.1"

    async def renegotiate(self) -> None:
        """TLS 1.2, and a new handshake inside it, by openssl: Python has no call for it."""
        command = f"openssl s_client -tls1_2 -connect 127.0.0.1:{self._port}"
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *command.split(), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"R\n")
            said = await asyncio.wait_for(child.stdout.read(), _SECONDS)
            self.done["renegotiations"] += b"RENEGOTIATING" in said
            self.done["renegotiations refused"] += b"no renegotiation" in said
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def garbage(self) -> None:
        """Bytes that are no TLS."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(_HEAD * 10)
            await asyncio.wait_for(reader.read(), _SECONDS)
            self.done["garbage"] += 1
        finally:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def _connected(self, name: str = "localhost") -> AsyncIterator[Stream]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opening = asyncio.open_connection("127.0.0.1", self._port, ssl=context, server_hostname=name)
        reader, writer = await asyncio.wait_for(opening, _SECONDS)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _trickle(stream: Stream) -> None:
    reader, writer = stream
    writer.write(_HEAD + b"X: ")
    closed = asyncio.ensure_future(reader.read())
    try:
        while not closed.done():
            writer.write(b"x")
            await asyncio.wait([closed], timeout=0.5)
    finally:
        closed.cancel()


async def _main(port: int, connections: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    attacker = Attacker(port, connections)
    tasks = attacker.begin()
    await stop.wait()
    print(json.dumps({"clients": len(tasks)} | attacker.done), flush=True)
    os._exit(0)  # without a word to anybody: so clients like these go


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
