"""What the API server does to pods beside creating them as they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.cluster.kubectl import Kubectl, RefusedError
from tests.e2e.cluster.objects import assert_be, container, pod


@pytest.fixture(scope="module")
def runtime_class(kubectl: Kubectl) -> Iterator[str]:
    """A RuntimeClass whose pods have an overhead."""
    overhead = {"podFixed": {"cpu": "250m", "memory": "120Mi"}}
    metadata = {"name": "sandboxed"}
    kubectl.create(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": metadata,
            "handler": "sandbox",
            "overhead": overhead,
        }
    )
    yield "sandboxed"
    kubectl.delete("runtimeclass", "sandboxed")


def test_overhead_stays_native(kubectl: Kubectl, namespace: str, runtime_class: str) -> None:
    """The API server demands the RuntimeClass's own overhead, so it is left as it is."""
    made = pod("sandboxed", runtimeClassName=runtime_class)
    made["metadata"]["namespace"] = namespace
    stored = kubectl.create(made)
    assert_be(stored)
    assert stored["spec"]["overhead"] == {"cpu": "250m", "memory": "120Mi"}


def test_pod_level_resources_are_dissolved(kubectl: Kubectl, namespace: str) -> None:
    """What the pod asks for as a whole goes to its containers, with a warning."""
    figures = {"cpu": "2", "memory": "2Gi"}
    bare = [{"name": "a", "image": "none"}, {"name": "b", "image": "none"}]
    made = pod("as-a-whole", containers=bare, resources={"requests": figures, "limits": figures})
    made["metadata"]["namespace"] = namespace
    warnings = kubectl.warnings(made)
    stored = kubectl.get("pod", "as-a-whole", namespace=namespace)
    # Half of 2Gi, in bytes: a share has no text of the user's to keep.
    assert_be(stored, {"kubernetes.io/batch-cpu": "1k", "kubernetes.io/batch-memory": str(2**30)})
    assert stored["spec"]["containers"][1]["resources"] == stored["spec"]["containers"][0]["resources"]
    assert not stored["spec"].get("resources")
    assert "spec.resources" in warnings


def test_init_containers_and_native_sidecars(kubectl: Kubectl, namespace: str) -> None:
    """Both kinds of init containers are translated."""
    first = container("first", "1", "64Mi")
    sidecar = container("sidecar", "100m", "32Mi") | {"restartPolicy": "Always"}
    made = pod("with-init", initContainers=[first, sidecar])
    made["metadata"]["namespace"] = namespace
    stored = kubectl.create(made)
    assert_be(stored)
    requests = [each["resources"]["requests"] for each in stored["spec"]["initContainers"]]
    assert requests == [
        {"kubernetes.io/batch-cpu": "1k", "kubernetes.io/batch-memory": "64Mi"},
        {"kubernetes.io/batch-cpu": "100", "kubernetes.io/batch-memory": "32Mi"},
    ]


def test_server_dry_run(kubectl: Kubectl, namespace: str) -> None:
    """The same answer, and nothing is stored."""
    made = pod("not-stored")
    made["metadata"]["namespace"] = namespace
    assert_be(kubectl.create(made, dry_run=True))
    assert kubectl.items("pods", namespace=namespace) == []


def test_resize_adds_nothing_native(kubectl: Kubectl, namespace: str) -> None:
    """``pods/resize`` cannot give native resources to a pod that has batch ones; the reason is said.

    The pod keeps native memory beside, or the API server itself would refuse the resize before it asks,
    because it changes the QoS class.
    """
    batch = {"kubernetes.io/batch-cpu": "1k"}
    containers = [
        container("native"),
        {"name": "batch", "image": "none", "resources": {"requests": batch, "limits": batch}},
    ]
    made = pod("resized", {"koordinator.sh/qosClass": "BE"}, containers=containers)
    made["metadata"]["namespace"] = namespace
    made["spec"] |= {"priorityClassName": "koord-free"}
    kubectl.create(made)
    change = {"spec": {"containers": [{"name": "batch", "resources": {"requests": {"cpu": "500m"}}}]}}
    with pytest.raises(RefusedError, match=r"denied the request.*resize"):
        kubectl.run(
            "patch", "pod", "resized", "-n", namespace, "--subresource=resize", "-p", json.dumps(change)
        )


def test_the_qos_class_of_a_pod_does_not_change(kubectl: Kubectl, namespace: str) -> None:
    """A later change of the label is refused, by the rule's name."""
    made = pod("fixed")
    made["metadata"]["namespace"] = namespace
    kubectl.create(made)
    with pytest.raises(RefusedError, match="qos-class-immutable"):
        kubectl.run("label", "pod", "fixed", "-n", namespace, "--overwrite", "koordinator.sh/qosClass=LS")


def test_a_pod_that_breaks_the_rules(kubectl: Kubectl, namespace: str) -> None:
    """An LSR pod with a fraction of a CPU is refused, with the rule and the remedy."""
    made = pod("broken", {"koordinator.sh/qosClass": "LSR"}, containers=[container("main", "1500m")])
    made["metadata"]["namespace"] = namespace
    made["spec"]["priorityClassName"] = "koord-prod"
    with pytest.raises(RefusedError, match="whole-cpus"):
        kubectl.create(made)
