"""``colocation-webhook serve``: the service, with the view from files, a cluster, or both."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import secrets
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from webhook.cli.access import (
    DEFAULT_LEASE,
    in_cluster_option,
    kubeconfig_option,
    open_api,
    status_options,
)
from webhook.cli.cpusets import CpuSets, cpusets_options
from webhook.cli.options import optional_objects_option, settings_options

if TYPE_CHECKING:
    from webhook.admission import Settings
    from webhook.cluster.api import Api
    from webhook.cluster.profilestatus import StatusWriter
    from webhook.cluster.source import Source
    from webhook.server.tls import ServingCertificate

_EXAMPLE = Path("examples/reviews/spark-driver.json")


@click.command()
@optional_objects_option
@kubeconfig_option
@in_cluster_option
@status_options
@click.option(
    "--bind", default="127.0.0.1:8443", show_default=True, metavar="HOST:PORT", help="Where reviews come in."
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), help="Serving certificate chain (PEM); with --tls-key."
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key of --tls-cert (PEM).")
@click.option(
    "--no-tls", is_flag=True, help="Speak plain HTTP. The API server does not; for tests and proxies."
)
@click.option(
    "--certs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("certs"),
    show_default=True,
    help="Without --tls-cert: folder of a CA and a certificate for localhost, made where they are missing.",
)
@click.option(
    "--admin-bind",
    default="127.0.0.1:8081",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /healthz, /readyz, /metrics and /explain answer, without TLS.",
)
@click.option("--explain", is_flag=True, help="Answer /explain on an address that is not loopback, too.")
@settings_options
@cpusets_options
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--grace",
    type=click.IntRange(2, 300),
    default=15,
    show_default=True,
    metavar="SECONDS",
    help="How long a drain may take after SIGTERM.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--log-format", type=click.Choice(["json", "text"]), default="json", show_default=True)
def serve(  # noqa: PLR0913 — one parameter a flag
    *,
    objects: Path | None,
    kubeconfig: Path | None,
    in_cluster: bool,
    write_status: bool,
    lease: tuple[str, str] | None,
    bind: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    no_tls: bool,
    certs_dir: Path,
    admin_bind: str,
    explain: bool,
    settings: Settings,
    cpusets: CpuSets | None,
    workers: int,
    grace: int,
    log_level: str,
    log_format: Literal["json", "text"],
) -> None:
    """Serve admission reviews over TLS: POST /mutate and POST /validate, with --cpusets POST /bind.

    Without certificate flags, a CA and a certificate for localhost are made in --certs-dir.

    The view of the cluster comes from --objects, from --kubeconfig or --in-cluster, or from files
    beside a cluster. Until a cluster has been read once, reviews are answered 503 and /readyz says
    what is missing.

    \b
    Examples:
      colocation-webhook serve --objects examples/objects
      colocation-webhook serve --objects examples/objects --mode audit --log-format text
      colocation-webhook serve --kubeconfig ~/.kube/config
      colocation-webhook serve --objects DIR --bind :8443 --tls-cert tls.crt --tls-key tls.key
    """  # noqa: D301 — see main
    if (tls_cert is None) != (tls_key is None):
        given, lacking = ("--tls-cert", "--tls-key") if tls_cert else ("--tls-key", "--tls-cert")
        raise click.UsageError(f"{given} {tls_cert or tls_key} needs {lacking} beside it")
    if no_tls and tls_cert:
        raise click.UsageError(f"--no-tls and --tls-cert {tls_cert} exclude each other: leave one out")

    from webhook.server.processes import shared_books

    with shared_books(workers):
        from webhook.server.run import Serving, run

        certificate, authority = _certificate(tls_cert, tls_key, certs_dir) if not no_tls else (None, None)
        api = open_api(kubeconfig, in_cluster=in_cluster)
        source, writer = _source(objects, api, settings, lease, write_status=write_status)
        door = cpusets.open(api, source) if cpusets is not None else None
        listener = _listen("--bind", bind)
        admin_listener = _listen("--admin-bind", admin_bind)
        _announce(listener, admin_listener, authority, tls=certificate is not None)
        run(
            Serving(
                source=source,
                beside=writer,
                door=door,
                settings=settings if settings.signing_key else _with_key(settings, certificate),
                certificate=certificate,
                listener=listener,
                admin_listener=admin_listener,
                workers=workers,
                log_level=log_level,
                log_format=log_format,
                explain=explain,
                grace_seconds=grace,
            )
        )


def _source(
    objects: Path | None,
    api: Api | None,
    settings: Settings,
    lease: tuple[str, str] | None,
    *,
    write_status: bool,
) -> tuple[Source, StatusWriter | None]:
    """The source of views, and what writes statuses where there is a cluster and it is wanted."""
    from webhook.cluster.files import FilesSource, SourceError

    files = None
    if objects is not None:
        files = FilesSource(objects)
        try:
            files.load()
        except SourceError as error:
            raise click.ClickException(f"--objects {objects}: {error}") from error
    if api is None:
        if files is None:
            raise click.UsageError(
                "nothing says where profiles come from: give --objects DIR, --kubeconfig FILE or --in-cluster"
            )
        return files, None

    from webhook.cluster.combined import CombinedSource
    from webhook.cluster.lease import Lease
    from webhook.cluster.profilestatus import StatusWriter
    from webhook.cluster.watch import ClusterSource

    cluster = ClusterSource(api)
    source: Source = cluster if files is None else CombinedSource(files, cluster)
    if not write_status:
        return source, None
    held = Lease(api, *(lease or (api.access.namespace, DEFAULT_LEASE)))
    return source, StatusWriter(api, cluster.picture, source, held, settings.rules)


def _certificate(
    tls_cert: Path | None, tls_key: Path | None, certs_dir: Path
) -> tuple[ServingCertificate, Path | None]:
    """The certificate to serve, and the CA file a client should trust where we know it."""
    from webhook.certificates import CertificateError, CertificateFiles, ensure
    from webhook.server.tls import ServingCertificate

    if tls_cert is not None and tls_key is not None:
        try:
            return ServingCertificate(tls_cert, tls_key), None
        except (OSError, CertificateError) as error:
            raise click.ClickException(
                f"--tls-cert {tls_cert} and --tls-key {tls_key}: {error}; give a chain and its key"
            ) from error
    files = CertificateFiles(certs_dir)
    try:
        ensure(certs_dir, (), dt.datetime.now(dt.UTC))
        return ServingCertificate(files.certificate, files.key), files.ca_certificate
    except (OSError, CertificateError) as error:
        raise click.ClickException(
            f"--certs-dir {certs_dir}: {error}; choose a folder that can be written, or give --tls-cert"
        ) from error


def _with_key(settings: Settings, certificate: ServingCertificate | None) -> Settings:
    """Settings with a signing key: from the TLS key, which replicas share, else a random one.

    A random key serves one process and its forks; a key from the TLS key stays the same
    until a restart, whatever becomes of the certificate. Where a pod meets two keys it is
    treated as new: --signing-key avoids that.
    """
    from webhook.admission.reinvocation import derive_key

    secret = secrets.token_bytes() if certificate is None else certificate.pair.key
    return dataclasses.replace(settings, signing_key=derive_key(secret))


def _listen(flag: str, address: str) -> socket.socket:
    from webhook.server.run import listen

    try:
        return listen(address)
    except ValueError as error:
        raise click.UsageError(f"{flag}: {error}; write for example {flag} 127.0.0.1:8443") from error
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"{flag} {address}: {reason}; choose another address or port") from error


def _announce(
    listener: socket.socket, admin_listener: socket.socket, authority: Path | None, *, tls: bool
) -> None:
    """Say where things are and how to try it, on stdout: stderr has log lines only."""
    reviews = f"{'https' if tls else 'http'}://{_address(listener)}"
    click.echo(f"Serving {reviews}/mutate and /validate")
    click.echo(f"Health, metrics and explanations: http://{_address(admin_listener)}")
    click.echo("Try it from another terminal:")
    example = str(_EXAMPLE) if _EXAMPLE.exists() else "REVIEW.json"
    trust = ["--cacert", str(authority) if authority is not None else "CA.crt"] if tls else []
    command = ["curl", "--silent", *trust, "-H", "Content-Type: application/json", "--data", f"@{example}"]
    click.echo(shlex.join([*command, f"{reviews}/mutate"]))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_unspecified:
        # The name works for both families; curl tries ::1 first and then 127.0.0.1.
        return f"localhost:{port}"
    return f"[{host}]:{port}" if isinstance(address, ipaddress.IPv6Address) else f"{host}:{port}"
