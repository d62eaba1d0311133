"""Figures that fall under what a running batch pod requests, and a kubelet that starts again.

A kubelet that starts admits the pods that run already once more, against the figures of its Node. That is why
the capacity controller never publishes less than bound batch pods request (docs/capacity.md, "Floor").
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.capacity.controller import Controller, install, measure
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import BATCH_CPU, BATCH_MEMORY, batch, burner, container, offer, running
from tests.e2e.release.rendering import Helm

LATE = 16 * 60.0
"""Seconds after which figures are withdrawn: degradeTimeMinutes is 15."""


@pytest.fixture(scope="module")
def controller(kubectl, node, cache, tmp_path_factory):
    """The chart's controller with the chart's account, beside the node."""
    del node
    helm = Helm(cache, tmp_path_factory.mktemp("capacity-render"))
    installed = install(kubectl, helm)
    yield Controller(kubectl, helm, tmp_path_factory.mktemp("controller"))
    kept = [each for each in installed if each["kind"] != "CustomResourceDefinition"]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
    kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=listed)
    # Helm installs these itself, and refuses what somebody else has made.
    kubectl.run("delete", "crd", "nodemetrics.slo.koordinator.sh", "nodeslos.slo.koordinator.sh")


def published(kubectl):
    """The state that the controller notes at the node, and the figure of batch CPU."""
    stored = kubectl.get("node", NAME)
    noted = json.loads(stored["metadata"]["annotations"]["colocation-webhook.io/batch-capacity"])
    return noted["state"], stored["status"]["allocatable"].get(BATCH_CPU)


def reasons(kubectl, namespace):
    """Why there are Events in a namespace."""
    return {each["reason"] for each in kubectl.items("events", namespace=namespace)}


def test_a_running_pod_outlives_every_fall_of_the_figures(kubectl, node, namespace, controller):
    """Lowered, late, withdrawn, without a controller: the same container runs after each new kubelet."""
    with controller.running():
        eventually(lambda: kubectl.get("nodemetric", NAME), what="NodeMetric")
        measure(kubectl, NAME, {}, system="100m")
        eventually(lambda: published(kubectl) == ("applied", "1100"), what="1.1 cores offered")
        kubectl.create(batch(namespace, "batch", cpu="600", memory="64Mi"))
        before = container(running(kubectl, namespace, "batch"))

        def still_runs():
            node.stop("kubelet")
            node.start_kubelet()
            # It admits pods one after another: those that it finds are admitted before one that comes now.
            kubectl.create(burner(namespace, "later"))
            running(kubectl, namespace, "later")
            kubectl.run("-n", namespace, "delete", "pod", "later", "--grace-period=1")
            assert f"OutOf{BATCH_CPU}" not in reasons(kubectl, namespace)
            stored = running(kubectl, namespace, "batch")
            assert container(stored) == before
            assert stored["status"]["containerStatuses"][0]["restartCount"] == 0

        for state, metric in (
            ("applied", {"system": "2"}),
            ("held", {"age": 300.0}),
            ("withdrawn", {"age": LATE}),
        ):
            measure(kubectl, NAME, {}, **metric)
            eventually(lambda state=state: published(kubectl) == (state, "600"), what=f"the floor, {state}")
            still_runs()
    said = controller.withdraw()
    assert f"{NAME}: keeps what bound pods request" in said
    still_runs()


@pytest.mark.usefixtures("_offers_end")
@pytest.mark.parametrize("figure", ["500", None], ids=["lowered", "withdrawn"])
def test_without_the_floor_a_new_kubelet_ends_the_pod(kubectl, node, namespace, figure):
    """The reason for the floor: an Event says that the node has not enough, the containers end."""
    offer(kubectl, {BATCH_CPU: "1000", BATCH_MEMORY: "1Gi"})
    kubectl.create(batch(namespace, "batch", cpu="600", memory="64Mi"))
    running(kubectl, namespace, "batch")
    offer(kubectl, {BATCH_CPU: figure})
    node.stop("kubelet")
    node.start_kubelet()

    def ended():
        return kubectl.get("pod", "batch", namespace=namespace)["status"]["phase"] in {"Failed", "Succeeded"}

    eventually(ended, what="the pod ended")
    eventually(lambda: f"OutOf{BATCH_CPU}" in reasons(kubectl, namespace), what="the Event about it")
