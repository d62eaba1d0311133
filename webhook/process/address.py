"""``HOST:PORT`` as it stands on a command line, and a socket that listens there."""

import socket

_LAST_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:8443`` for IPv6); the host may be empty.

    Raises ValueError for anything else.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def listen(address: str, *, backlog: int = 1024) -> socket.socket:
    """A listening socket for ``HOST:PORT`` (``[::1]:8443`` for IPv6; port 0 picks a free one).

    Raises ValueError for an address that cannot be read and OSError for one that cannot be had.
    """
    host, port = split_address(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        host or "0.0.0.0",  # noqa: S104 — ":8443" asks for all
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
