"""A connection without a socket, its client, and the bytes of requests."""

import asyncio
from concurrent.futures import Future

from prometheus_client import CollectorRegistry, Gauge

from webhook.admission.response import Answer, errored
from webhook.process.metrics import Level
from webhook.server.http.connection import Connection
from webhook.server.http.site import Application, Site


class Echo:
    """Answers a body with itself, at once or, if it begins with ``later``, when asked to."""

    def __init__(self):
        self.bodies = []
        self.pending = []

    def begin(self, body, seconds):
        """Note the body."""
        del seconds
        self.bodies.append(body)
        if not body.startswith(b"later"):
            return Answer(200, body)
        future = Future()
        self.pending.append((future, body))
        return future

    def late(self, begun, seconds):
        """Say so."""
        del seconds
        begun.cancel()
        return errored(503, "late")

    def refuse(self, error):
        """Say so."""
        return errored(error.status, error.message)


class Transport:
    """Notes what is written."""

    def __init__(self):
        self.written = b""
        self.closed = self.paused = self.aborted = False
        self.unread = 0

    def write(self, data):
        """Note it."""
        assert not self.closed
        self.written += data

    def close(self):
        """Note it."""
        self.closed = True

    def abort(self):
        """Note it."""
        self.closed = self.aborted = True

    def get_write_buffer_size(self):
        """What the client has not read."""
        return self.unread

    def is_closing(self):
        """Say whether it was closed."""
        return self.closed

    def can_write_eof(self):
        """As TLS."""
        return False

    def get_extra_info(self, _):
        """Know nothing."""

    def pause_reading(self):
        """Note it."""
        assert not self.paused
        self.paused = True

    def resume_reading(self):
        """Note it."""
        assert self.paused
        self.paused = False


def rest(environ, start_response):
    """Answer all that is no review."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    return [b"none"]


class Client:
    """A connection, and the loop in which it lives."""

    def __init__(self, site=None, **more):
        self.loop = asyncio.new_event_loop() if site is None else site.loop
        self.echo = Echo()
        level = Level(Gauge("in_flight", "In flight.", registry=CollectorRegistry()))
        application = Application({"/mutate": self.echo}, level, lambda: rest, **more)
        self.in_flight = lambda: level.number
        self.site = site or Site(application, self.loop, 10, lambda: None)
        self.connection = Connection(self.site)
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    def send(self, *pieces):
        """Send pieces, one after another, as far as the connection is open."""
        for piece in pieces:
            if not self.transport.closed:
                self.connection.data_received(piece)

    def run(self, seconds=0.0):
        """Let the loop go on."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def wait(self):
        """Let the loop go on until there are answers to all."""
        while not self.connection.waits and not self.transport.closed:
            self.run(0.001)

    def answers(self):
        """Status and body of each answer."""
        found, left = [], self.transport.written
        while left:
            head, _, left = left.partition(b"\r\n\r\n")
            if head == b"HTTP/1.1 100 Continue":
                continue
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields.get(b"Content-Length", 0))  # an answer to HEAD has none
            found.append((int(head[9:12]), left[:length]))
            left = left[length:]
        return found

    def end(self):
        """Close, and look that nothing is held any more."""
        if self.connection in self.site.open:
            self.connection.connection_lost(None)
        assert self.in_flight() == 0
        bodies = self.site.bodies
        assert (bodies.small, bodies.large, bodies.waiting) == (0, 0, {})
        self.site.pool.shutdown()
        self.loop.close()


LINE = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CL = b"Content-Length: 5\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


def post(body, extra=b"", target=b"/mutate"):
    """The bytes of a request."""
    head = LINE.replace(b"/mutate", target)
    return head + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), extra, body)


def chunked(*chunks, end=b"0\r\n\r\n"):
    """The same in chunks."""
    return LINE + TE + b"\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end
