"""``colocation-webhook serve``: the service, with the view from files, a cluster, or both."""

from __future__ import annotations

import ipaddress
import secrets
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webhook.cli.options.access import ClusterFlags, watched_cluster_options
from webhook.cli.options.clock import Clock, pass_clock
from webhook.cli.options.declarations import (
    NAMESPACED,
    NamespacedName,
    choice_option,
    lease_option,
    seconds_option,
)
from webhook.cli.options.listening import Address, admin_option, listen_on
from webhook.cli.options.log import LogFlags, log_options
from webhook.cli.options.settings import optional_objects_option, settings_options
from webhook.cli.serve.bindingflags import CpuSetFlags, cpusets_options
from webhook.cli.serve.certificateflags import CertificateFlags, certificate_options
from webhook.protocol import STATUS_LEASE
from webhook.server.http.bodies import DEFAULT_BYTES, LEAST_BYTES

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from webhook.admission.settings import Settings
    from webhook.binding.service import Bindings
    from webhook.cluster.source import Source
    from webhook.cluster.statuswriter import StatusWriter
    from webhook.kube.client import Client
    from webhook.scheduling.service import Scheduling
    from webhook.server.tls import ServingCertificate

_EXAMPLE = Path("examples/reviews/spark-driver.json")


@click.command()
@optional_objects_option
@watched_cluster_options
@click.option(
    "--write-status/--no-write-status",
    default=True,
    show_default=True,
    help="With a cluster: write conditions (Ready, Conflicting) into the profiles' status.",
)
@lease_option("--lease", STATUS_LEASE, "Lease by which replicas agree on which of them writes statuses")
@click.option(
    "--bind",
    type=Address(),
    default="127.0.0.1:8443",
    show_default=True,
    metavar="HOST:PORT",
    help="Where reviews come in.",
)
@certificate_options
@admin_option("127.0.0.1:8081", "/healthz, /readyz, /metrics and /explain answer")
@click.option("--explain", is_flag=True, help="Answer /explain on an address that is not loopback, too.")
@settings_options
@cpusets_options
@click.option(
    "--slo-config",
    type=NamespacedName(),
    metavar=NAMESPACED,
    help="Check this ConfigMap, which has the colocation strategy: serve POST /validate-config.",
)
@click.option(
    "--scheduler",
    "scheduler_settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Serve POST /scheduler/filter, prioritize and preempt, which a kube-scheduler asks; FILE has the "
    "settings of load awareness, and may be empty. CPU sets are looked at with --cpusets.",
)
@choice_option(
    "--worker",
    choices=("fast", "flask"),
    text="What answers reviews: the connection itself, or the Flask application at half as much cost again.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--max-body-memory",
    type=click.IntRange(LEAST_BYTES >> 20, 4096),
    default=DEFAULT_BYTES >> 20,
    show_default=True,
    metavar="MIB",
    help="Memory for the bodies of requests that are being read or decided on, of each process. More wait,"
    " or are answered 429.",
)
@seconds_option(
    "--grace", kind=click.IntRange(2, 300), default=15, text="How long a drain may take after SIGTERM."
)
@seconds_option(
    "--max-view-age",
    kind=click.FloatRange(min=1),
    default=180,
    text="When a view is too old: so long without a word of the API server; an idle one speaks every minute.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="HOST:PORT",
    help="Admin port of other replicas, repeatable; all addresses of the name. With a view that is too old"
    " this replica stops being ready while one of them has a fresh view.",
)
@log_options
@pass_clock
def serve(  # noqa: PLR0913 — one parameter a flag
    clock: Clock,
    *,
    objects: Path | None,
    cluster: ClusterFlags,
    write_status: bool,
    lease: tuple[str, str] | None,
    bind: str,
    certificates: CertificateFlags,
    admin_bind: str,
    explain: bool,
    settings: Settings,
    cpusets: CpuSetFlags,
    slo_config: tuple[str, str] | None,
    scheduler_settings: Path | None,
    worker: str,
    workers: int,
    max_body_memory: int,
    grace: int,
    max_view_age: float,
    peers: tuple[str, ...],
    log: LogFlags,
) -> None:
    """Serve admission reviews over TLS: POST /mutate and POST /validate.

    Without certificate flags, a CA and a certificate for localhost are made in --certs-dir. With
    --manage-certificates both are kept in a Secret that all replicas share, renewed in time, and the
    CA is written into the webhook configurations.

    The view of the cluster comes from --objects, from --kubeconfig or --in-cluster, or from both:
    then a profile in the cluster wins over one of the same name in a file. Until a cluster has been
    read once, reviews are answered 503 and /readyz says what is missing.

    \b
    Examples:
      colocation-webhook serve --objects examples/objects
      colocation-webhook serve --objects examples/objects --mode audit --log-format text
      colocation-webhook serve --kubeconfig ~/.kube/config
      colocation-webhook serve --objects DIR --bind :8443 --tls-cert tls.crt --tls-key tls.key
      colocation-webhook serve --in-cluster --bind :8443 --tls-cert tls.crt --tls-key tls.key
    """  # noqa: D301 — see main
    from webhook.process.startup import shared_metrics

    with shared_metrics(workers):
        from webhook.process.metrics import new_registry
        from webhook.server.configreviews import ConfigReviews
        from webhook.server.decisionlog import DecisionLog
        from webhook.server.metrics import ReviewMetrics
        from webhook.server.reviewendpoint import CurrentSettings
        from webhook.server.run import Serving, run
        from webhook.server.service import ReviewService, UnauthenticatedClients

        form = log.configure()
        current, metrics = CurrentSettings(settings), ReviewMetrics(new_registry())
        decisions = DecisionLog(log.log_level, form)
        clients = UnauthenticatedClients(metrics)
        client = cluster.open()
        rotator = certificates.rotator(client, clock, current.sign_with)
        certificate, authority = certificates.serving(rotator, clock, clients.refused)
        if rotator is None:
            current.sign_with(_secret(certificate))
        source, statuses = _source(objects, client, settings, lease, write_status=write_status)
        bindings = cpusets.open(client, source, metrics.registry)
        configs = None
        if slo_config is not None:
            if client is None:
                raise click.UsageError("--slo-config needs a cluster: give --kubeconfig FILE or --in-cluster")
            configs = ConfigReviews(client, slo_config, current, metrics, decisions)
        scheduling = _scheduling(scheduler_settings, client, source, metrics.registry, bindings)
        listener = listen_on("--bind", bind)
        admin_listener = listen_on("--admin-bind", admin_bind)
        _announce(listener, admin_listener, authority, tls=certificate is not None)
        run(
            ReviewService(
                source,
                current,
                metrics,
                decisions,
                certificate=certificate,
                rotator=rotator,
                statuses=statuses,
                bindings=bindings,
                configs=configs,
                scheduling=scheduling,
                client=client,
                max_view_age=max_view_age,
                peers=[_peer(each) for each in peers],
            ),
            Serving(
                listener,
                admin_listener,
                clients.refused,
                workers=workers,
                body_bytes=max_body_memory << 20,
                through_flask=worker == "flask",
                explains=explain,
                grace_seconds=grace,
                debug=log.log_level == "debug",
            ),
        )


