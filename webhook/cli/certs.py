"""``colocation-webhook certs``: certificates for this machine, and managed certificates in a cluster."""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import click

from webhook.cli.options.access import ClusterFlags, cluster_options
from webhook.cli.options.clock import Clock, pass_clock
from webhook.cli.options.declarations import NamespacedName
from webhook.cli.options.output import echo_data, output_option


@click.group()
def certs() -> None:
    """Create certificates for `serve` on this machine; show and rotate managed ones in a cluster."""


@certs.command(short_help="Create missing files on this machine, and renew what expires soon.")
@click.option(
    "--certs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("certs"),
    show_default=True,
    help="Folder of ca.crt, ca.key, tls.crt and tls.key.",
)
@click.option(
    "--name", "names", multiple=True, metavar="NAME", help="Additional DNS name or address; may be repeated."
)
@click.option("--force", is_flag=True, help="Replace the CA and the certificate even if they are valid.")
@pass_clock
def init(clock: Clock, certs_dir: Path, names: tuple[str, ...], *, force: bool) -> None:
    """Create missing files, and renew what expires within 30 days.

    The certificate is for localhost, 127.0.0.1 and ::1, and for every --name. A running server
    reloads it by itself.

    \b
    Examples:
      colocation-webhook certs init
      colocation-webhook certs init --name webhook.example --force
    """  # noqa: D301 — see main
    from webhook.certificates.files import ensure

    try:
        pair = ensure(certs_dir, names, clock.now(), force=force)
    except ValueError as error:
        raise click.UsageError(f"--name: {error}") from error
    except OSError as error:
        raise click.ClickException(
            f"--certs-dir {certs_dir}: {error.strerror or error}; choose a writable folder"
        ) from error
    if pair is None:
        click.echo(f"{certs_dir}: the CA and the certificate are valid; --force replaces them")
    else:
        click.echo(f"{certs_dir}: certificate for {', '.join(pair.names)} until {pair.expires_at:%Y-%m-%d}")


_secret_argument = click.argument("secret", metavar="NAMESPACE/SECRET", type=NamespacedName())


@certs.command(short_help="Request a new managed certificate in a cluster.")
@_secret_argument
@cluster_options
@click.option(
    "--ca", is_flag=True, help="Replace the CA and the certificate; without this flag the certificate only."
)
def rotate(secret: tuple[str, str], cluster: ClusterFlags, *, ca: bool) -> None:
    """Request a new managed certificate.

    SECRET is the one that the replicas manage (serve --manage-certificates). Service is not
    interrupted: a new CA is published together with the old one before it is used, and the old
    one stays trusted for a while. `certs show` shows the progress.

    \b
    Examples:
      colocation-webhook certs rotate colocation-system/colocation-webhook-certificates
      colocation-webhook certs rotate --ca colocation-system/colocation-webhook-certificates
    """  # noqa: D301 — see main
    from webhook.certificates.rotation import Rotate
    from webhook.kube import paths
    from webhook.kube.client import MERGE_PATCH
    from webhook.protocol import ANNOTATION_ROTATE

    requested = Rotate.CA if ca else Rotate.LEAF
    body = {"metadata": {"annotations": {ANNOTATION_ROTATE: requested.value}}}
    with _explained():
        cluster.open_or_home().call("PATCH", paths.secret(*secret), body=body, content_type=MERGE_PATCH)
    click.echo(f"requested a new {'CA' if ca else 'certificate'}: see 'certs show {'/'.join(secret)}'")


@certs.command(short_help="Show managed certificates in a cluster, and the progress of a rotation.")
@_secret_argument
@cluster_options
@output_option
@pass_clock
def show(clock: Clock, secret: tuple[str, str], cluster: ClusterFlags, output: str) -> None:
    """Show managed certificates, and the progress of a rotation.

    SECRET is the one that the replicas manage (serve --manage-certificates).

    Exit status: 1 if the Secret is missing or invalid.

    \b
    Examples:
      colocation-webhook certs show colocation-system/colocation-webhook-certificates
    """  # noqa: D301 — see main
    from webhook.certificates.secret import read_secret
    from webhook.certificates.verifying import CertificateError, read_chain
    from webhook.kube import paths

    where = "/".join(secret)
    with _explained():
        found = cluster.open_or_home().get(paths.secret(*secret))
    try:
        held = read_secret(found)
    except CertificateError as error:
        raise click.ClickException(f"{where}: {error}; the replicas restore it: see their log") from error
    leaf = read_chain(held.chain)
    chains = {
        "certificate": held.chain,
        "ca": held.authority.certificate,
        "nextCA": held.successor.certificate if held.successor else None,
        "previousCA": held.predecessor,
    }
    ends = {role: read_chain(chain).expires_at for role, chain in chains.items() if chain is not None}
    requested = None if held.requested is None else held.requested.value
    if output != "text":
        expire = {role: f"{end:%Y-%m-%dT%H:%M:%SZ}" for role, end in ends.items()}
        value = {"secret": where, "revision": held.revision, "names": list(leaf.names)}
        echo_data({**value, "expire": expire, "requested": requested}, output)
        return
    labels = {
        "certificate": f"certificate for {', '.join(leaf.names)}",
        "ca": "its CA",
        "nextCA": "the next CA, not in use yet",
        "previousCA": "the previous CA, still trusted",
    }
    click.echo(f"{where}, revision {held.revision}")
    for role, end in ends.items():
        click.echo(f"  {labels[role]}: until {end:%Y-%m-%d}, {(end - clock.now()).days} days from now")
    if requested is not None:
        click.echo(f"  requested, not begun yet: a new {requested}")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the API server's refusal of a call about the Secret into a ClickException with the remedy."""
    from webhook.kube.client import ApiError

    try:
        yield
    except ApiError as error:
        remedies: dict[int, str] = {
            HTTPStatus.NOT_FOUND: "; a replica creates it: is one running with --manage-certificates?",
            HTTPStatus.FORBIDDEN: "; use the account of an administrator of the namespace",
        }
        raise click.ClickException(f"{error}{remedies.get(error.status, '')}") from error
