"""A real ``spark-submit`` on a plain cluster: webhook, controller, the stock kube-scheduler.

There is no kubelet and no agent: NodeMetrics are the test's, and pods that are bound stay Pending.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.capacitymodel.model import recompute
from tests.capacitymodel.test_model import assert_same
from tests.e2e.capacity.controller import CONFIG, Controller, measure
from tests.e2e.capacity.nodes import POOL, offered, wait_until_offered
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import Process, eventually, stopping
from tests.e2e.release.installation import Installation
from tests.e2e.release.sparksubmit import (
    CLUSTER_MODE,
    client_mode,
    environment,
    make_account,
    spark_pods,
    submit,
)

ONLY_HERE = {"spark_kubernetes_node_selector_pool": POOL}
BATCH_CPU = "kubernetes.io/batch-cpu"
HELD_SECONDS, WITHDRAWN_SECONDS = 300.0, 1000.0


class Spark:
    """One namespace in which applications are submitted."""

    def __init__(
        self, control_plane: ControlPlane, release: Installation, namespace: str, folder: Path
    ) -> None:
        self.kubectl = control_plane.kubectl
        self._control_plane = control_plane
        self._namespace = namespace
        self._folder = folder
        self._env = environment(release.env)
        make_account(self.kubectl, namespace)

    def submit_driver(self) -> None:
        """Submit an application in cluster mode: one driver pod."""
        command = submit(self._control_plane, self._namespace, *CLUSTER_MODE, **ONLY_HERE)
        done = subprocess.run(  # noqa: S603 — our own command line
            command, env=self._env, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, done.stderr[-4000:]

    def client(self) -> Process:
        """Submit one in client mode: two executor pods, for as long as the process runs."""
        command = submit(self._control_plane, self._namespace, *client_mode(self._folder), **ONLY_HERE)
        log = self._folder / "spark.log"
        return Process("spark-submit", command, log, env=self._env, cwd=self._folder)

    def placed(self) -> dict[str, str]:
        """The node of each pod by its uid; "" while it waits. All are BE, and none has ended."""
        found = {}
        for role in ("driver", "executor"):
            for pod in spark_pods(self.kubectl, self._namespace, role):
                assert pod["metadata"]["labels"]["koordinator.sh/qosClass"] == "BE"
                assert BATCH_CPU in pod["spec"]["containers"][0]["resources"]["requests"]
                assert pod["status"]["phase"] == "Pending"
                assert "deletionTimestamp" not in pod["metadata"]
                found[pod["metadata"]["uid"]] = pod["spec"].get("nodeName", "")
        return found

    def wait_until_placed(self, *nodes: str) -> dict[str, str]:
        """Wait until the pods are on these nodes, "" for one that the scheduler has found no room for."""

        def look() -> dict[str, str] | None:
            found = self.placed()
            return found if sorted(found.values()) == sorted(nodes) else None

        found: dict[str, str] = eventually(look, seconds=120, what=f"pods on {nodes}")
        if "" in nodes:
            said = f"Insufficient {BATCH_CPU}"
            eventually(lambda: said in self._said(), seconds=60, what=said)
        return found

    def _said(self) -> str:
        """What the scheduler says of the pods that wait."""
        pods = self.kubectl.items("pods", namespace=self._namespace)
        return " ".join(str(pod["status"].get("conditions")) for pod in pods if "nodeName" not in pod["spec"])


@pytest.fixture
def spark(control_plane: ControlPlane, release: Installation, namespace: str, tmp_path: Path) -> Spark:
    """The place; the release's webhook runs."""
    return Spark(control_plane, release, namespace, tmp_path)


def state(kubectl: Kubectl, node: str) -> object:
    """What the controller says of a node's figures."""
    annotations = kubectl.get("node", node)["metadata"].get("annotations", {})
    return json.loads(annotations.get("colocation-webhook.io/batch-capacity", "{}")).get("state")


def objects(kubectl: Kubectl) -> tuple[list[Object], list[Object], list[Object], Object]:
    """Nodes, pods, NodeMetrics and the ConfigMap."""
    namespace, _, name = CONFIG.partition("/")
    return (
        kubectl.items("nodes"),
        json.loads(kubectl.run("get", "pods", "-A", "-o", "json").stdout)["items"],
        kubectl.items("nodemetrics"),
        kubectl.get("configmap", name, namespace=namespace),
    )


def assert_explained(bare: Installation, node: str) -> None:
    """What `capacity explain` says of a node is what a model makes of the API server's objects."""

    def look() -> tuple[Any, Any] | None:
        before = objects(bare.kubectl)
        explained = json.loads(
            bare.shell(f"colocation-webhook capacity explain {node} --config {CONFIG} -o json")
        )
        return (before, explained) if objects(bare.kubectl) == before else None

    (nodes, pods, metrics, configmap), explained = eventually(look, seconds=60, what="nothing changes")
    now = dt.datetime.now(dt.UTC)
    for metric in metrics:
        if metric["metadata"]["name"] == node and explained["metricAgeSeconds"] is not None:
            measured = dt.datetime.fromisoformat(metric["status"]["updateTime"])
            now = measured + dt.timedelta(seconds=explained["metricAgeSeconds"])
    assert_same(explained, recompute(nodes, pods, metrics, configmap, now)[node])


def test_spark_submit(
    kubectl: Kubectl, bare: Installation, controller: Controller, nodes: list[str], spark: Spark
) -> None:
    """Its pods go where batch work is offered, and as many as that; late metrics let no more in."""
    quiet, busy, unmeasured = nodes
    with controller.running():
        for name in nodes:
            eventually(lambda name=name: kubectl.get("nodemetric", name), seconds=60, what="NodeMetric")
        measure(kubectl, quiet, {"shop/web": "7100m"}, system="500m")
        measure(kubectl, busy, {"shop/web": "16"})
        wait_until_offered(kubectl, quiet, 2000)
        wait_until_offered(kubectl, busy, 0)
        assert offered(kubectl, unmeasured) is None
        spark.submit_driver()
        spark.wait_until_placed(quiet)
        with stopping(spark.client()):
            # A second executor finds no room.
            spark.wait_until_placed(quiet, quiet, "")
            for name in nodes:
                assert_explained(bare, name)
            # The web server needs less: there is room.
            measure(kubectl, quiet, {"shop/web": "1100m"}, system="500m")
            before = spark.wait_until_placed(quiet, quiet, quiet)
            for age, what in ((HELD_SECONDS, "held"), (WITHDRAWN_SECONDS, "withdrawn")):
                measure(kubectl, quiet, {"shop/web": "1100m"}, system="500m", age=age)
                wait_until_offered(kubectl, quiet, 3000)
                eventually(lambda what=what: state(kubectl, quiet) == what, seconds=400, what=what)
                if what == "held":
                    spark.submit_driver()
                after = spark.wait_until_placed(quiet, quiet, quiet, "")
                assert before.items() <= after.items()  # nobody was evicted
                for name in nodes:
                    assert_explained(bare, name)
            # Measured again, the node takes the one that waits.
            measure(kubectl, quiet, {"shop/web": "1100m"}, system="500m")
            after = spark.wait_until_placed(quiet, quiet, quiet, quiet)
            assert before.items() <= after.items()
            assert_explained(bare, quiet)
        controller.withdraw()
        assert offered(kubectl, busy) is None
        assert offered(kubectl, unmeasured) is None
