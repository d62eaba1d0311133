"""Put the service together and hand it to gunicorn.

What all processes share (sockets, settings, the first view, the certificate) is made before the
fork; what must belong to one process (threads) begins after it.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from a2wsgi import WSGIMiddleware
from gunicorn.app.base import BaseApplication

from webhook.admission.mutating.reinvocation import derive_key
from webhook.cluster.source import Source
from webhook.process.address import split_address
from webhook.process.processes import allow_open_files, memory_folder
from webhook.server.admin import AdminServer, create_admin_app, is_loopback, observe
from webhook.server.answer import Answerer
from webhook.server.app import create_app
from webhook.server.endpoint import Door
from webhook.server.fastpath import Application, FastPath
from webhook.server.freshness import MAX_VIEW_AGE, Freshness
from webhook.server.log import DecisionLog, Format, GunicornLogger, configure
from webhook.server.metrics import Metrics, process_ended
from webhook.server.peers import Peers

if TYPE_CHECKING:
    from webhook.admission import Settings
    from webhook.certificates.rotator import Rotator
    from webhook.server.tls import ServingCertificate
    from webhook.server.worker import ReviewWorker

_LOG = logging.getLogger(__name__)

KEEP_ALIVE = 120
"""Seconds an idle connection is kept: longer than the API server keeps one (90), so that it is the one
that closes.
"""

MAX_CONNECTIONS = 1000
"""Of each worker. An API server needs 25 or so."""

RELOAD_SECONDS = 1.0

SWITCH_SECONDS = 0.0005
"""After so long a thread that computes (counts CPUs, makes a view) lets the one go on that answers.

