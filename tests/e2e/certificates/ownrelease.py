"""A release of its own with two replicas that keep its certificates; the API server asks one of them."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.objects import assert_be, pod
from tests.e2e.release.certificates import ManagedCertificates
from tests.e2e.release.installation import CHART, Installation
from tests.e2e.release.replicas import Replica
from tests.ports import free_ports

RELEASE = "kept"
NAMESPACE = "kept-system"
OPTED_IN = {"kept": "yes", "koordinator.sh/enable-colocation": "true"}
SETTLE, OVERLAP = 1, 3
"""Seconds; a production's are minutes and an hour."""


class OwnRelease(ManagedCertificates):
    """The release, its certificates, and the replicas that run."""

    def __init__(self, release: Installation, control_plane: ControlPlane, folder: Path) -> None:
        """Take a folder for files; nothing is installed yet."""
        super().__init__(release, folder / "clock", namespace=NAMESPACE, name=f"{RELEASE}-colocation-webhook")
        self.folder = folder
        self.control_plane = control_plane
        self._kubeconfig = folder / "kubeconfig"
        self._ports = free_ports(2)

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace."""
        return self.release.helm("-n", NAMESPACE, *arguments)

    def install(self) -> None:
        """Install the chart; the API server asks the first replica, and refuses a pod without an answer."""
        self.helm(
            "install", RELEASE, str(CHART), "--create-namespace",
            "--set=crds.install=false", "--set=priorityClasses.create=false",
            f"--set=webhook.url=https://localhost:{self._ports[0]}",
            "--set=webhook.mutating.failurePolicy=Fail",
            "--set-json", 'webhook.namespaceSelector=[{"key":"kept","operator":"Exists"}]',
        )  # fmt: skip
        self.kubectl.account(self.name, namespace=NAMESPACE, kubeconfig=self._kubeconfig)

    def start(self, *, days: float = 0.0) -> None:
        """Start both replicas at the same moment, with clocks moved by ``days``, until they are ready."""
        self.set_clock(days)
        self.replicas = [self._replica(port) for port in self._ports]
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.wait_until_ready()

    def stop(self) -> None:
        """End both."""
        for replica in self.replicas:
            replica.stop()
        self.replicas = []

    def start_over(self, *, days: float) -> None:
        """Replicas that know nothing, no Secret, and a clock that was moved before all began."""
        self.stop()
        self.delete()
        self.start(days=days)

    def bundle(self) -> bytes:
        """The ``caBundle`` that all have; an AssertionError where they differ."""
        (bundle,) = found if len(found := self.bundles()) == 1 else [b""]
        assert bundle, found
        return bundle

    def authorities(self) -> int:
        """How many CAs are published."""
        return self.bundle().count(b"BEGIN")

    def leaf(self) -> bytes:
        """The leaf that both replicas serve, trusted by what is published; raises where that is not so."""
        context = ssl.create_default_context(cadata=self.bundle().decode())
        served = {_served(replica.port, context) for replica in self.replicas}
        assert len(served) == 1
        return served.pop()

    def admit(self, namespace: str) -> None:
        """A pod is admitted and mutated now."""
        made = pod("probe")
        made["metadata"]["namespace"] = namespace
        assert_be(self.kubectl.create(made, dry_run=True))

    def _replica(self, port: int) -> Replica:
        command = (
            f"colocation-webhook serve --kubeconfig {self._kubeconfig} --no-write-status "
            f"--manage-certificates {NAMESPACE}/{self.secret_name} --certificate-name localhost "
            f"--webhook-configuration {self.name} "
            f"--certificate-settle {SETTLE} --certificate-overlap {OVERLAP} "
            "--bind localhost:$PORT --admin-bind localhost:$ADMIN_PORT"
        )
        (admin_port,) = free_ports(1)
        return self.release.replica(f"kept-{port}", port, admin_port, clock=self.clock, command=command)


def _served(port: int, context: ssl.SSLContext) -> bytes:
    """The certificate at a port of localhost, in DER; an OSError where it is not trusted."""
    with (
        socket.create_connection(("localhost", port), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""
