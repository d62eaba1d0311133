"""Ports for what tests start."""

import contextlib
import random
import socket
from typing import Final

_random: Final = random.SystemRandom()  # hypothesis seeds the other one: all workers would try the same


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that nobody listens on, all different.

    Not those that the kernel gives to clients (from 32768 on): what is stopped and started again on a port
    must find it free.
    """
    found: list[int] = []
    while len(found) < number:
        port = _random.randrange(20000, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found += [port] if port not in found else []
    return found
