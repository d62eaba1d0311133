"""The review that kube-apiserver sends, and the one that ``preview`` makes of the same manifest."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.admission.previewed import BARE, LIMITED, REFUSED, WORKLOADS
from tests.e2e.cluster import secondwebhook
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode, make_bare
from tests.e2e.cluster.kubectl import Kubectl, Object, RefusedError
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.conftest import make_namespace
from tests.ports import free_ports
from webhook.admission.review import Review, parse_review
from webhook.admission.settings import Settings
from webhook.admission.view import build_view
from webhook.certificates.files import CertificateFiles, ensure
from webhook.cli.preview.simulation import Simulation, simulate
from webhook.pods.documents import Document, objects_of
from webhook.pods.manifests.controllers import MADE_UP
from webhook.pods.manifests.workloads import NotShown, pods_of

MARK = "previewed.example.org"
"""The name of the webhook, and the label of the namespaces that it is asked about."""

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIMITS = [
    {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "512Mi"},
        "defaultRequest": {"cpu": "0.25"},
        "max": {"ephemeral-storage": "2048Mi"},
        "min": {"memory": "1Mi"},
    },
    {"type": "Pod", "max": {"cpu": "8"}},
]


class Reviews:
    """What the recorder has written."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, namespace: str) -> list[Object]:
        """The requests about pods of a namespace."""
        text = self._file.read_text() if self._file.exists() else ""
        requests = [json.loads(line)["request"] for line in text.splitlines()]
        return [request for request in requests if request["namespace"] == namespace]


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """Of the control plane; nothing is installed."""
    return control_plane.kubectl


@pytest.fixture(scope="module")
def reviews(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviews]:
    """A recorder that is asked first, before other webhooks."""
    folder = tmp_path_factory.mktemp("recorder")
    ensure(folder, [], dt.datetime.now(dt.UTC))
    files = CertificateFiles(folder)
    (port,) = free_ports(1)
    command = [sys.executable, secondwebhook.__file__, str(port), str(files.certificate), str(files.key)]
    command.append(str(folder / "reviews.jsonl"))
    webhook = {
        "name": MARK,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": {
            "url": f"https://localhost:{port}/",
            "caBundle": base64.b64encode(files.ca_certificate.read_bytes()).decode(),
        },
        "namespaceSelector": {"matchLabels": {MARK: "yes"}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"aaa-{MARK}"},
        "webhooks": [webhook],
    }
    process = Process("recorder", command, folder / "log", env=os.environ, cwd=folder)
    with stopping(process):
        kubectl.create(configuration)
        try:
            yield Reviews(folder / "reviews.jsonl")
        finally:
            kubectl.delete("mutatingwebhookconfiguration", f"aaa-{MARK}")


@pytest.fixture(scope="module", autouse=True)
def cluster(kubectl: Kubectl) -> Iterator[None]:
    """A PriorityClass of an unusual policy, and one node for the DaemonSet."""
    node = FakeNode(name="previewed", shape=(1, 1, 4, 2))
    make_bare(kubectl, "previewed", [node])
    kubectl.create(_class("previewed-never", 7, preemptionPolicy="Never"))
    yield
    kubectl.delete("priorityclass", "previewed-never")
    kubectl.delete("node", node.name)


@pytest.fixture
def place(kubectl: Kubectl, reviews: Reviews) -> Iterator[Callable[..., str]]:
    """Make a namespace of which the recorder is asked; they go when the test is over."""
    made: list[str] = []

    def make(*limits: Object) -> str:
        name = make_namespace(kubectl, {MARK: "yes"})
        made.append(name)
        account = {"name": "previewed", "namespace": name}
        kubectl.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        if limits:
            metadata = {"name": "limits", "namespace": name}
            kubectl.create(
                {
                    "apiVersion": "v1",
                    "kind": "LimitRange",
                    "metadata": metadata,
                    "spec": {"limits": [*limits]},
                }
            )
        # Webhook, account and LimitRange take effect in the API server's caches a moment later.
        probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": name}}
        probe["spec"] = {"containers": [{"name": "c", "image": "none"}], "serviceAccountName": "previewed"}

        def in_effect() -> bool:
            stored = kubectl.create(probe, dry_run=True)
            return bool(reviews.of(name)) and bool(stored["spec"]["containers"][0]["resources"]) is bool(
                limits
            )

        eventually(in_effect, what=f"webhook and LimitRange of {name} in effect")
        return name

    yield make
    if made:
        kubectl.delete("namespace", *made)


def _class(name: str, value: int, **fields: Any) -> Object:
    metadata = {"name": name}
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": metadata,
        "value": value,
        **fields,
    }


def _in(manifest: Object, namespace: str) -> Object:
    metadata = {key: value for key, value in manifest["metadata"].items() if value is not None}
    return {**manifest, "metadata": {**metadata, "namespace": namespace}}


