"""The manifests of the project's seeds, unchanged, under the chart's scheduler with the seed's own settings.

The settings are what ``scheduler translate`` prints of the seed's ``koord-scheduler-config``. Nodes are
objects without machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.cpusetchecker.facts import STATUS
from tests.e2e.admission.test_spark_pods import FIGURES, REVIEWS, spark_pod
from tests.e2e.binding.service import IN, ledger
from tests.e2e.cluster.binaries import find
from tests.e2e.cluster.controlplane import SCHEDULERS, ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.objects import assert_be
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import Installation
from tests.e2e.scheduling.pool import Pool
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, LEADS, scheduling, upgrade
from tests.ports import free_ports

FOUR = list(yaml.safe_load_all((Path(__file__).parent / "four-deployments.yaml").read_text()))
COLOCATED = {"koordinator.sh/enable-colocation": "true"}
PROFILE = {
    "apiVersion": "config.koordinator.sh/v1alpha1",
    "kind": "ClusterColocationProfile",
    "metadata": {"name": "spark-demo"},
    "spec": {
        "namespaceSelector": {"matchLabels": COLOCATED},
        "selector": {"matchLabels": {"sparkoperator.k8s.io/launched-by-spark-operator": "true"}},
        "qosClass": "BE",
        "priorityClassName": "koord-batch",
        "koordinatorPriority": 1000,
        "schedulerName": KOORD_SCHEDULER,
    },
}
"""The seed's; the chart's example of this name names no scheduler unless told so."""

RESOURCE_SPEC = "node.koordinator.sh/extended-resource-spec"


@pytest.fixture
def pool(release: Installation, new_namespace: Callable[..., str]) -> Iterator[Pool]:
    """Two nodes of 16 CPUs, and a namespace that opted in to all."""
    here = Pool(release.kubectl, new_namespace({**IN, **COLOCATED}), release.port)
    yield here
    here.end()


@pytest.mark.usefixtures("installed_scheduler")
def test_the_seeds_pods(
    translated: Object,
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    pool: Pool,
) -> None:
    """The four deployments and a SparkApplication's pods: mutated, scheduled, given their CPUs and bound."""
    kubectl = release.kubectl
    upgrade(release, tmp_path, {"scheduler": translated["values"]["scheduler"]})
    with scheduling(release, control_plane, cache, tmp_path / "scheduler"):
        nodes = {pool.add("node-a", 8), pool.add("node-b", 8)}
        kubectl.apply(PROFILE)
        try:
            _four(pool, nodes)
            eventually(lambda: _ready(kubectl), what="the profile is known")
            _spark(pool, nodes)
        finally:
            patch = '{"spec":{"schedulerName":null}}'  # as the installation made it
            kubectl.run("patch", "clustercolocationprofile", "spark-demo", "--type=merge", "-p", patch)


def _four(pool: Pool, nodes: set[str]) -> None:
    kubectl = pool.kubectl
    for made in FOUR:
        kubectl.run("-n", pool.namespace, "create", "-f", "-", stdin=json.dumps(made))

    def placed() -> list[Object]:
        names = ",".join(each["metadata"]["name"] for each in FOUR)
        pods = kubectl.items("pods", namespace=pool.namespace, selector=f"app in ({names})")
        assert len(pods) == 4
        assert all(each["spec"].get("nodeName") for each in pods), [each["status"] for each in pods]
        return pods

    pods = {each["metadata"]["labels"]["app"]: each for each in eventually(placed, seconds=60, what="placed")}
    assert {each["spec"]["schedulerName"] for each in pods.values()} == {KOORD_SCHEDULER}
    assert {each["spec"]["nodeName"] for each in pods.values()} <= nodes
    said = {name: each["metadata"].get("annotations", {}) for name, each in pods.items()}
    assert json.loads(said["nginx-be"][RESOURCE_SPEC])["containers"]["nginx"]["requests"]
    given = {name: json.loads(each[STATUS])["cpuset"] for name, each in said.items() if STATUS in each}
    assert given.keys() == {"nginx-lse", "nginx-lsr"}
    held = [(entry["qosClass"], entry["cpuset"]) for node in sorted(nodes) for entry in ledger(kubectl, node)]
    assert sorted(held) == [("LSE", given["nginx-lse"]), ("LSR", given["nginx-lsr"])]


def _ready(kubectl: Kubectl) -> bool:
    stored = kubectl.get("clustercolocationprofile", "spark-demo")
    assert stored["status"]["observedGeneration"] == stored["metadata"]["generation"]
    conditions = {each["type"]: each["status"] for each in stored["status"]["conditions"]}
    return conditions["Ready"] == "True"


def _spark(pool: Pool, nodes: set[str]) -> None:
    for role in ("driver", "executor"):
        pod = spark_pod(REVIEWS / f"spark-operator-{role}.json")
        pod["metadata"]["namespace"] = pool.namespace
        pool.kubectl.create(pod)
        name = pod["metadata"]["name"]
        assert pool.bound(name) in nodes
        assert_be(pool.stored(name), FIGURES, scheduler=KOORD_SCHEDULER)


@pytest.mark.usefixtures("installed_scheduler")
def test_the_translated_configuration_places_pods(
    translated: Object,
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    pool: Pool,
) -> None:
    """A stock kube-scheduler starts with it as it is printed, leads by its own Lease, and binds a pod."""
    configuration = translated["configuration"]
    elected = configuration["leaderElection"]
    kubectl = release.kubectl
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elected["resourceNamespace"]}}
    kubectl.apply(place)
    file = tmp_path / "scheduler.yaml"
    connection = {"clientConnection": {"kubeconfig": str(control_plane.kubeconfig)}}
    file.write_text(json.dumps(configuration | connection))
    (port,) = free_ports(1)
    command = [str(find("kube-scheduler", cache)), f"--config={file}", f"--secure-port={port}", "-v=2"]
    control_plane.schedule_for("default-scheduler")
    try:
        process = Process("translated", command, tmp_path / "log", env=os.environ, cwd=tmp_path)
        with stopping(process):
            eventually(lambda: LEADS in process.log(), seconds=60, what="the scheduler leads")
            node = pool.add("node", 8)
            pool.send("batch", "BE", "1k")
            assert pool.bound("batch") == node
            assert kubectl.get("lease", elected["resourceName"], namespace=elected["resourceNamespace"])
    finally:
        control_plane.schedule_for(*SCHEDULERS)
        kubectl.delete("namespace", elected["resourceNamespace"])
