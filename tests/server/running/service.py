"""A service under test: a real process on loopback, and a client for it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from tests.ports import free_ports
from tests.waiting import until

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
REVIEW = (ROOT / "benchmarks" / "data" / "spark-submit-executor.json").read_bytes()
PROFILE = """
apiVersion: config.koordinator.sh/v1alpha1
kind: ClusterColocationProfile
metadata: {name: spark}
spec:
  selector: {matchLabels: {spark-role: executor}}
  qosClass: BE
  priorityClassName: koord-batch
"""
JSON = {"Content-Type": "application/json"}
# gunicorn leaves sockets to the collector.
_WARNINGS = ("-W", "error", "-W", "ignore::ResourceWarning")
_SERVE = "from webhook.cli.serve.command import serve; serve()"


class Service:
    """One ``serve`` process; it has begun when /readyz answers ``begins``."""

    begins = 200

    def __init__(self, folder, *flags, tls=True, prelude=""):
        self.folder = folder
        self.objects = folder / "objects"
        self.certs = folder / "certs"
        self.port, self.admin_port = free_ports(2)
        self.tls = tls
        if not self.objects.exists():
            self.objects.mkdir()
            (self.objects / "profile.yaml").write_text(PROFILE)
        self.arguments = [
            *(sys.executable, *_WARNINGS, "-c", prelude + _SERVE, "--objects", str(self.objects)),
            *("--bind", f"127.0.0.1:{self.port}", "--admin-bind", f"127.0.0.1:{self.admin_port}"),
            *("--certs-dir", str(self.certs)) * tls,
            *("--no-tls",) * (not tls),
            *map(str, flags),
        ]

    def __enter__(self):
        """Start, and wait until it is ready."""
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(  # noqa: S603 — our own command
            self.arguments, stdout=subprocess.PIPE, stderr=self.log, env=ENVIRONMENT, cwd=self.folder
        )
        self.curl = next((line.decode() for line in self.process.stdout if line.startswith(b"curl")), "")
        until(lambda: self.admin("/readyz")[0] == self.begins)
        return self

    def __exit__(self, *_):
        """Stop at once."""
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    @property
    def lines(self):
        """What was logged."""
        return [json.loads(line) for line in (self.folder / "log").read_bytes().splitlines()]

    def workers(self):
        """Process ids of the workers that run."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def context(self):
        """What trusts the service's CA."""
        return ssl.create_default_context(cafile=str(self.certs / "ca.crt"))

    def connect(self, timeout=10):
        """A connection that keeps alive."""
        if self.tls:
            return http.client.HTTPSConnection(
                "localhost", self.port, timeout=timeout, context=self.context()
            )
        return http.client.HTTPConnection("localhost", self.port, timeout=timeout)

    def raw(self):
        """A plain socket to the port, TLS around it where the service speaks TLS."""
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        return self.context().wrap_socket(plain, server_hostname="localhost") if self.tls else plain

    def post(self, path="/mutate", body=REVIEW, headers=JSON):
        """Status and decoded answer of one request on a connection of its own."""
        return self.request("POST", path, body, headers)

    def request(self, method, path, body=None, headers=JSON):
        """As ``post``, with any method."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, method, path, body, headers)

    def admin(self, path, body=None):
        """Status and body (bytes) from the admin port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request("POST" if body else "GET", path, body, JSON if body else {})
                response = connection.getresponse()
                return response.status, response.read()
            except ConnectionError:
                return 0, b""

    def metric(self, line):
        """The value of the metric whose line begins with ``line``; 0 where there is none."""
        for found in self.admin("/metrics")[1].decode().splitlines():
            if found.startswith(line):
                return float(found.rpartition(" ")[2])
        return 0.0


def ask(connection, method="POST", path="/mutate", body=REVIEW, headers=JSON):
    """Send a request on an open connection; status and decoded answer."""
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
