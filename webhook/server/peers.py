"""The other replicas, asked over their admin ports whether they could serve."""

import contextlib
import http.client
import socket
from collections.abc import Iterator, Sequence

import orjson

ASK_SECONDS = 1.0
"""Seconds to wait for a peer; one that needs longer is no help."""

MOST_ASKED = 16
_MAX_ANSWER = 4 << 20
_NOT_UNDERSTOOD = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError)
"""Nobody is there, or says nothing that we understand."""


class Peers:
    """Replicas by their addresses; a name stands for everything that DNS has for it.

    The name of a headless Service stands for this replica, too: what answers with our own ``instance``
    is passed over, for it may be another process of ours.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], instance: str) -> None:
        """Take host and port of each; nothing is asked yet."""
        self._addresses = addresses
        self._instance = instance

    def fresh(self) -> str | None:
        """Ask one after another; return the first that is ready with a fresh view, None: there is none.

        Blocks for a second for each that does not answer. Never raises: a peer that cannot be asked
        cannot serve either.
        """
        for host, port in self._resolved():
            if self._serves(host, port):
                return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return None

    def _resolved(self) -> Iterator[tuple[str, int]]:
        seen: dict[tuple[str, int], None] = {}
        for host, port in self._addresses:
            with contextlib.suppress(OSError, UnicodeError):
                for *_, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                    seen[str(where[0]), port] = None
        yield from list(seen)[:MOST_ASKED]

    def _serves(self, host: str, port: int) -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(*_NOT_UNDERSTOOD):
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            if answer.status == http.client.OK:
                report = orjson.loads(answer.read(_MAX_ANSWER))
                return bool(report["instance"] != self._instance and report["view"]["stale"] == [])
        return False
