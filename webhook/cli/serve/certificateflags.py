"""``--tls-cert``, ``--manage-certificates`` and the other flags that say which certificate is served."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from webhook.cli.options.clock import Clock
from webhook.cli.options.declarations import NamespacedName, grouped, seconds_option

if TYPE_CHECKING:
    from webhook.certificates.rotator import Rotator
    from webhook.kube.client import Client
    from webhook.server.tls import PairSource, ServingCertificate

_MANAGE = "--manage-certificates"
_CONFIGMAP = "--ca-configmap"


@dataclasses.dataclass(frozen=True, slots=True)
class CertificateFlags:
    """The values of the flags, which fit together; raises click.UsageError where they do not."""

    tls_cert: Path | None
    tls_key: Path | None
    no_tls: bool
    certs_dir: Path
    secret: tuple[str, str] | None
    names: tuple[str, ...]
    configurations: tuple[str, ...]
    ca_configmap: tuple[str, str] | None
    ca_deployment: str | None
    settle: int
    overlap: int
    client_ca: Path | None

    def __post_init__(self) -> None:
        """Check which flags were given together."""
        companions = {"--certificate-name": self.names, "--webhook-configuration": self.configurations}
        for flag, given in companions.items():
            if self.secret is not None and not given:
                raise click.UsageError(f"{_MANAGE} {'/'.join(self.secret)} also needs {flag}")
            if self.secret is None and given:
                raise click.UsageError(f"{flag} {given[0]} also needs {_MANAGE} NAMESPACE/SECRET")
        if self.ca_configmap is not None and self.secret is None:
            raise click.UsageError(f"{_CONFIGMAP} {'/'.join(self.ca_configmap)} also needs {_MANAGE}")
        if self.ca_deployment is not None and self.ca_configmap is None:
            raise click.UsageError(f"--ca-deployment {self.ca_deployment} also needs {_CONFIGMAP}")
        if (self.tls_cert is None) != (self.tls_key is None):
            flags = ("--tls-cert", "--tls-key") if self.tls_cert else ("--tls-key", "--tls-cert")
            raise click.UsageError(f"{flags[0]} {self.tls_cert or self.tls_key} also needs {flags[1]}")
        sources = {"--no-tls": self.no_tls, "--tls-cert": self.tls_cert, _MANAGE: self.secret}
        for exclusive in (sources, {"--no-tls": self.no_tls, "--client-ca": self.client_ca}):
            used = [flag for flag, value in exclusive.items() if value]
            if len(used) > 1:
                raise click.UsageError(f"{used[0]} and {used[1]} exclude each other: leave one out")

    def rotator(
        self, api: Client | None, clock: Clock, on_signing_key: Callable[[bytes], None]
    ) -> Rotator | None:
        """Return the rotator of managed certificates, None without them; UsageError without an API server."""
        if self.secret is None:
            return None
        from webhook.certificates.rotation import Terms
        from webhook.certificates.rotator import Rotator
        from webhook.certificates.trustbundle import TrustBundle

        if api is None:
            secret = "/".join(self.secret)
            raise click.UsageError(
                f"{_MANAGE} {secret} needs a cluster: give --in-cluster or --kubeconfig FILE"
            )
        terms = Terms(self.names, self.settle, self.overlap)
        return Rotator(
            api,
            self.secret,
            self.configurations,
            terms,
            now=clock.now,
            on_signing_key=on_signing_key,
            trust_bundle=self.ca_configmap and TrustBundle(api, self.ca_configmap, self.ca_deployment),
        )

    def serving(
        self, rotator: Rotator | None, clock: Clock, on_refused: Callable[[str], None]
    ) -> tuple[ServingCertificate | None, Path | None]:
        """Return the certificate to serve, None for plain HTTP, and its CA's file where that is known."""
        if self.no_tls:
            return None, None
        from webhook.certificates.files import CertificateFiles, ensure
        from webhook.certificates.verifying import CertificateError
        from webhook.server.tls import PairFiles, ServingCertificate

        authority, source = None, cast("PairSource", rotator)
        try:
            if self.tls_cert is not None and self.tls_key is not None:
                source = PairFiles(self.tls_cert, self.tls_key, now=clock.now)
            elif rotator is None:
                files = CertificateFiles(self.certs_dir)
                ensure(self.certs_dir, (), clock.now())
                source = PairFiles(files.certificate, files.key, now=clock.now)
                authority = files.ca_certificate
            return ServingCertificate(source, client_ca=self.client_ca, on_refused=on_refused), authority
        except (OSError, CertificateError) as error:
            if self.client_ca is not None and str(self.client_ca) in str(error):
                given, remedy = "--client-ca", "give the PEM of one CA or more"
            elif self.tls_cert is not None:
                given = f"--tls-cert {self.tls_cert} and --tls-key {self.tls_key}"
                remedy = "give a chain and its key"
            else:
                given = f"--certs-dir {self.certs_dir}"
                remedy = "choose a folder that can be written, or give --tls-cert"
            what = str(error)
            if isinstance(error, OSError) and error.strerror:
                what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            raise click.ClickException(f"{given}: {what}; {remedy}") from error


def _checked_names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        return value
    from webhook.certificates.issuing import general_name

    for name in value:
        try:
            general_name(name)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return value


certificate_options = grouped(
    "certificates",
    CertificateFlags,
    click.option(
        "--tls-cert", type=click.Path(path_type=Path), help="Serving certificate chain (PEM); with --tls-key."
    ),
    click.option("--tls-key", type=click.Path(path_type=Path), help="Private key of --tls-cert (PEM)."),
    click.option(
        "--no-tls", is_flag=True, help="Speak plain HTTP. The API server does not; for tests and proxies."
    ),
    click.option(
        "--certs-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("certs"),
        show_default=True,
        help="Without --tls-cert: folder of a CA and a certificate for localhost, "
        "made where they are missing.",
    ),
    click.option(
        _MANAGE,
        "secret",
        type=NamespacedName(),
        metavar="NAMESPACE/SECRET",
        help="Create, renew and restore the CA and the certificate in this Secret, which all replicas share.",
    ),
    click.option(
        "--certificate-name",
        "names",
        multiple=True,
        metavar="NAME",
        callback=_checked_names,
        help="DNS name or address of the managed certificate: SERVICE.NAMESPACE.svc; may be repeated.",
    ),
    click.option(
        "--webhook-configuration",
        "configurations",
        multiple=True,
        metavar="NAME",
        help="Webhook configurations of this name, mutating and validating, get the CA as caBundle; "
        "may be repeated.",
    ),
    click.option(
        _CONFIGMAP,
        "ca_configmap",
        type=NamespacedName(),
        metavar="NAMESPACE/CONFIGMAP",
        help="Keep the CA of --manage-certificates in this ConfigMap as ca.crt, for a kube-scheduler.",
    ),
    click.option(
        "--ca-deployment",
        metavar="NAME",
        help="Deployment that reads --ca-configmap at its start only: it is rolled out for each new CA.",
    ),
    seconds_option(
        "--certificate-settle",
        "settle",
        kind=click.IntRange(min=0),
        default=120,
        text="How long a new CA is published before the server uses a certificate of it.",
    ),
    seconds_option(
        "--certificate-overlap",
        "overlap",
        kind=click.IntRange(min=0),
        default=3600,
        text="How long a CA stays published after the server has switched to the next one.",
    ),
    click.option(
        "--client-ca",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="CAs (PEM) of clients: whoever shows no certificate of theirs is turned away.",
    ),
)
"""Add the flags of the serving certificate; pass ``certificates``."""
