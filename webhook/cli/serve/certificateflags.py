"""``--manage-certificates`` and the other flags of managed certificates, which the replicas share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from webhook.cli.options.access import NamespacedName
from webhook.cli.options.clock import Clock

if TYPE_CHECKING:
    from webhook.certificates.rotator import Rotator
    from webhook.kube.client import Client

_Command = Callable[..., Any]
_MANAGE = "--manage-certificates"


@dataclasses.dataclass(frozen=True, slots=True)
class ManagedCertificates:
    """The checked flags."""

    secret: tuple[str, str]
    names: tuple[str, ...]
    configurations: tuple[str, ...]
    settle: int
    overlap: int

    def rotator(self, api: Client | None, clock: Clock, on_signing_key: Callable[[bytes], None]) -> Rotator:
        """Return the rotator of the certificates; raises click.UsageError without an API server."""
        from webhook.certificates.rotation import Terms
        from webhook.certificates.rotator import Rotator

        if api is None:
            secret = "/".join(self.secret)
            raise click.UsageError(
                f"{_MANAGE} {secret} needs a cluster: give --in-cluster or --kubeconfig FILE"
            )
        terms = Terms(self.names, self.settle, self.overlap)
        return Rotator(
            api, self.secret, self.configurations, terms, now=clock.now, on_signing_key=on_signing_key
        )


def managed_options(command: _Command) -> _Command:
    """Add --manage-certificates and the flags that it needs; pass ``managed``, None without that flag."""

    @click.option(
        _MANAGE,
        "secret",
        type=NamespacedName(),
        metavar="NAMESPACE/SECRET",
        help="Create, renew and restore the CA and the certificate in this Secret, which all replicas share.",
    )
    @click.option(
        "--certificate-name",
        "names",
        multiple=True,
        metavar="NAME",
        callback=_checked_names,
        help="DNS name or address of the managed certificate: SERVICE.NAMESPACE.svc; may be repeated.",
    )
    @click.option(
        "--webhook-configuration",
        "configurations",
        multiple=True,
        metavar="NAME",
        help="Webhook configurations of this name, mutating and validating, get the CA as caBundle; "
        "may be repeated.",
    )
    @click.option(
        "--certificate-settle",
        "settle",
        type=click.IntRange(min=0),
        default=120,
        show_default=True,
        metavar="SECONDS",
        help="How long a new CA is published before the server uses a certificate of it.",
    )
    @click.option(
        "--certificate-overlap",
        "overlap",
        type=click.IntRange(min=0),
        default=3600,
        show_default=True,
        metavar="SECONDS",
        help="How long a CA stays published after the server has switched to the next one.",
    )
    @wraps(command)
    def wrapped(
        *args: object,
        secret: tuple[str, str] | None,
        names: tuple[str, ...],
        configurations: tuple[str, ...],
        settle: int,
        overlap: int,
        **kwargs: object,
    ) -> object:
        companions = {"--certificate-name": names, "--webhook-configuration": configurations}
        for flag, given in companions.items():
            if secret is not None and not given:
                raise click.UsageError(f"{_MANAGE} {'/'.join(secret)} also needs {flag}")
            if secret is None and given:
                raise click.UsageError(f"{flag} {given[0]} also needs {_MANAGE} NAMESPACE/SECRET")
        managed = (
            None if secret is None else ManagedCertificates(secret, names, configurations, settle, overlap)
        )
        return command(*args, managed=managed, **kwargs)

    return wrapped


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
