"""The Spark pods of a SparkApplication, through ``kubectl create``, as the API server stores them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.binaries import ROOT
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.objects import assert_be
from tests.e2e.release.installation import Installation

REVIEWS = ROOT / "tests" / "data" / "reviews"
FIGURES = {"kubernetes.io/batch-cpu": "1k", "kubernetes.io/batch-memory": "3456Mi"}


def spark_pod(path: Path) -> dict[str, Any]:
    """The pod of a recorded review, as its creator sent it."""
    pod: dict[str, Any] = json.loads(path.read_text())["request"]["object"]
    metadata = pod["metadata"]
    for name in ("managedFields", "namespace", "ownerReferences", "uid", "creationTimestamp"):
        metadata.pop(name, None)
    # What the API server had put there, for another cluster.
    for name in ("priority", "preemptionPolicy", "serviceAccount", "serviceAccountName"):
        pod["spec"].pop(name, None)
    pod.pop("status", None)
    return pod


@pytest.mark.parametrize(
    "name",
    ["spark-operator-driver", "spark-operator-executor", "spark-submit-driver", "spark-submit-executor"],
)
def test_spark_pods(release: Installation, kubectl: Kubectl, namespace: str, name: str) -> None:
    """Driver and executor end with QoS BE and batch resources of 1000 and 3456Mi, and nothing native."""
    del release
    pod = spark_pod(REVIEWS / f"{name}.json")
    pod["metadata"]["namespace"] = namespace
    kubectl.create(pod)
    stored = kubectl.get("pod", pod["metadata"]["name"], namespace=namespace)
    assert_be(stored, FIGURES)
    assert stored["metadata"]["labels"]["koordinator.sh/priority"] == "1000"
    spec = json.loads(stored["metadata"]["annotations"]["node.koordinator.sh/extended-resource-spec"])
    (figures,) = spec["containers"].values()
    assert figures["requests"] == {"kubernetes.io/batch-cpu": "1000", "kubernetes.io/batch-memory": "3456Mi"}
    assert stored["status"]["qosClass"] == "BestEffort"


def test_the_scheduler_binds_them(kubectl: Kubectl, namespace: str, batch_node: str) -> None:
    """A node that advertises batch resources takes the pod; kube-scheduler counts them like any others."""
    pod = spark_pod(REVIEWS / "spark-operator-driver.json")
    pod["metadata"]["namespace"] = namespace
    kubectl.create(pod)
    kubectl.run(
        "-n",
        namespace,
        "wait",
        f"pod/{pod['metadata']['name']}",
        "--for=condition=PodScheduled",
        "--timeout=30s",
    )
    stored = kubectl.get("pod", pod["metadata"]["name"], namespace=namespace)
    assert stored["spec"]["nodeName"] == batch_node
