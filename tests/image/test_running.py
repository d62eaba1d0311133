"""The image in runc, with the chart's flags, user, rights and volumes: read-only, no root, no capability."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
import yaml

from tests.e2e.cluster.binaries import ROOT, built
from tests.e2e.cluster.kubectl import Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.rendering import AUTHORITY, Helm
from tests.image.build import Image
from tests.image.container import Container
from tests.image.deployment import bundle
from tests.kube.fakeapi import CLASSES, NAMESPACES, PROFILES, FakeApi
from webhook.admission.decision import decide
from webhook.admission.review import Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.cli.options.objects import load_view

REVIEWS, ADMIN, API_SERVER = 8443, 8081, 6443
NAMESPACE, SERVICE = "somewhere", "release-colocation-webhook"
NAME = f"{SERVICE}.{NAMESPACE}.svc"
OWN_FILES = {"certificates": {"source": "secret", "caBundle": AUTHORITY}}
WAYS = {"managed certificates": {}, "own files": OWN_FILES, "two workers": {**OWN_FILES, "workers": 2}}
EXAMPLE = (ROOT / "examples" / "reviews" / "spark-driver.json").read_bytes()
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
PATHS = {
    "Namespace": NAMESPACES,
    "ClusterColocationProfile": PROFILES,
    "PriorityClass": CLASSES,
    "MutatingWebhookConfiguration": f"{CONFIGURATIONS}/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": f"{CONFIGURATIONS}/validatingwebhookconfigurations",
}


class Running(NamedTuple):
    """The container, and how to talk to it."""

    container: Container
    trust: ssl.SSLContext

    def connect(self) -> http.client.HTTPConnection:
        """An open connection as the API server makes one: by the Service's name, trusting only its CA."""
        return self.container.connect(REVIEWS, self.trust, NAME)

    def review(self) -> Object:
        """Its answer to the example, over TLS."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", "/mutate", EXAMPLE, {"Content-Type": "application/json"})
            answer: Object = json.load(connection.getresponse())["response"]
            return answer


@contextlib.contextmanager
def api_server(container: Container, authority: trustme.CA, chart: list[Object]) -> Iterator[FakeApi]:
    """An API server at the container's loopback address: the examples' objects, and what the chart brings."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    fake = FakeApi(context)
    fake.port = API_SERVER
    fake.objects[SECRETS] = {}
    files = sorted((ROOT / "examples" / "objects").glob("*.yaml"))
    examples = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    configurations = [each for each in chart if each["kind"].endswith("WebhookConfiguration")]
    for each in copy.deepcopy([*filter(None, examples), *configurations]):
        fake.put(PATHS[each["kind"]], each["metadata"].pop("name"), **each)
    with container.network():
        fake.start()
    try:
        yield fake
    finally:
        fake.stop()


@pytest.fixture(params=WAYS)
def running(request: pytest.FixtureRequest, image: Image, root: Path, tmp_path: Path) -> Iterator[Running]:
    """The container, ready, by some way of the chart."""
    chart = Helm(built(), tmp_path).render(WAYS[request.param], "1.37.2")
    (deployment,) = [each for each in chart if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    authority = trustme.CA()
    leaf = authority.issue_cert(NAME)
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    ca = authority.cert_pem.bytes()
    contents = {
        f"{SERVICE}-tls": {"tls.crt": chain, "tls.key": leaf.private_key_pem.bytes()},
        pod["serviceAccountName"]: {"token": b"token", "ca.crt": ca, "namespace": NAMESPACE.encode()},
    }
    folder = tmp_path / "bundle"
    bundle(folder, root, image.config, pod, contents)
    with (
        Container(tmp_path.name, folder, tmp_path / "runc") as container,
        api_server(container, authority, chart) as fake,
    ):
        # One of the workers answers, and it speaks for itself.
        eventually(
            lambda: {container.status(ADMIN, "/readyz") for _ in range(20)} == {200},
            seconds=60,
            what="all workers ready",
        )
        if request.param == "managed certificates":
            (configuration,) = fake.objects[PATHS["MutatingWebhookConfiguration"]].values()
            ca = base64.b64decode(configuration["webhooks"][0]["clientConfig"]["caBundle"])
        yield Running(container, ssl.create_default_context(cadata=ca.decode()))


def unsigned(patch: list[Object]) -> list[Object]:
    """A patch without the one thing that differs from key to key."""
    for operation in patch:
        if operation["path"] == "/metadata/annotations":
            operation["value"] = {k: v for k, v in operation["value"].items() if "signature" not in k}
    return patch


def test_it_answers_a_review(running: Running) -> None:
    """The patch for the Spark driver is the one that the core makes of the same objects."""
    view = load_view(ROOT / "examples" / "objects")
    expected = decide(Webhook.MUTATE, parse_review(EXAMPLE), view, Settings()).patch()
    answer = running.review()
    assert answer["allowed"] is True
    assert unsigned(json.loads(base64.b64decode(answer["patch"]))) == unsigned(expected)


def test_it_has_no_rights(running: Running, image: Image) -> None:
    """Not root, no capability, no way to more of either; the root file system cannot be written."""
    assert image.config["User"] == "65532:65532"
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{running.container.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65532"}
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    for place, writable in (("/", False), ("/opt/colocation-webhook", False), ("/tmp", True)):  # noqa: S108
        done = running.container.execute("python3", "-c", f"open('{place}/probe', 'w')")
        assert (done.returncode == 0) is writable, (place, done.stderr)
        assert writable or "Read-only file system" in done.stderr


def test_the_health_check(running: Running, image: Image) -> None:
    """The image's own check succeeds while the webhook serves, and fails where nothing answers."""
    kind, *check = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert running.container.execute(*check).returncode == 0
    elsewhere = [part.replace(str(ADMIN), "8082") for part in check]
    assert running.container.execute(*elsewhere).returncode != 0


def test_it_drains(running: Running) -> None:
    """What is in flight at SIGTERM is answered, with ``Connection: close``; then the process ends with 0."""
    connection = running.connect()
    connection.putrequest("POST", "/mutate")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(EXAMPLE)))
    connection.endheaders(EXAMPLE[:100])
    # The first bytes have to be there before the signal is.
    assert running.review()["allowed"]
    running.container.signal(signal.SIGTERM)
    eventually(lambda: running.container.status(ADMIN, "/readyz") == 503, what="draining")
    connection.send(EXAMPLE[100:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Connection"] == "close"
    assert json.load(answer)["response"]["allowed"] is True
    assert running.container.ended(30) == 0
    assert "Traceback" not in running.container.log()
