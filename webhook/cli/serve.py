"""``colocation-webhook serve``: the service, with the view from files."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from webhook.admission import Settings
    from webhook.server.tls import ServingCertificate

_EXAMPLE = Path("examples/reviews/spark-operator-driver.json")


class _Rule(click.ParamType[tuple[str, str]]):
    """``NAME=deny|warn|off``."""

    name = "NAME=ACTION"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        from webhook.admission.rules import RULES
        from webhook.protocol import Action

        name, _, action = str(value).partition("=")
        if name not in RULES:
            self.fail(f"there is no rule {name!r}; there are: {', '.join(sorted(RULES))}", param, ctx)
        if action not in set(Action):
            self.fail(f"{value!r}: write {name}=deny, {name}=warn or {name}=off", param, ctx)
        return name, action


@click.command()
@click.option(
    "--objects",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of profiles, PriorityClasses, Namespaces, LimitRanges: YAML or JSON, reloaded on change.",
)
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
@click.option(
    "--mode",
    type=click.Choice(["enforce", "audit"]),
    default="enforce",
    show_default=True,
    help="audit: patch and deny nothing; warnings, log and metrics say what would have been.",
)
@click.option(
    "--pod-level-resources",
    type=click.Choice(["dissolve", "keep", "deny"]),
    default="dissolve",
    show_default=True,
    help="What to do with spec.resources of a pod whose resources are translated.",
)
@click.option(
    "--rule",
    "rules",
    type=_Rule(),
    multiple=True,
    help="Set a validation rule: deny, warn or off; may be repeated.",
)
@click.option(
    "--signing-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the secret that all replicas share (default: derived from the TLS key).",
)
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
    objects: Path,
    bind: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    no_tls: bool,
    certs_dir: Path,
    admin_bind: str,
    explain: bool,
    mode: str,
    pod_level_resources: str,
    rules: tuple[tuple[str, str], ...],
    signing_key: Path | None,
    workers: int,
    grace: int,
    log_level: str,
    log_format: Literal["json", "text"],
) -> None:
    r"""Serve admission reviews over TLS: POST /mutate and POST /validate.

    Without certificate flags, a CA and a certificate for localhost are made in --certs-dir.

    \b
    Examples:
      colocation-webhook serve --objects examples
      colocation-webhook serve --objects /etc/webhook --tls-cert tls.crt --tls-key tls.key --bind
      0.0.0.0:8443 colocation-webhook serve --objects examples --mode audit --log-format text
    """
    if (tls_cert is None) != (tls_key is None):
        given, lacking = ("--tls-cert", "--tls-key") if tls_cert else ("--tls-key", "--tls-cert")
        raise click.UsageError(f"{given} {tls_cert or tls_key} needs {lacking} beside it")
    if no_tls and tls_cert:
        raise click.UsageError(f"--no-tls and --tls-cert {tls_cert} exclude each other: leave one out")

    from webhook.server.processes import shared_books

    with shared_books(workers):
        from webhook.cluster.files import FilesSource, SourceError
        from webhook.server.run import Serving, run

        certificate, authority = _certificate(tls_cert, tls_key, certs_dir) if not no_tls else (None, None)
        settings = _settings(mode, pod_level_resources, dict(rules), signing_key, certificate)
        source = FilesSource(objects)
        try:
            source.load()
        except SourceError as error:
            raise click.ClickException(f"--objects {objects}: {error}") from error
        listener = _listen("--bind", bind)
        admin_listener = _listen("--admin-bind", admin_bind)
        click.echo(_curl(listener, authority, tls=certificate is not None))
        run(
            Serving(
                source=source,
                settings=settings,
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


def _settings(
    mode: str,
    pod_level_resources: str,
    rules: Mapping[str, str],
    key_file: Path | None,
    certificate: ServingCertificate | None,
) -> Settings:
    from webhook.admission import Mode, PodLevelResources, Settings
    from webhook.protocol import Action
    from webhook.server.keys import signing_key

    try:
        key = signing_key(key_file, certificate.pair.key if certificate is not None else None)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--signing-key {key_file}: {error}") from error
    return Settings(
        mode=Mode(mode),
        pod_level_resources=PodLevelResources(pod_level_resources),
        rules={name: Action(action) for name, action in rules.items()},
        signing_key=key,
    )


def _listen(flag: str, address: str) -> socket.socket:
    from webhook.server.run import listen

    try:
        return listen(address)
    except ValueError as error:
        raise click.UsageError(f"{flag}: {error}; write for example {flag} 127.0.0.1:8443") from error
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"{flag} {address}: {reason}; choose another address or port") from error


def _curl(listener: socket.socket, authority: Path | None, *, tls: bool) -> str:
    """A line to copy: the Spark driver's review, sent to this server."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_unspecified:
        # The name works for both families; curl tries ::1 first and then 127.0.0.1.
        host = "localhost"
    elif isinstance(address, ipaddress.IPv6Address):
        host = f"[{host}]"
    example = str(_EXAMPLE) if _EXAMPLE.exists() else "REVIEW.json"
    trust = ["--cacert", str(authority) if authority is not None else "CA.crt"] if tls else []
    command = ["curl", "--silent", *trust, "-H", "Content-Type: application/json", "--data", f"@{example}"]
    return shlex.join([*command, f"{'https' if tls else 'http'}://{host}:{port}/mutate"])