def _previewed(kubectl: Kubectl, manifest: Object) -> Simulation:
    """What preview makes of a manifest, with the cluster's own objects."""
    kinds = "namespaces,priorityclasses,limitranges,resourcequotas"
    listed = json.loads(kubectl.run("get", kinds, "--all-namespaces", "-o", "json").stdout)
    objects = [(one.value, one.source) for one in objects_of(Document(listed, "cluster"))]
    pods = pods_of(Document(manifest, "manifest"))
    assert not isinstance(pods, NotShown)
    (subject,) = pods
    return simulate(subject, "default", build_view(objects), Settings())


def _comparable(review: Review) -> Review:
    """The same review without what nobody can know before: uids, hashes, random suffixes, the node."""
    pod = json.loads(json.dumps(review.object))
    metadata = pod["metadata"]
    metadata.pop("managedFields", None)
    labels = metadata.get("labels", {})
    unknown = {labels[key]: MADE_UP for key in ("pod-template-hash",) if key in labels}
    if revision := labels.get("controller-revision-hash"):
        unknown[revision.removeprefix("w-")] = MADE_UP
    for volume in pod["spec"].get("volumes", []):
        if volume["name"].startswith("kube-api-access-"):
            unknown[volume["name"]] = f"kube-api-access-{MADE_UP}"
    for owner in metadata.get("ownerReferences", []):
        if owner["kind"] == "Job" and (scheduled := re.fullmatch(r"w-(\d+)", owner["name"])):
            unknown[scheduled[1]] = MADE_UP
    affinity = pod["spec"].get("affinity")
    text = _UID.sub(MADE_UP, json.dumps(pod, sort_keys=True))
    for value, instead in unknown.items():
        text = text.replace(value, instead)
    pod = json.loads(text)
    if affinity:
        term = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        term["nodeSelectorTerms"][0]["matchFields"][0]["values"] = [MADE_UP]
    return review._replace(uid="", username="", object=pod, plain=False)  # plain: of the bytes as they came


def _sent(request: Object) -> Review:
    """A recorded request, parsed as the service parses it."""
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return parse_review(json.dumps(body).encode())


def _equal(kubectl: Kubectl, reviews: Reviews, manifest: Object, namespace: str) -> None:
    skip = len(reviews.of(namespace))
    made = _in(manifest, namespace)
    kubectl.create(made)
    request = eventually(lambda: reviews.of(namespace)[skip:], seconds=90, what="the pod's review")[0]
    previewed = _previewed(kubectl, made)
    assert previewed.refusal is None
    ours, sent = _comparable(previewed.review), _comparable(_sent(request))
    written = [json.dumps(review.object, indent=1, sort_keys=True).splitlines() for review in (ours, sent)]
    assert list(unified_diff(*written, "preview", "kube-apiserver", n=5)) == []
    assert ours == sent


@pytest.mark.parametrize("what", BARE)
def test_bare_pods(kubectl: Kubectl, reviews: Reviews, place: Callable[..., str], what: str) -> None:
    """Object, operation, namespace and name are those that the API server sends."""
    _equal(kubectl, reviews, BARE[what], place())


@pytest.mark.parametrize("what", LIMITED)
def test_pods_under_a_limit_range(
    kubectl: Kubectl, reviews: Reviews, place: Callable[..., str], what: str
) -> None:
    """Its defaults are in the pod, with the annotation that says so."""
    _equal(kubectl, reviews, LIMITED[what], place(*_LIMITS))


@pytest.mark.parametrize("what", WORKLOADS)
def test_pods_of_workloads(kubectl: Kubectl, reviews: Reviews, place: Callable[..., str], what: str) -> None:
    """What their controllers add is added."""
    _equal(kubectl, reviews, WORKLOADS[what], place())


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_without_a_review(
    kubectl: Kubectl, reviews: Reviews, place: Callable[..., str], what: str
) -> None:
    """The API server asks nobody, and preview denies."""
    namespace = place()
    asked = len(reviews.of(namespace))
    made = _in(REFUSED[what], namespace)
    with pytest.raises(RefusedError, match=r"forbidden"):
        kubectl.create(made)
    assert len(reviews.of(namespace)) == asked
    assert _previewed(kubectl, made).refusal


@pytest.fixture
def global_default(kubectl: Kubectl) -> Iterator[None]:
    """A PriorityClass that pods without one have."""
    kubectl.create(_class("previewed-default", 9500, globalDefault=True, preemptionPolicy="Never"))
    yield
    kubectl.delete("priorityclass", "previewed-default")


@pytest.mark.usefixtures("global_default")
def test_a_global_default(kubectl: Kubectl, reviews: Reviews, place: Callable[..., str]) -> None:
    """A pod without a class has it; one that names a class has that one."""
    namespace = place()
    probe = _in(BARE["nothing"], namespace)

    def in_effect() -> bool:
        return bool(kubectl.create(probe, dry_run=True)["spec"]["priority"] == 9500)

    eventually(in_effect, what="global default in effect")
    _equal(kubectl, reviews, BARE["nothing"], namespace)
    _equal(kubectl, reviews, BARE["a class that does not preempt"], place())
    with pytest.raises(RefusedError, match=r"forbidden"):
        kubectl.create(_in(BARE["a priority as no class says"], namespace))
    assert _previewed(kubectl, _in(BARE["a priority as no class says"], namespace)).refusal
