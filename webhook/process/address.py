"""``HOST:PORT`` as it stands on a command line."""

_LAST_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:8443`` for IPv6); the host may be empty.

    Raises ValueError for anything else.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)