Python's own 5 ms are paid by a binding at each of its steps: beside a thread that computed a third of the
time, it took 15 ms instead of 9 on average, and 67 ms instead of 22 at p99.
"""
_GOODBYE_SECONDS = 2.0
_STRANGERS_SECONDS = 60.0


class Beside(Protocol):
    """What a process does beside answering: it begins after the fork and ends with the process."""

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Work until ``stop`` is set; runs in a thread of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """Everything `run` needs, checked by whoever read it from the command line."""

    source: Source
    settings: Settings
    certificate: ServingCertificate | None
    listener: socket.socket
    admin_listener: socket.socket
    workers: int = 1
    log_level: str = "info"
    log_format: Format = "json"
    explain: bool = False
    grace_seconds: int = 15
    beside: Beside | None = None
    max_view_age: float = MAX_VIEW_AGE
    peers: Sequence[tuple[str, int]] = ()
    keeper: Rotator | None = None
    door: Door | None = None


def listen(address: str, *, backlog: int = 1024) -> socket.socket:
    """A listening socket for ``HOST:PORT`` (``[::1]:8443`` for IPv6; port 0 picks a free one).

    Raises ValueError for an address that cannot be read and OSError for one that cannot be had.
    """
    host, port = split_address(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        host or "0.0.0.0",  # noqa: S104 — ":8443" asks for all
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def run(serving: Serving) -> None:
    """Serve until SIGTERM (drain) or SIGINT (stop); leaves through SystemExit."""
    configure(serving.log_level, serving.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    allow_open_files(2 * MAX_CONNECTIONS)
    _Gunicorn(serving).run()


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's view of the service: its settings, and the application to serve."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._metrics = Metrics()
        self._stop = threading.Event()
        self._beside: list[threading.Thread] = []
        # Before the fork: all processes of a replica are one to its peers.
        self._instance = secrets.token_hex(8)
        self._freshness = Freshness(
            serving.source, serving.max_view_age, find_peer=Peers(serving.peers, self._instance).fresh
        )
        self._quiet_until: dict[str, float] = {}
        super().__init__()

    def load_config(self) -> None:
        serving = self._serving
        settings: dict[str, Any] = {
            "bind": f"fd://{os.dup(serving.listener.fileno())}",
            "workers": serving.workers,
            "worker_class": "webhook.server.worker.ReviewWorker",
            "worker_connections": MAX_CONNECTIONS,
            "worker_tmp_dir": memory_folder(),
            "keepalive": KEEP_ALIVE,
            "graceful_timeout": serving.grace_seconds,
            "timeout": 30,
            "preload_app": True,
            "asgi_lifespan": "off",
            "control_socket_disable": True,
            "logger_class": GunicornLogger,
            # gunicorn says "Listening at" and the like at info, once a process: worth a line only to
            # somebody debugging.
            "loglevel": "debug" if serving.log_level == "debug" else "warning",
            "post_worker_init": self._begin,
            "worker_exit": self._end,
            "child_exit": lambda _arbiter, worker: process_ended(worker.pid),
        }
        if serving.certificate is not None:
            context = serving.certificate.context
            settings["ssl_context"] = lambda _config, _default: context
            settings["certfile"] = settings["keyfile"] = (
                os.devnull
            )  # Says "TLS" to gunicorn; the context has the rest.
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> FastPath:
        serving = self._serving
        log = DecisionLog(serving.log_level, serving.log_format)
        self._answerer = answerer = Answerer(serving.source, serving.settings, self._metrics, log)
        # Both packages describe the same protocols with types of their own.
        rest = WSGIMiddleware(cast("Any", create_app(answerer)), workers=4)
        if serving.door is not None:
            serving.door.register(self._metrics.registry)
        return FastPath(answerer, self._metrics, cast("Application", rest), serving.door)

    def _begin(self, worker: ReviewWorker) -> None:
        """Start what belongs to one process: the reloading threads and the admin port."""
        serving = self._serving
        reloaded: list[Source | ServingCertificate] = [serving.source]
        if serving.certificate is not None:
            reloaded.append(serving.certificate)
        stop = self._stop
        for what in reloaded:
            # A worker that replaces another begins with what was loaded before the first one.
            what.reload_if_changed()
        for watched in (*reloaded, self._freshness):
            threading.Thread(
                target=watched.watch, args=(stop, RELOAD_SECONDS), name=type(watched).__name__, daemon=True
            ).start()
        if serving.keeper is not None and not serving.settings.signing_key:
            serving.keeper.on_signing_key = self._sign_with
        for name, beside in (
            ("statuses", serving.beside),
            ("keeper", serving.keeper),
            ("door", serving.door),
        ):
            if beside is not None:
                thread = threading.Thread(
                    target=beside.watch, args=(stop, RELOAD_SECONDS), name=name, daemon=True
                )
                thread.start()
                self._beside.append(thread)
        certificate = serving.certificate
        worker.may_accept = lambda: certificate is None or certificate.pair is not None
        worker.asks_clients = certificate is not None and certificate.asks_clients
        worker.on_stranger = self._turned_away
        if certificate is not None:
            certificate.on_refused = self._turned_away
        worker.on_tick = self._observe
        admin = create_admin_app(
            serving.source,
            lambda: self._answerer.settings,
            self._metrics,
            serving.certificate,
            self._freshness,
            instance=self._instance,
            draining=lambda: not worker.alive,
            explains=serving.explain or is_loopback(serving.admin_listener.getsockname()[0]),
            door=serving.door,
        )
        AdminServer(serving.admin_listener, admin).start()
        # What has been loaded until now stays for good: the collector need not look at it again and
        # again, and its pages stay shared between processes.
        gc.collect()
        gc.freeze()

    def _observe(self) -> None:
        serving = self._serving
        observe(self._metrics, serving.source, serving.certificate, self._freshness, serving.door)
        if serving.keeper is not None:
            self._metrics.observe_writes(serving.keeper.writes)

    def _turned_away(self, reason: str) -> None:
        """Count a client without a good certificate; say so in the log, each reason once a minute."""
        self._metrics.turned_away()
        if time.monotonic() >= self._quiet_until.get(reason, 0.0):
            self._quiet_until[reason] = time.monotonic() + _STRANGERS_SECONDS
            _LOG.warning(
                "a client without a certificate of --client-ca was turned away (%s): give the API server one "
                "in the kubeconfig of its --admission-control-config-file",
                reason,
            )

    def _sign_with(self, secret: bytes) -> None:
        """Sign with what all replicas find in one Secret; called before anybody can be answered."""
        settings = dataclasses.replace(self._answerer.settings, signing_key=derive_key(secret))
        self._answerer.settings = settings

    def _end(self, _arbiter: object, _worker: ReviewWorker) -> None:
        """Let the threads of a process that ends give back what they hold: a lease."""
        self._stop.set()
        end = time.monotonic() + _GOODBYE_SECONDS
        for thread in self._beside:
            thread.join(max(0.0, end - time.monotonic()))
