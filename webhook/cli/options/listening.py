"""Flags that say where a process listens, and their sockets."""

import socket

import click

from webhook.cli.options.declarations import Decorator


class Address(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """``HOST:PORT``, refused as such before anything else is read."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it was given."""
        from webhook.process.address import split_address

        try:
            split_address(value)
        except ValueError as error:
            flag = param.opts[0] if param is not None else ""
            raise click.UsageError(f"{flag}: {error}; write for example {flag} 127.0.0.1:8443", ctx) from None
        return value


def admin_option(address: str, answers: str = "/healthz, /readyz and /metrics answer") -> Decorator:
    """Declare --admin-bind; without it, a process answers at ``address``."""
    return click.option(
        "--admin-bind",
        type=Address(),
        default=address,
        show_default=True,
        metavar="HOST:PORT",
        help=f"Where {answers}, without TLS.",
    )


def listen_on(flag: str, address: str) -> socket.socket:
    """Return a listening socket of an ``Address``; the flag is named where it cannot be had."""
    from webhook.process.address import listen

    try:
        return listen(address)
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"{flag} {address}: {reason}; choose another address or port") from error
