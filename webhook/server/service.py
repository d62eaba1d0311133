"""The service put together: what it watches, answers, reports and does in the background.

It is made before the fork and calls nothing; its tasks begin after it.
"""

import dataclasses
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry

from webhook.admission.explanation import explain
from webhook.admission.kinds import NAMESPACES
from webhook.admission.review import ReviewError, Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.admission.validating.validation import keep
from webhook.binding.caches import opts_in
from webhook.binding.service import Bindings, BindingSettings
from webhook.certificates.rotator import Rotator
from webhook.cluster.combined import CombinedSource
from webhook.cluster.files import FilesSource
from webhook.cluster.replicareports import ReplicaReports
from webhook.cluster.source import Source, unready
from webhook.cluster.statuswriter import StatusWriter
from webhook.cluster.watch import ClusterSource
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.cache.reflector import KindStatus
from webhook.kube.client import Client
from webhook.kube.lease import Lease
from webhook.process.admin import (
    Check,
    Report,
    Request,
    Response,
    Routes,
    admin_routes,
    failure,
    json_response,
)
from webhook.process.tasks import Task
from webhook.protocol import CPUSET_LEASE, STATUS_LEASE
from webhook.scheduling.service import Scheduling
from webhook.scheduling.settings import SchedulingSettings
from webhook.server.breaker import Breaker
from webhook.server.configreviews import PATH as CONFIG_PATH
from webhook.server.configreviews import ConfigReviews
from webhook.server.decisionlog import DecisionLog
from webhook.server.endpoint import Endpoint
from webhook.server.envelope import check_content_type
from webhook.server.freshness import MAX_VIEW_AGE, Freshness
from webhook.server.metrics import ReviewMetrics
from webhook.server.peers import Peers
from webhook.server.readiness import certificate_report, view_report
from webhook.server.reviewendpoint import CurrentSettings, ReviewEndpoint
from webhook.server.tls import ServingCertificate

RELOAD_SECONDS = 1.0
_REASON_SECONDS = 60.0

_LOG = logging.getLogger(__name__)


def open_source(
    objects: Path | None,
    client: Client | None,
    settings: Settings,
    *,
    write_status: bool = True,
    lease: tuple[str, str] | None = None,
) -> tuple[Source, StatusWriter | None]:
    """Return the source of views, and with a cluster what writes the statuses of profiles.

    Args:
        objects: directory of files; with a cluster its profiles lie below the cluster's.
        client: of the cluster.
        settings: how profiles are judged.
        write_status: whether statuses are written.
        lease: namespace and name of the Lease that elects the replica which writes; None: the usual one.

    Raises:
        SourceError: the files give no view.
        ValueError: neither files nor a cluster are given.
    """
    source: FilesSource | ClusterSource
    if objects is not None:
        source = FilesSource(objects) if client is None else CombinedSource(objects, client)
        source.load()
    elif client is not None:
        source = ClusterSource(client)
    else:
        raise ValueError("nothing says where profiles come from: give objects, or a cluster")
    if client is None or isinstance(source, FilesSource) or not write_status:
        return source, None
    return source, StatusWriter(client, source, _lease(client, lease, STATUS_LEASE), settings.rules)


def open_bindings(
    client: Client,
    source: Source,
    registry: CollectorRegistry,
    settings: BindingSettings,
    lease: tuple[str, str] | None = None,
) -> Bindings:
    """Return what answers bindings in the namespaces that have opted in.

    ``lease`` is namespace and name of the Lease that elects who repairs; None: the usual one.
    """
    leader, opted_in = _lease(client, lease, CPUSET_LEASE), partial(_opted_in, source)

    def listed() -> bool:
        return NAMESPACES.resource not in source.view.missing

    return Bindings(client, leader, opted_in, registry, settings, listed=listed)


