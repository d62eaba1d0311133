"""One address before several replicas: what a Service is to connections. Bytes are passed on unread.

New connections go to the backends in turn, existing ones stay where they are whatever becomes of the
backend's readiness: as kube-proxy does it. Without a backend a connection is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 1 << 16


class Forwarder:
    """Listens on a free port of the loopback address, in a thread of its own, from entering to leaving."""

    def __init__(self, *, delay: Callable[[], float] = lambda: 0.0) -> None:
        """Forward to nobody yet; ``delay`` says how many seconds each piece on its way back is held up."""
        self.accepted: dict[int, int] = {}
        """Connections that each port of a backend was given."""

        self._backends: tuple[int, ...] = ()
        self._turn = 0
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder", daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._open: set[asyncio.StreamWriter] = set()
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        self._run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        """End, with every connection."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def backends(self) -> tuple[int, ...]:
        """Ports of localhost that new connections go to."""
        return self._backends

    @backends.setter
    def backends(self, ports: tuple[int, ...]) -> None:
        self._backends = ports

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _begin(self) -> None:
        self._server = await asyncio.start_server(self._accepted, sock=self._listener)

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backends = self._backends
        if not backends:
            _reset(writer)
            return
        self._turn += 1
        port = backends[self._turn % len(backends)]
        self.accepted[port] = self.accepted.get(port, 0) + 1
        try:
            onward, back = await asyncio.open_connection("localhost", port)
        except OSError:
            _reset(writer)  # refused: so says the Service, too
            return
        pair = {writer, back}
        self._open |= pair
        try:
            await asyncio.gather(_pass_on(reader, back, lambda: 0.0), _pass_on(onward, writer, self._delay))
        finally:
            self._open -= pair
            for each in pair:
                each.transport.abort()


async def _pass_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, delay: Callable[[], float]
) -> None:
    try:
        while data := await source.read(_CHUNK):
            if seconds := delay():
                await asyncio.sleep(seconds)
            target.write(data)
            await target.drain()
        target.write_eof()
    except OSError:
        _reset(target)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, so that the other side knows at once."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
