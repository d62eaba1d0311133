"""Tenants who mean harm, as a process: ``python -m tests.e2e.reliability.tenants ATTACK PORT ADMIN_PORT``.

Until SIGTERM, against the ports of a replica on the loopback address, one of `ATTACKS`. At the end it prints
how often each answer came, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import ssl
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

TENANTS = 8
BODIES_EACH = 10
LARGE = 7 * 2**20 - 1000
"""Bytes of a large body: eight tenants with ten of them have more than the chart's memory limit."""
TRICKLING = 128
_SECONDS = 30.0

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def review(pod: dict[str, Any], namespace: str = "default") -> bytes:
    """The review of a pod's creation."""
    request = {
        "uid": str(uuid.uuid4()),
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": {"apiVersion": "v1", "kind": "Pod", **pod},
    }
    document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(document).encode()


def costly() -> list[bytes]:
    """Reviews of some MB whose lists and maps a patch, or a second call, looks at."""
    labels = {"spark-role": "executor"}
    env = [{"name": f"E{i}", "value": "v"} for i in range(30_000)] + [{"name": "FOO", "value": "old"}]
    main = {"name": "main", "image": "i"}
    plain = {"name": "p", "labels": labels}
    many_variables = {"metadata": plain, "spec": {"containers": [{**main, "env": env}]}}
    fields = {"f:metadata": {"f:labels": {"f:zz": {}}}}
    entry = {"operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields}
    many_labels = {
        "metadata": {
            "name": "p",
            "labels": {**labels, **{f"l{i}": "" for i in range(20_000)}},
            "annotations": {"colocation-webhook.io/profiles-signature": "x"},
            "managedFields": [{"manager": f"m{i}", **entry} for i in range(9_000)],
        },
        "spec": {"containers": [main]},
    }
    containers = [{**main, "name": f"c{i}", "resources": {"requests": {"cpu": "1"}}} for i in range(10_000)]
    many_containers = {"metadata": plain, "spec": {"containers": containers}}
    return [review(pod) for pod in (many_variables, many_labels, many_containers)]


class Tenants:
    """One attack on one replica."""

    def __init__(self, port: int, admin_port: int) -> None:
        self.done: Counter[str] = Counter()
        self._port = port
        self._admin_port = admin_port
        self._numbers = itertools.count()
        self._costly: list[bytes] = []

    async def again(self, attack: Callable[[Tenants], Coroutine[Any, Any, None]]) -> None:
        """Attack, and again when it is over."""
        while True:
            try:
                await asyncio.wait_for(attack(self), _SECONDS)
            except (OSError, EOFError, TimeoutError) as error:
                self.done[f"({type(error).__name__})"] += 1
            await asyncio.sleep(0.05)

    async def costly_reviews(self) -> None:
        """One after another over one connection."""
        self._costly = self._costly or costly()
        async with self._connected() as stream:
            for body in self._costly * 10:
                await self._post(stream, body)

    async def look_ups(self) -> None:
        """Namespaces that cannot be, and that are not."""
        async with self._connected() as stream:
            for _ in range(100):
                number = next(self._numbers)
                name = f"zz/{number}" if number % 2 else f"zz-{number}"
                pod = {"metadata": {"name": "p"}, "spec": {"containers": []}}
                await self._post(stream, review(pod, name))

    async def large_bodies(self) -> None:
        """As fast as it goes, but for the last kilobyte, which trickles."""
        async with self._connected() as (reader, writer):
            writer.write(_head(b"Content-Length: %d" % LARGE))
            answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            block, left = b"x" * 2**18, LARGE - 1000
            while left > 0 and not answer.done():
                writer.write(block[: min(left, len(block))])
                left -= len(block)
                with contextlib.suppress(OSError):
                    await asyncio.wait_for(writer.drain(), _SECONDS)
            self.done["bodies sent"] += left <= 0
            while not answer.done():
                writer.write(b"x")
                await asyncio.wait([answer], timeout=0.5)
            self._note(answer.result())

    async def trickle_admin(self) -> None:
        """A byte of a head at a time, at the admin port."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._admin_port)
        closed = asyncio.ensure_future(reader.read())
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
            while not closed.done():
                writer.write(b"x")
                await asyncio.wait([closed], timeout=0.5)
            self.done["closed"] += 1
        finally:
            closed.cancel()
            writer.transport.abort()

    async def _post(self, stream: Stream, body: bytes) -> None:
        reader, writer = stream
        writer.write(_head(b"Content-Length: %d" % len(body)) + body)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        self._note(head)
        for line in head.lower().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name == b"content-length":
                await reader.readexactly(int(value))
        if b"connection: close" in head.lower():
            raise EOFError

    def _note(self, head: bytes) -> None:
        self.done[head[9:12].decode("latin-1")] += 1

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Stream]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opening = asyncio.open_connection("127.0.0.1", self._port, ssl=context, server_hostname="localhost")
        reader, writer = await asyncio.wait_for(opening, _SECONDS)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def _head(length: bytes) -> bytes:
    head = b"POST /mutate?timeout=30s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + length + b"\r\n\r\n"


ATTACKS: dict[str, tuple[Callable[[Tenants], Coroutine[Any, Any, None]], int]] = {
    "costly reviews": (Tenants.costly_reviews, TENANTS // 4),
    "look-ups": (Tenants.look_ups, 3 * TENANTS),
    "trickles at the admin port": (Tenants.trickle_admin, TRICKLING),
    "large bodies": (Tenants.large_bodies, TENANTS * BODIES_EACH),
}
"""What is done, and by how many at once."""


async def _main(attack: str, port: int, admin_port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tenants = Tenants(port, admin_port)
    what, many = ATTACKS[attack]
    tasks = [asyncio.ensure_future(tenants.again(what)) for _ in range(many)]
    await stop.wait()
    print(json.dumps({"clients": len(tasks)} | tenants.done), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
