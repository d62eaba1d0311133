"""A second mutating webhook before or after ours, which injects sidecars or translates itself."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import secondwebhook
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.objects import BE_FIGURES, assert_be, pod, resources
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import Installation
from tests.ports import free_ports

SIDECAR_FIGURES = {"kubernetes.io/batch-cpu": "100", "kubernetes.io/batch-memory": "64Mi"}


@pytest.fixture(scope="module")
def second_port(release: Installation) -> Iterator[int]:
    """The port of the second webhook, which has a certificate of its own."""
    (port,) = free_ports(1)
    release.shell("colocation-webhook certs init --certs-dir second")
    certs = release.folder / "second"
    command = [sys.executable, str(Path(secondwebhook.__file__)), str(port)]
    command += [str(certs / "tls.crt"), str(certs / "tls.key")]
    log = release.folder / "second.log"
    with stopping(Process("second webhook", command, log, env=os.environ, cwd=release.folder)):
        yield port


@pytest.fixture(params=["aaa-before", "zzz-after"])
def second_webhook(
    request: pytest.FixtureRequest, release: Installation, kubectl: Kubectl, namespace: str, second_port: int
) -> Iterator[str]:
    """A configuration whose name puts it before or after ours, for the test's namespace."""
    authority = base64.b64encode((release.folder / "second" / "ca.crt").read_bytes()).decode()
    webhook = {
        "name": f"{request.param}.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "clientConfig": {"url": f"https://localhost:{second_port}/", "caBundle": authority},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
    }
    kubectl.create(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": request.param},
            "webhooks": [webhook],
        }
    )

    def works() -> bool:
        probe = pod("probe", {secondwebhook.INJECT: "yes"})
        probe["metadata"]["namespace"] = namespace
        return len(kubectl.create(probe, dry_run=True)["spec"]["containers"]) == 2

    eventually(works, what="second webhook in effect")
    yield request.param
    kubectl.delete("mutatingwebhookconfiguration", request.param)


@pytest.mark.usefixtures("second_webhook")
def test_an_injected_sidecar_is_translated_too(kubectl: Kubectl, namespace: str) -> None:
    """Whoever comes first, both containers end with batch resources, and nothing is done twice."""
    made = pod("with-sidecar", {"spark-role": "driver", secondwebhook.INJECT: "yes"})
    made["metadata"]["namespace"] = namespace
    stored = kubectl.create(made)
    assert_be(stored)
    assert [container["name"] for container in stored["spec"]["containers"]] == [
        "main",
        secondwebhook.CONTAINER,
    ]
    assert resources(stored, 1) == {"requests": SIDECAR_FIGURES, "limits": SIDECAR_FIGURES}
    assert stored["spec"]["preemptionPolicy"] == "PreemptLowerPriority"


def test_a_pod_translated_by_another(kubectl: Kubectl, namespace: str, second_webhook: str) -> None:
    """What Koordinator's webhook has translated is not translated again, and no figure is lost."""
    made = pod("translated", {"spark-role": "driver", secondwebhook.TRANSLATE: "yes"})
    made["metadata"]["namespace"] = namespace
    stored = kubectl.create(made)
    if second_webhook == "zzz-after":
        # Ours came first; the other one saw a pod that was colocated already.
        assert_be(stored, BE_FIGURES)
        assert stored["metadata"]["labels"]["koordinator.sh/priority"] == "1000"
    else:
        assert_be(stored, BE_FIGURES, scheduler="koord-scheduler")
