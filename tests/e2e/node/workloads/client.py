"""Asks a small web server on loopback again and again: ``client.py PORT SECONDS``.

Prints the milliseconds that each answer took, as a list of JSON. It runs before every ordinary process, so
that what it waits for is the server.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time

_PAUSE = 0.003


def answers(port: int, seconds: float) -> list[float]:
    """Ask, wait for the answer, pause; an answer that is none ends it."""
    with contextlib.suppress(OSError):  # without the right it competes with the others
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok\n")
        found.append((time.monotonic() - began) * 1000)
        time.sleep(_PAUSE)
    return found


if __name__ == "__main__":
    print(json.dumps([round(each, 3) for each in answers(int(sys.argv[1]), float(sys.argv[2]))]))
