"""Replicas that keep their certificates: real processes, a fake API server."""

import base64
import contextlib
import json
import socket
import ssl

import pytest
import yaml

from tests.certificates.conftest import MUTATING, SECRETS, Cluster
from tests.kube.fakeapi import CLASSES, NAMESPACES, PROFILES
from tests.server.running.service import PROFILE, ask
from tests.server.running.test_cluster import HOME, ClusterService
from tests.waiting import until
from webhook.protocol import ANNOTATION_PROFILES_SIGNATURE

FLAGS = (
    *("--manage-certificates", "home/kept", "--webhook-configuration", "ours", "--no-write-status"),
    *("--certificate-name", "hook.home.svc", "--certificate-name", "localhost"),
    *("--certificate-settle", "0", "--certificate-overlap", "1"),
)


class ManagedService(ClusterService):
    """One replica; what is published in the cluster is what its clients trust."""

    def __init__(self, folder, cluster, *flags):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, cluster, *FLAGS, *flags)
        self.arguments.remove("--no-tls")
        self.tls, self.cluster = True, cluster

    def context(self):
        """What trusts as the API server does."""
        return ssl.create_default_context(cadata=self.cluster.bundles()[0].decode())

    def leaf(self):
        """The certificate that a new connection sees."""
        with contextlib.closing(self.connect()) as connection:
            connection.connect()
            return connection.sock.getpeercert(binary_form=True)

    def readiness(self):
        """Status and what it says of the certificate."""
        status, body = self.admin("/readyz")
        return status, json.loads(body)["certificate"]


@pytest.fixture
def cluster():
    """A release that was just installed, and a profile."""
    with Cluster() as running:
        running.configure()
        running.put(PROFILES, "spark", spec=yaml.safe_load(PROFILE)["spec"])
        running.put(CLASSES, "koord-batch", value=5000)
        running.put(NAMESPACES, HOME)
        yield running


def signature(service):
    """What is signed on a pod, by a worker that knows the cluster."""
    _, answer = until(lambda: (answered := service.post())[0] == 200 and answered)
    patch = json.loads(base64.b64decode(answer["response"]["patch"]))
    (annotations,) = (each["value"] for each in patch if each["path"] == "/metadata/annotations")
    return annotations[ANNOTATION_PROFILES_SIGNATURE]


def test_it_comes_up_before_it_is_trusted_and_is_ready_after(tmp_path, cluster):
    """Alive without Secret and caBundle; ready when what is served is published."""
    cluster.failures["PATCH", f"{MUTATING}/ours"] = [(403, {"message": "no right to patch"})] * 4
    service = ManagedService(tmp_path / "one", cluster)
    service.begins = 503
    with service:
        assert service.admin("/healthz")[0] == 200
        until(lambda: "no right to patch" in str(service.readiness()[1]["error"]))
        assert service.readiness()[1]["ready"] is False
        until(lambda: service.readiness()[0] == 200)
        assert service.readiness()[1]["error"] is None
        assert service.post()[0] == 200
        writes = 'colocation_webhook_certificate_writes_total{what="%s"}'
        until(lambda: service.metric(writes % "configuration") == 2)
        assert service.metric(writes % "secret") == 1
        assert service.metric('colocation_webhook_reload_errors_total{what="certificate"}') == 4
        assert service.metric("colocation_webhook_certificate_reads_total") > 1
        ends = 'colocation_webhook_certificate_expiry_timestamp_seconds{certificate="%s"}'
        assert service.metric(ends % "ca") > service.metric(ends % "leaf") > 1.7e9


def test_connections_wait_for_the_pair(tmp_path, cluster):
    """Nothing is served with before there is one; whoever came sooner is answered then."""
    failures = cluster.failures["GET", f"{SECRETS}/kept"] = [(500, {"message": "down"})] * 1000
    service = ManagedService(tmp_path / "one", cluster)
    service.begins = 503
    with service, socket.create_connection(("127.0.0.1", service.port), 20) as early:
        status, certificate = service.readiness()
        assert (status, certificate["expiresAt"]) == (503, None)
        failures.clear()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(early) as connection:
            assert connection.getpeercert(binary_form=True)


def test_two_replicas_through_rotations(tmp_path, cluster):
    """New handshakes see the new leaf without a restart, old connections live on, and both sign alike."""
    with (
        ManagedService(tmp_path / "one", cluster) as one,
        ManagedService(tmp_path / "two", cluster, "--workers", "2") as two,
        contextlib.closing(one.connect()) as old,
    ):
        assert ask(old)[0] == 200
        before = signature(one)
        assert signature(two) == before
        for asked in ("leaf", "ca"):
            leaf = one.leaf()
            cluster.annotate(asked)
            until(lambda leaf=leaf: one.leaf() != leaf and one.leaf() == two.leaf())
        until(lambda: cluster.bundles()[0].count(b"BEGIN") == 1)
        assert ask(old)[0] == 200
        assert signature(one) == signature(two) == before
        assert "last-ca.crt" not in cluster.secret["data"]
