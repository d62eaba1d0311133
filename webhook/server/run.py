"""A service under gunicorn: processes, sockets, drain.

What all processes share (sockets, settings, the first view, the certificate) is made before the
fork; what must belong to one process (threads) begins after it.
"""

import dataclasses
import gc
import os
import socket
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication

from webhook.process.admin import AdminServer, is_loopback, wsgi_app
from webhook.process.memory import give_back_large_blocks
from webhook.process.metrics import process_ended
from webhook.process.startup import allow_open_files, memory_folder
from webhook.process.tasks import Tasks
from webhook.server.http.bodies import DEFAULT_BYTES
from webhook.server.http.site import Application
from webhook.server.service import RELOAD_SECONDS, ReviewService
from webhook.server.worker import GunicornLogger, ReviewWorker

KEEP_ALIVE = 120
"""Seconds an idle connection is kept: longer than the API server keeps one (90), so that it is the one
that closes.
"""

MAX_CONNECTIONS = 1000
"""Of each worker. An API server needs 25 or so."""

RECEIVE_BUFFER = 32 * 2**10
"""Bytes that a connection may have waiting in the kernel, which doubles it. TLS keeps twice as many as it has
ever read together, for as long as the connection lasts.
"""

SWITCH_SECONDS = 0.0005
"""After this long a thread that computes (counts CPUs, makes a view) lets the one go on that answers.

Python's own 5 ms are paid by a binding at each of its steps: next to a thread that computed a third of the
time, it took 15 ms instead of 9 on average, and 67 ms instead of 22 at p99.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """Where and how a service is served.

    Attributes:
        listener: takes reviews.
        admin_listener: takes probes and scrapes.
        on_unauthenticated: called with what is wrong with a client's certificate.
        workers: processes.
        body_bytes: memory for bodies in flight, of one process.
        through_flask: answer reviews by the Flask application, too.
        explains: whether /explain answers on an address that is not loopback.
        grace_seconds: how long a drain may take.
        debug: log what gunicorn says at level debug.
    """

    listener: socket.socket
    admin_listener: socket.socket
    on_unauthenticated: Callable[[str], None]
    workers: int = 1
    body_bytes: int = DEFAULT_BYTES
    through_flask: bool = False
    explains: bool = False
    grace_seconds: int = 15
    debug: bool = False


def run(service: ReviewService, serving: Serving) -> None:
    """Serve until SIGTERM (drain) or SIGINT (stop); leaves through SystemExit."""
    sys.setswitchinterval(SWITCH_SECONDS)
    serving.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    give_back_large_blocks()
    allow_open_files(2 * MAX_CONNECTIONS)
    _Gunicorn(service, serving).run()


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's view of the service: its settings, the application to serve, and the worker's hooks."""

    def __init__(self, service: ReviewService, serving: Serving) -> None:
        self._service = service
        self._serving = serving
        self._tasks = Tasks(service.tasks(), RELOAD_SECONDS)
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
            "control_socket_disable": True,
            "logger_class": GunicornLogger,
            # gunicorn says "Listening at" and the like at info, once a process: worth a line only to
            # somebody debugging.
            "loglevel": "debug" if serving.debug else "warning",
            "pre_fork": lambda _arbiter, _worker: _keep_loaded(),
            "post_worker_init": self._begin,
            "worker_exit": lambda _arbiter, _worker: self._tasks.stop(),
            "child_exit": lambda _arbiter, worker: process_ended(worker.pid),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        service, serving = self._service, self._serving
        certificate = service.certificate
        return Application(
            service.endpoints,
            service.metrics.in_flight,
            self._rest,
            through_flask=serving.through_flask,
            body_bytes=serving.body_bytes,
            context=certificate.context if certificate is not None else None,
            on_tick=service.observe,
            may_accept=lambda: certificate is None or certificate.pair is not None,
            requires_client_cert=certificate is not None and certificate.requires_client_cert,
            on_unauthenticated=serving.on_unauthenticated,
        )

    def _rest(self) -> WSGIApplication:
        from webhook.server.app import flask_app  # noqa: PLC0415 — no review needs Flask, which takes memory

        return flask_app(self._service.endpoints)

    def _begin(self, worker: ReviewWorker) -> None:
        """Start what belongs to one process: the background tasks and the admin port."""
        serving = self._serving
        self._service.load()
        self._tasks.start()
        explains = serving.explains or is_loopback(serving.admin_listener.getsockname()[0])
        routes = self._service.routes(explains=explains, draining=lambda: not worker.alive)
        AdminServer(serving.admin_listener, wsgi_app(routes)).start()
        _keep_loaded()


def _keep_loaded() -> None:
    """Have the collector leave alone what has been loaded until now, which stays for good.

    Before a fork, so that the worker's first collection does not write into each page that it shares.
    """
    gc.collect()
    gc.freeze()
