"""A release of its own whose replicas keep their certificates, each with a clock that can be moved."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.controlplane import ControlPlane
from tests.e2e.installation import CHART, Installation
from tests.e2e.kubectl import Object
from tests.e2e.objects import assert_be, pod
from tests.e2e.processes import Process, eventually, free_ports

RELEASE = "kept"
NAMESPACE = "kept-system"
SECRET = f"{RELEASE}-colocation-webhook-certificates"
NAME = f"{RELEASE}-colocation-webhook"
KINDS = ("mutatingwebhookconfiguration", "validatingwebhookconfiguration")
OPTED_IN = {"kept": "yes", "koordinator.sh/enable-colocation": "true"}
SETTLE, OVERLAP = 1, 3
"""Seconds; a production's are minutes and an hour."""


class Replica:
    """One process, with a file that moves its clock."""

    def __init__(self, kept: Kept, port: int, *, days: float = 0.0) -> None:
        self.port = port
        (self.admin_port,) = free_ports(1)
        self.folder = kept.folder / f"replica-{port}-{self.admin_port}"
        self.folder.mkdir()
        self.clock = self.folder / "clock"
        self.move(days)
        command = [
            sys.executable, "-m", "tests.e2e.movedclock", str(self.clock), "serve",
            "--kubeconfig", str(kept.kubeconfig), "--no-write-status",
            "--manage-certificates", f"{NAMESPACE}/{SECRET}", "--certificate-name", "localhost",
            "--webhook-configuration", NAME,
            "--certificate-settle", str(SETTLE), "--certificate-overlap", str(OVERLAP),
            "--bind", f"localhost:{port}", "--admin-bind", f"localhost:{self.admin_port}",
        ]  # fmt: skip
        env = {**kept.release.env, "PYTHONPATH": str(CHART.parents[1])}
        self.process = Process(
            f"replica {port}", command, self.folder / "log", env=env, cwd=kept.release.folder
        )

    def move(self, days: float) -> None:
        """Set the clock so many days on."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(days * 86400))
        new.replace(self.clock)

    def readiness(self) -> dict[str, Any]:
        """What /readyz says; a replica that has ended is an AssertionError."""
        self.process.require_running()
        connection = http.client.HTTPConnection("localhost", self.admin_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            report: dict[str, Any] = json.loads(connection.getresponse().read())
            return report
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """The value of the metric whose line begins so."""
        connection = http.client.HTTPConnection("localhost", self.admin_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        return float(next(each for each in text.splitlines() if each.startswith(line)).rpartition(" ")[2])

    def leaf(self, bundle: bytes) -> bytes:
        """The certificate that is served, as whoever trusts ``bundle`` sees it; else an OSError."""
        context = ssl.create_default_context(cadata=bundle.decode())
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=5, context=context)
        try:
            connection.connect()
            return connection.sock.getpeercert(binary_form=True) or b""
        finally:
            connection.close()


class Kept:
    """The release, what stands in the cluster, and the replicas that run."""

    def __init__(self, release: Installation, control_plane: ControlPlane, folder: Path) -> None:
        self.release = release
        self.kubectl = release.kubectl
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.ports = free_ports(2)
        self.replicas: list[Replica] = []
        self._control_plane = control_plane

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace."""
        return self.release.helm("-n", NAMESPACE, *arguments)

    def install(self) -> None:
        """Install the chart; the API server asks the first replica, and refuses a pod without an answer."""
        self.helm(
            "install", RELEASE, str(CHART), "--create-namespace",
            "--set=crds.install=false", "--set=priorityClasses.create=false",
            f"--set=webhook.url=https://localhost:{self.ports[0]}",
            "--set=webhook.mutating.failurePolicy=Fail",
            "--set-json", 'webhook.namespaceSelector=[{"key":"kept","operator":"Exists"}]',
        )  # fmt: skip
        kubeconfig = yaml.safe_load(self._control_plane.kubeconfig.read_text())
        token = self.kubectl.run("-n", NAMESPACE, "create", "token", NAME).stdout.strip()
        kubeconfig["users"][0]["user"] = {"token": token}
        self.kubeconfig.write_text(yaml.safe_dump(kubeconfig))

    def start(self, *, days: float = 0.0) -> None:
        """Start both replicas at the same moment, with clocks moved by ``days``, until they are ready."""
        self.replicas = [Replica(self, port, days=days) for port in self.ports]
        self.ready()

    def ready(self) -> None:
        """Wait until both are."""
        for replica in self.replicas:
            eventually(lambda replica=replica: replica.readiness()["ready"], seconds=60, what="replica ready")

    def stop(self) -> None:
        """End both."""
        for replica in self.replicas:
            replica.process.stop()
        self.replicas = []

    def begin_anew(self, *, days: float) -> None:
        """Replicas that know nothing, no Secret, and a clock that was moved before all began."""
        self.stop()
        self.kubectl.delete("secret", SECRET, namespace=NAMESPACE)
        self.start(days=days)

    def move(self, days: float) -> None:
        """Move all clocks, and have everybody look."""
        for replica in self.replicas:
            replica.move(days)
        self.kubectl.run("-n", NAMESPACE, "label", "secret", SECRET, "--overwrite", f"moved=to.{days:g}")

    def secret(self) -> Object:
        """The Secret."""
        return self.kubectl.get("secret", SECRET, namespace=NAMESPACE)

    def held(self, key: str) -> bytes:
        """What the Secret has under a key."""
        return base64.b64decode(self.secret()["data"][key])

    def bundles(self) -> set[bytes]:
        """Every ``caBundle`` of the release."""
        return {
            base64.b64decode(webhook["clientConfig"].get("caBundle", ""))
            for kind in KINDS
            for webhook in self.kubectl.get(kind, NAME)["webhooks"]
        }

    def bundle(self) -> bytes:
        """The one that all have; an AssertionError where they differ."""
        (bundle,) = found if len(found := self.bundles()) == 1 else [b""]
        assert bundle, found
        return bundle

    def leaf(self) -> bytes:
        """The leaf that both replicas serve, trusted by what is published; raises where that is not so."""
        bundle = self.bundle()
        served = {replica.leaf(bundle) for replica in self.replicas}
        assert len(served) == 1
        return served.pop()

    def authorities(self) -> int:
        """How many CAs are published."""
        return self.bundle().count(b"BEGIN")

    def admit(self, namespace: str) -> None:
        """A pod is admitted and mutated now."""
        made = pod("probe")
        made["metadata"]["namespace"] = namespace
        assert_be(self.kubectl.create(made, dry_run=True))