def open_scheduling(
    client: Client,
    source: Source,
    registry: CollectorRegistry,
    settings: SchedulingSettings,
    bindings: Bindings | None,
) -> Scheduling:
    """Return what answers extender calls; CPU sets are looked at where ``bindings`` are given."""
    sets = bindings.state if bindings is not None else None
    default = bindings.endpoint.default if bindings is not None else BindPolicy.FULL_PCPUS
    return Scheduling(client, settings, sets, partial(_opted_in, source), registry, default=default)


def _opted_in(source: Source, namespace: str) -> bool | None:
    """Whether the pods of a namespace get CPU sets at binding; None: the namespace is not known."""
    labels = source.view.namespaces.get(namespace)
    return None if labels is None else opts_in(labels)


def _lease(client: Client, given: tuple[str, str] | None, usual: str) -> Lease:
    """Return the given Lease, else the one of the usual name where the client is at home."""
    return Lease(client, *(given or (client.access.namespace, usual)))


@dataclasses.dataclass(eq=False)
class ReviewService:
    """Everything that one replica does, wherever it is served.

    Attributes:
        source: of views.
        settings: in force.
        metrics: of reviews.
        log: of decisions.
        certificate: what is served; None without TLS.
        rotator: renews a managed certificate.
        statuses: writes the statuses of profiles.
        bindings: what answers /bind; None: nothing does.
        configs: what answers /validate-config; None: nothing does.
        scheduling: what answers /scheduler/…; None: nothing does.
        client: of the cluster, for the breaker.
        max_view_age: seconds after which a view is too old.
        peers: host and admin port of other replicas.
        endpoints: by path.
    """

    source: Source
    settings: CurrentSettings
    metrics: ReviewMetrics
    log: DecisionLog
    _: dataclasses.KW_ONLY
    certificate: ServingCertificate | None = None
    rotator: Rotator | None = None
    statuses: StatusWriter | None = None
    bindings: Bindings | None = None
    configs: ConfigReviews | None = None
    scheduling: Scheduling | None = None
    client: Client | None = None
    max_view_age: float = MAX_VIEW_AGE
    peers: Sequence[tuple[str, int]] = ()
    endpoints: dict[str, Endpoint] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Make the endpoints; nothing is called yet."""
        # Before the fork: all processes of a replica are one to its peers.
        self._instance = secrets.token_hex(8)
        find_peer = Peers(self.peers, self._instance).fresh
        self._freshness = Freshness(self.source, self.max_view_age, find_peer=find_peer)
        reports = None
        if self.statuses is not None and self.client is not None and isinstance(self.source, ClusterSource):
            reports = ReplicaReports(self.client, self.source)
        self._breaker = Breaker(self.source, self.settings, self.metrics, api=self.client, reports=reports)
        self._follow = self.bindings.resizes.why_not if self.bindings is not None else keep
        self.endpoints = {
            f"/{webhook.value}": ReviewEndpoint(
                webhook, self.source, self.settings, self.metrics, self.log, self._breaker.note, self._follow
            )
            for webhook in Webhook
        }
        if self.configs is not None:
            self.endpoints[CONFIG_PATH] = self.configs
        if self.bindings is not None:
            self.endpoints["/bind"] = self.bindings.endpoint
            if self.certificate is None or not self.certificate.requires_client_cert:
                _LOG.warning(
                    "/bind answers clients without a certificate: whoever reaches the port can have CPUs "
                    "promised to waiting pods; give --client-ca, or let only API servers reach it"
                )

        if self.scheduling is not None:
            self.endpoints |= self.scheduling.endpoints

    def load(self) -> None:
        """Read files and certificate again: a worker that replaces another begins with the newest."""
        if isinstance(self.source, (FilesSource, CombinedSource)):
            self.source.reload_if_changed()
        if self.certificate is not None:
            self.certificate.reload_if_changed()

    def tasks(self) -> list[Task]:
        """Return what runs in the background."""
        tasks = [
            Task("view", self.source),
            Task("freshness", self._freshness),
            Task("breaker", self._breaker),
        ]
        if self.certificate is not None:
            tasks.append(Task("certificate", self.certificate))
        for name, watcher in (
            ("statuses", self.statuses),
            ("rotator", self.rotator),
            ("bindings", self.bindings),
            ("config reviews", self.configs),
            ("scheduling", self.scheduling),
        ):
            if watcher is not None:
                tasks.append(Task(name, watcher, waited_for=True))
        return tasks

    def observe(self) -> None:
        """Bring the metrics up to date with what is counted elsewhere."""
        metrics, status, totals = self.metrics, self.source.status, self.metrics.totals
        metrics.in_flight.show()
        totals.set(metrics.reload_errors.labels("objects"), status.reload_errors)
        metrics.loaded_at.set(status.loaded_at)
        view = self.source.view
        metrics.profiles.labels("true").set(len(view.profiles) - len(unready(view)))
        metrics.profiles.labels("false").set(len(unready(view)))
        for name, kind in self._watched().items():
            metrics.contact_at.labels(name).set(kind.contact_at)
            totals.set(metrics.watch_failures.labels(name), kind.failures)
        metrics.stale.set(bool(self._freshness.stale))
        if self.certificate is not None:
            totals.set(metrics.reload_errors.labels("certificate"), self.certificate.reload_errors)
            totals.set(metrics.certificate_reads, self.certificate.reads)
            for name, end in self.certificate.ends.items():
                metrics.expires_at.labels(name).set(end)
        if self.rotator is not None:
            for what, number in self.rotator.writes.items():
                totals.set(metrics.certificate_writes.labels(what), number)

    def routes(self, *, explains: bool, draining: Callable[[], bool] = lambda: False) -> Routes:
        """Return the routes of the admin port; ``explains``: whether /explain answers."""
        checks: dict[str, Check] = {"view": self._view_report}
        if self.certificate is not None:
            checks["certificate"] = partial(certificate_report, self.certificate)
        routes = admin_routes(
            checks, self.metrics.registry, self.observe, instance=self._instance, draining=draining
        )
        return {**routes, ("POST", "/explain"): self._explain if explains else _unexplained}

    def _watched(self) -> Mapping[str, KindStatus]:
        kinds = dict(self.source.status.kinds)
        for more in (self.bindings, self.configs, self.scheduling):
            kinds |= more.kinds if more is not None else {}
        return kinds

    def _view_report(self) -> Report:
        synced = self.bindings is None or self.bindings.state.synced
        synced &= self.scheduling is None or not self.scheduling.missing()
        return view_report(self.source, self._freshness, self._watched(), synced=synced)

    def _explain(self, request: Request) -> Response:
        name = parse_qs(request.query, keep_blank_values=True).get("webhook", [Webhook.MUTATE.value])[0]
        try:
            check_content_type(request.content_type)
            webhook = Webhook(name)
            review = parse_review(request.body)
        except ReviewError as error:
            return failure(error.status, error.message)
        except ValueError:
            return failure(400, f"?webhook={name[:64]} is unknown; it is mutate or validate")
        view = self.source.view
        if view.missing:
            return failure(503, f"not synced yet: {', '.join(view.missing)}")
        explained = explain(webhook, review, view, self.settings.value, follow=self._follow)
        return json_response(200, explained)


class UnauthenticatedClients:
    """Counts clients without a valid certificate, and logs each reason once a minute."""

    def __init__(self, metrics: ReviewMetrics) -> None:
        self._metrics = metrics
        self._quiet_until: dict[str, float] = {}

    def refused(self, reason: str) -> None:
        """Note a client that was refused."""
        self._metrics.clients_refused.inc()
        if time.monotonic() >= self._quiet_until.get(reason, 0.0):
            self._quiet_until[reason] = time.monotonic() + _REASON_SECONDS
            _LOG.warning(
                "a client without a certificate of --client-ca was refused (%s): give the API server one "
                "in the kubeconfig of its --admission-control-config-file",
                reason,
            )


def _unexplained(_: Request) -> Response:
    return failure(
        403, "/explain shows profiles and pods; it answers on a loopback address, or with --explain"
    )