def _source(
    objects: Path | None,
    client: Client | None,
    settings: Settings,
    lease: tuple[str, str] | None,
    *,
    write_status: bool,
) -> tuple[Source, StatusWriter | None]:
    """The source of views, and what writes statuses where there is a cluster and it is wanted."""
    from webhook.cluster.files import SourceError
    from webhook.server.service import open_source

    if objects is None and client is None:
        raise click.UsageError(
            "nothing says where profiles come from: give --objects DIR, --kubeconfig FILE or --in-cluster"
        )
    try:
        return open_source(objects, client, settings, write_status=write_status, lease=lease)
    except SourceError as error:
        raise click.ClickException(f"--objects: {error}") from error


def _scheduling(
    settings: Path | None,
    client: Client | None,
    source: Source,
    registry: CollectorRegistry,
    bindings: Bindings | None,
) -> Scheduling | None:
    """What a kube-scheduler asks; None without --scheduler."""
    if settings is None:
        return None
    if client is None:
        raise click.UsageError("--scheduler needs a cluster: give --kubeconfig FILE or --in-cluster")
    from webhook.scheduling.settings import SchedulingSettingsError, read_settings_file
    from webhook.server.service import open_scheduling

    try:
        return open_scheduling(client, source, registry, read_settings_file(settings), bindings)
    except SchedulingSettingsError as error:
        raise click.UsageError(f"--scheduler {error}") from None


def _secret(certificate: ServingCertificate | None) -> bytes:
    """A secret to sign with where none is given: the TLS key, which replicas share, else a random one.

    A random key serves one process and its forks; a key from the TLS key stays the same
    until a restart, whatever becomes of the certificate. Where a pod meets two keys it is
    treated as new: --signing-key avoids that.
    """
    pair = None if certificate is None else certificate.pair
    return secrets.token_bytes() if pair is None else pair.key


def _peer(address: str) -> tuple[str, int]:
    from webhook.process.address import split_address

    try:
        host, port = split_address(address)
        if host:
            return host, port
        problem = f"{address!r} has no host"
    except ValueError as error:
        problem = str(error)
    raise click.UsageError(f"--peer: {problem}; write for example --peer webhook-peers:8081")


def _announce(
    listener: socket.socket, admin_listener: socket.socket, authority: Path | None, *, tls: bool
) -> None:
    """Say where things are and how to try it, on stdout: stderr has log lines only."""
    reviews = f"{'https' if tls else 'http'}://{_address(listener)}"
    click.echo(f"Serving {reviews}/mutate and /validate")
    admin = f"http://{_address(admin_listener)}"
    click.echo(
        f"Health and metrics: {admin}/healthz, {admin}/metrics; why, to who posts a review: {admin}/explain"
    )
    unknown = tls and authority is None
    whose = ", with the CA of the certificate in CA.crt" if unknown else ""
    click.echo(f"Try it from another terminal{whose}:")
    example = str(_EXAMPLE) if _EXAMPLE.exists() else "REVIEW.json"
    trust = ["--cacert", "CA.crt" if unknown else str(authority)] if tls else []
    command = ["curl", "--silent", *trust, "-H", "Content-Type: application/json", "--data", f"@{example}"]
    click.echo(shlex.join([*command, f"{reviews}/mutate"]))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_unspecified:
        # The name works for both families; curl tries ::1 first and then 127.0.0.1.
        return f"localhost:{port}"
    return f"[{host}]:{port}" if isinstance(address, ipaddress.IPv6Address) else f"{host}:{port}"
