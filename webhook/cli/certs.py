"""``colocation-webhook certs``: keys and certificates for a laptop."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click


@click.group()
def certs() -> None:
    """Make the CA and the serving certificate that `serve` uses on a laptop."""


@certs.command()
@click.option(
    "--certs-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("certs"),
    show_default=True,
    help="Folder of ca.crt, ca.key, tls.crt and tls.key.",
)
@click.option(
    "--name", "names", multiple=True, metavar="NAME", help="Another DNS name or address; may be repeated."
)
@click.option("--force", is_flag=True, help="Make a new CA and certificate even where the old ones are good.")
def init(certs_dir: Path, names: tuple[str, ...], *, force: bool) -> None:
    """Make what is missing, and renew what ends within 30 days.

    The certificate is for localhost, 127.0.0.1 and ::1, and for every --name. A running server
    takes it over by itself.

    \b
    Examples:
      colocation-webhook certs init
      colocation-webhook certs init --name webhook.example --force
    """  # noqa: D301 — see main
    from webhook.certificates import ensure

    try:
        pair = ensure(certs_dir, names, dt.datetime.now(dt.UTC), force=force)
    except ValueError as error:
        raise click.UsageError(f"--name: {error}") from error
    except OSError as error:
        raise click.ClickException(
            f"--certs-dir {certs_dir}: {error.strerror or error}; choose a folder that can be written"
        ) from error
    if pair is None:
        click.echo(f"{certs_dir}: the CA and the certificate are good; --force makes new ones")
    else:
        click.echo(f"{certs_dir}: certificate for {', '.join(pair.names)} until {pair.expires_at:%Y-%m-%d}")
