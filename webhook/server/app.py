"""The service as one Flask application.

``gunicorn 'webhook.server.app:create_app(objects="examples/objects")'`` serves it with gunicorn's own
workers; ``serve --worker flask`` with the limits, the TLS and the drain of ``serve``.
"""

import atexit
import secrets
from collections.abc import Mapping
from pathlib import Path

import flask
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from webhook.admission.response import Answer, errored
from webhook.admission.review import ReviewError
from webhook.admission.settings import Mode, Settings
from webhook.binding.service import BindingSettings
from webhook.kube import access
from webhook.kube.client import Client
from webhook.process.admin import Request, Route, Routes
from webhook.process.metrics import new_registry
from webhook.process.tasks import Tasks
from webhook.protocol import USER_AGENT
from webhook.server.configreviews import ConfigReviews
from webhook.server.decisionlog import DecisionLog
from webhook.server.endpoint import Endpoint, answer
from webhook.server.envelope import budget, check_content_type, check_length
from webhook.server.http.bodies import MAX_BODY
from webhook.server.metrics import ReviewMetrics
from webhook.server.reviewendpoint import CurrentSettings
from webhook.server.service import RELOAD_SECONDS, ReviewService, open_bindings, open_source
from webhook.server.signingkey import read_signing_key

_REMEDIES = {
    404: "there is no such path; reviews are posted to /mutate or /validate",
    405: "a review is sent with POST",
}


def create_app(  # noqa: PLR0913 — what an administrator may choose
    objects: str | None = None,
    kubeconfig: str | None = None,
    *,
    in_cluster: bool = False,
    cpusets: bool = False,
    slo_config: str | None = None,
    mode: str = "enforce",
    signing_key: str | None = None,
) -> flask.Flask:
    """Make the whole service: /mutate, /validate, and /healthz, /readyz, /metrics.

    With ``cpusets`` /bind, with ``slo_config`` /validate-config.

    Its threads begin here, so load it after the fork (without gunicorn's ``--preload``). Of several
    processes each shows its own metrics, unless PROMETHEUS_MULTIPROC_DIR names a folder for all. gunicorn's
    own workers do not limit how slowly a body may come: ``serve --worker flask`` does.

    Args:
        objects: directory of profiles and other objects.
        kubeconfig: file that names the cluster to watch.
        in_cluster: whether to watch the cluster whose pod this is.
        cpusets: whether to answer /bind; needs a cluster.
        slo_config: ``NAMESPACE/NAME`` of the ConfigMap to check; needs a cluster.
        mode: ``enforce`` or ``audit``.
        signing_key: file of a secret that all processes share; without it each has one of its own.

    Raises:
        ValueError: an argument cannot be used; the message names it.
    """
    key = read_signing_key(Path(signing_key)) if signing_key is not None else b""
    settings = Settings(mode=Mode(mode), signing_key=key)
    client = _client(kubeconfig, in_cluster=in_cluster)
    source, statuses = open_source(Path(objects) if objects is not None else None, client, settings)
    registry = new_registry()
    bindings = None
    if cpusets:
        if client is None:
            raise ValueError("cpusets: needs a cluster: give kubeconfig or in_cluster")
        bindings = open_bindings(client, source, registry, BindingSettings())
    current = CurrentSettings(settings)
    current.sign_with(secrets.token_bytes())
    metrics, log = ReviewMetrics(registry), DecisionLog("info", "json")
    configs = None
    if slo_config is not None:
        namespace, _, name = slo_config.partition("/")
        if client is None or not name:
            raise ValueError("slo_config: needs a cluster, and the form NAMESPACE/NAME")
        configs = ConfigReviews(client, (namespace, name), current, metrics, log)
    service = ReviewService(
        source,
        current,
        metrics,
        log,
        statuses=statuses,
        bindings=bindings,
        configs=configs,
        client=client,
    )
    tasks = Tasks(service.tasks(), RELOAD_SECONDS)
    tasks.start()
    atexit.register(tasks.stop)
    return flask_app(service.endpoints, service.routes(explains=False))


def flask_app(endpoints: Mapping[str, Endpoint], routes: Routes | None = None) -> flask.Flask:
    """Make an application of endpoints by path, and routes as the admin port has them.

    Every other request is answered with a ``Status`` object.
    """
    app = flask.Flask("webhook", static_folder=None)
    app.url_map.merge_slashes = False  # //mutate is another path: 404
    # One byte more than allowed, so that a body without a length is distinguished from one that just fits.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1
    for path, endpoint in endpoints.items():
        app.add_url_rule(
            path,
            endpoint=path,
            methods=["POST"],
            view_func=_review,
            defaults={"endpoint": endpoint},
            provide_automatic_options=False,
        )
    for (method, path), route in (routes or {}).items():
        app.add_url_rule(path, endpoint=path, methods=[method], view_func=_routed, defaults={"route": route})
    app.register_error_handler(HTTPException, _refused)
    return app


def _review(endpoint: Endpoint) -> flask.Response:
    request = flask.request
    try:
        check_length(request.content_length or 0)
        check_content_type(request.headers.get("Content-Type", ""))
        seconds = budget(request.query_string.decode("latin-1"))
        try:
            body = request.get_data(cache=False)
        except RequestEntityTooLarge:
            check_length(MAX_BODY + 1)
            raise
        except (OSError, ParseException) as error:
            # gunicorn's own workers read a body in chunks only now, and find then that it is none.
            raise ReviewError(f"the body cannot be read: {error}"[:200]) from None
        check_length(len(body))
    except ReviewError as error:
        return _json(endpoint.refuse(error))
    return _json(answer(endpoint, body, seconds))


def _routed(route: Route) -> flask.Response:
    request = flask.request
    query = request.query_string.decode("latin-1")
    status, body, content_type = route(
        Request(query, request.headers.get("Content-Type", ""), request.get_data())
    )
    return flask.Response(body, status=status, content_type=content_type)


def _refused(error: HTTPException) -> flask.Response:
    code = error.code or 500
    response = _json(errored(code, _REMEDIES.get(code, error.description or error.name)))
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _json(answer: Answer) -> flask.Response:
    return flask.Response(answer.body, status=answer.status, mimetype="application/json")


def _client(kubeconfig: str | None, *, in_cluster: bool) -> Client | None:
    if kubeconfig is not None:
        # In a cluster the package `kubernetes` need not be installed.
        from webhook.kube.kubeconfig import read_kubeconfig  # noqa: PLC0415

        return Client(read_kubeconfig(Path(kubeconfig)), user_agent=USER_AGENT)
    return Client(access.in_cluster(), user_agent=USER_AGENT) if in_cluster else None
