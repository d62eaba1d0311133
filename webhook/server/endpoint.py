"""A review path of somebody else's: what the server needs to know of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol

from prometheus_client import CollectorRegistry

from webhook.kube.reflector import KindStatus


class Door(Protocol):
    """Answers the reviews of one path, keeps books of its own, and works beside."""

    @property
    def path(self) -> str:
        """Where its reviews come in, for example ``/bind``."""

    @property
    def synced(self) -> bool:
        """Whether it can answer; until then the process is not ready."""

    @property
    def kinds(self) -> Mapping[str, KindStatus]:
        """How each kind that it watches is doing."""

    def register(self, registry: CollectorRegistry) -> None:
        """Keep books in a registry."""

    def begin(self, body: bytes, seconds: float) -> tuple[int, bytes] | Future[tuple[int, bytes]]:
        """Answer with HTTP status and JSON body, at once or later; never raises, never waits."""

    def late(self, seconds: float) -> tuple[int, bytes]:
        """Answer a review whose time is over."""

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Work until ``stop`` is set; runs in a thread of its own."""
