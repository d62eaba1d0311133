"""``--manage-certificates`` and what belongs to it: certificates that the replicas keep in a Secret."""

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
class Managed:
    """The flags, checked."""

    secret: tuple[str, str]
    names: tuple[str, ...]
    configurations: tuple[str, ...]
    settle: int
    overlap: int

    def rotator(self, api: Client | None, clock: Clock, on_signing_key: Callable[[bytes], None]) -> Rotator:
        """Return what keeps the certificates; raises click.UsageError without an API server."""
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
    """Add --manage-certificates and its companions; pass ``managed``, None where it is not given."""

    @click.option(
        _MANAGE,
        "secret",
        type=NamespacedName(),
        metavar="NAMESPACE/SECRET",
        help="Keep CA and certificate in this Secret, shared by all replicas: made, renewed and restored.",
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
        help="Mutating and validating configurations of this name get the CA; may be repeated.",
    )
    @click.option(
        "--certificate-settle",
        "settle",
        type=click.IntRange(min=0),
        default=120,
        show_default=True,
        metavar="SECONDS",
        help="How long a new CA is published before a certificate of it is served.",
    )
    @click.option(
        "--certificate-overlap",
        "overlap",
        type=click.IntRange(min=0),
        default=3600,
        show_default=True,
        metavar="SECONDS",
        help="How long a CA stays published after the certificate of the next one is served.",
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
                raise click.UsageError(f"{_MANAGE} {'/'.join(secret)} needs {flag} beside it")
            if secret is None and given:
                raise click.UsageError(f"{flag} {given[0]} needs {_MANAGE} NAMESPACE/SECRET beside it")
        managed = None if secret is None else Managed(secret, names, configurations, settle, overlap)
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
