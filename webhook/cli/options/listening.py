"""The sockets of flags that say where a process listens."""

import socket

import click


def listen_on(flag: str, address: str) -> socket.socket:
    """Return a listening socket; the flag is named where the address is none, or cannot be had."""
    from webhook.process.address import listen

    try:
        return listen(address)
    except ValueError as error:
        raise click.UsageError(f"{flag}: {error}; write for example {flag} 127.0.0.1:8443") from error
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"{flag} {address}: {reason}; choose another address or port") from error
