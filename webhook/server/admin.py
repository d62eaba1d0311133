"""The second, plain port: health, readiness, metrics, explanations.

It answers while reviews flood the first.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import flask
import orjson
from werkzeug.exceptions import HTTPException

from webhook.admission import ReviewError, Settings, Webhook, parse_review, status_body
from webhook.admission.explanation import explain
from webhook.cluster.source import Source
from webhook.server.answer import Answer
from webhook.server.endpoint import Door
from webhook.server.envelope import MAX_BODY, check_content_type
from webhook.server.freshness import Freshness
from webhook.server.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from webhook.server.tls import ServingCertificate

_MAX_CONNECTIONS = 64
_CONNECTION_SECONDS = 2.0


def create_admin_app(  # noqa: PLR0913 — all that it speaks of
    source: Source,
    settings: Callable[[], Settings],
    metrics: Metrics,
    certificate: ServingCertificate | None,
    freshness: Freshness,
    *,
    instance: str,
    draining: Callable[[], bool],
    explains: bool,
    door: Door | None = None,
) -> flask.Flask:
    """Make the application of the admin port.

    Args:
        source: what reviews are decided by.
        settings: for explanations.
        metrics: the books.
        certificate: what is served; None without TLS.
        freshness: whether the view is too old.
        instance: tells this replica from its peers.
        draining: whether the process is about to end.
        explains: whether ``/explain`` answers.
        door: one more kind of review, where it is answered.
    """
    app = flask.Flask("webhook-admin", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.get("/healthz")
    def healthz() -> flask.Response:
        return flask.Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> flask.Response:
        status = source.status
        stopping = draining()
        yields = freshness.yields
        serves = certificate is None or certificate.ready
        synced = status.ready and (door is None or door.synced)
        ready = synced and serves and not stopping and not yields
        report: dict[str, Any] = {
            "ready": ready,
            "draining": stopping,
            "instance": instance,
            "view": {
                "ready": status.ready,
                "loadedAt": _moment(status.loaded_at),
                "error": status.error,
                "reloadErrors": status.reload_errors,
                "profiles": status.profiles,
                "unreadyProfiles": status.unready_profiles,
                "ageSeconds": round(time.time() - status.loaded_at, 1) if status.loaded_at else None,
                "stale": sorted(freshness.stale),
                "servedBy": freshness.substitute if yields else None,
                "watched": {
                    name: {
                        "synced": kind.synced,
                        "contactAt": _moment(kind.contact_at),
                        "error": kind.error,
                        "failures": kind.failures,
                        "lists": kind.lists,
                    }
                    for name, kind in {**status.kinds, **(door.kinds if door is not None else {})}.items()
                },
            },
        }
        if certificate is not None:
            report["certificate"] = {
                "ready": certificate.ready,
                "expiresAt": certificate.pair.expires_at if certificate.pair else None,
                "error": certificate.error,
                "reloadErrors": certificate.reload_errors,
            }
        return _json(200 if ready else 503, report)

    @app.get("/metrics")
    def exposition() -> flask.Response:
        observe(metrics, source, certificate, freshness, door)
        return flask.Response(metrics.render(), content_type=CONTENT_TYPE)

    @app.post("/explain")
    def explanation() -> flask.Response:
        if not explains:
            message = "/explain shows profiles and pods; it answers on a loopback address, or with --explain"
            return _refusal(403, message)
        name = flask.request.args.get("webhook", Webhook.MUTATE.value)
        try:
            check_content_type(flask.request.headers.get("Content-Type", ""))
            webhook = Webhook(name)
            review = parse_review(flask.request.get_data(cache=False))
        except ReviewError as error:
            return _response(Answer(error.status, error.status_body()))
        except ValueError:
            return _refusal(400, f"?webhook={name[:64]} is unknown; it is mutate or validate")
        view = source.view
        if view.missing:
            return _refusal(503, f"not synced yet: {', '.join(view.missing)}")
        return _json(200, explain(webhook, review, view, settings()))

    app.register_error_handler(HTTPException, _refused)
    return app


def observe(
    metrics: Metrics,
    source: Source,
    certificate: ServingCertificate | None,
    freshness: Freshness,
    door: Door | None = None,
) -> None:
    """Take over into the metrics what the source and the certificate say about themselves."""
    status = source.status
    metrics.observe_reloads("objects", status.reload_errors)
    unready = len(status.unready_profiles)
    metrics.observe_view(status.loaded_at, status.profiles - unready, unready)
    for name, kind in {**status.kinds, **(door.kinds if door is not None else {})}.items():
        metrics.observe_watch(name, kind.contact_at, kind.failures)
    metrics.observe_staleness(stale=bool(freshness.stale))
    if certificate is not None:
        metrics.observe_reloads("certificate", certificate.reload_errors)
        metrics.observe_certificate(certificate.ends, certificate.reads)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; a name other than localhost does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AdminServer(socketserver.ThreadingMixIn, WSGIServer):
    """Serves an application on a socket that several processes share, a thread a connection, at most 64.

    It does not live in the event loop, so that a flood of reviews cannot keep a probe waiting.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, app: flask.Flask) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        # Several processes are woken by one connection; the ones that come too late must not block in
        # accept().
        listener.settimeout(0)
        self.socket = listener
        self.server_name, self.server_port = "admin", listener.getsockname()[1]
        self.setup_environ()
        self.set_app(app)
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Serve the connection in a thread, or close it when too many are open."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Serve the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 — socketserver's types
        """Ignore what goes wrong with a connection: the client went away or was too slow."""

    def start(self) -> None:
        """Serve in a daemon thread until the process ends."""
        threading.Thread(target=self.serve_forever, name="admin", daemon=True).start()


class _Handler(WSGIRequestHandler):
    """One connection: bounded in time, without a log line for every probe."""

    timeout = _CONNECTION_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the standard library's name
        """Say nothing: probes and scrapes come every few seconds."""


ServerHandler.server_software = "colocation-webhook"


def _moment(timestamp: float) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC) if timestamp else None


def _refused(error: HTTPException) -> flask.Response:
    return _refusal(error.code or 500, error.description or error.name)


def _refusal(code: int, message: str) -> flask.Response:
    return _response(Answer(code, status_body(code, message)))


def _json(code: int, value: object) -> flask.Response:
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
    return _response(Answer(code, orjson.dumps(value, default=str, option=options)))


def _response(answer: Answer) -> flask.Response:
    return flask.Response(answer.body, status=answer.status, mimetype="application/json")
