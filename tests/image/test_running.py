"""The image in runc, with the chart's flags, user, rights and volumes: read-only, no root, no capability."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import yaml

from tests.cluster.fakeapi import CLASSES, NAMESPACES, PROFILES, FakeApi
from tests.e2e.binaries import ROOT, built
from tests.e2e.kubectl import Object
from tests.e2e.processes import eventually
from tests.e2e.rendering import AUTHORITY, Helm
from tests.image.build import Image
from tests.image.container import Container
from tests.image.deployment import bundle
from webhook.admission import Settings, Webhook, decide, parse_review
from webhook.cli.objects import load_view

REVIEWS, ADMIN, API_SERVER = 8443, 8081, 6443
VALUES = {"certificates": {"source": "secret", "caBundle": AUTHORITY}}
EXAMPLE = (ROOT / "examples" / "reviews" / "spark-driver.json").read_bytes()
PATHS = {"Namespace": NAMESPACES, "ClusterColocationProfile": PROFILES, "PriorityClass": CLASSES}


class Running(NamedTuple):
    """The container, and how to talk to it."""

    container: Container
    trust: ssl.SSLContext

    def review(self) -> Object:
        """Its answer to the example, over TLS."""
        with contextlib.closing(self.container.connect(REVIEWS, self.trust)) as connection:
            connection.request("POST", "/mutate", EXAMPLE, {"Content-Type": "application/json"})
            answer: Object = json.load(connection.getresponse())["response"]
            return answer


def pod_of(values: dict[str, Any], folder: Path) -> Object:
    """The spec of the pods that the chart's Deployment makes."""
    objects = Helm(built(), folder).render(values, "1.37.2")
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


@contextlib.contextmanager
def api_server(container: Container, authority: trustme.CA) -> Iterator[FakeApi]:
    """An API server at the container's loopback address, with the objects of the examples."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    fake = FakeApi(context)
    fake.port = API_SERVER
    for file in sorted((ROOT / "examples" / "objects").glob("*.yaml")):
        for each in filter(None, yaml.safe_load_all(file.read_text())):
            fields = copy.deepcopy(each)
            name = fields["metadata"].pop("name")
            fake.put(PATHS[each["kind"]], name, **fields)
    with container.network():
        fake.start()
    try:
        yield fake
    finally:
        fake.stop()


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def running(request: pytest.FixtureRequest, image: Image, root: Path, tmp_path: Path) -> Iterator[Running]:
    """The container, ready."""
    pod = pod_of({**VALUES, "workers": request.param}, tmp_path)
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    ca = authority.cert_pem.bytes()
    (secret,) = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    contents = {
        secret: {"tls.crt": chain, "tls.key": leaf.private_key_pem.bytes()},
        pod["serviceAccountName"]: {"token": b"token", "ca.crt": ca, "namespace": b"somewhere"},
    }
    folder = tmp_path / "bundle"
    bundle(folder, root, image.config, pod, contents)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with (
        Container(f"webhook-{request.param}-{tmp_path.name}", folder, tmp_path / "runc") as container,
        api_server(container, authority),
    ):
        # One of the workers answers, and it speaks for itself.
        eventually(
            lambda: {container.status(ADMIN, "/readyz") for _ in range(20)} == {200},
            seconds=60,
            what="all workers ready",
        )
        yield Running(container, trust)


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
    connection = running.container.connect(REVIEWS, running.trust)
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
