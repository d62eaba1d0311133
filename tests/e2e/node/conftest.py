"""One control plane with one real node for the tests of this folder; the machine is as before afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.node.chart import suppressing as suppression
from tests.e2e.node.chart.release import Release
from tests.e2e.node.machine.needs import HERE, lacking
from tests.e2e.node.machine.node import Node
from tests.e2e.node.machine.remains import left_as_found
from tests.e2e.node.workloads import spark
from tests.e2e.node.workloads.colocated import Colocated
from tests.e2e.node.workloads.pods import BATCH_CPU, BATCH_MEMORY, DRIVER, burner, offer, wait_for_room
from tests.e2e.release.rendering import Helm
from tests.image.build import built
from tests.lacking import stop_if_lacking


@pytest.fixture(scope="package")
def untouched() -> Iterator[None]:
    """The machine before anything of a node is on it; what is otherwise in the end fails the last test."""
    with left_as_found():
        yield


@pytest.fixture(scope="package")
def pieces() -> None:
    """What a node needs of the machine."""
    done = subprocess.run([HERE / "install.sh"], stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603 — our own script
    installed = "" if done.returncode == 0 else done.stderr.strip() or "install.sh failed"
    stop_if_lacking(installed or "; ".join(lacking()))


@pytest.fixture(scope="package")
def node_control_plane(
    cache: Path, pieces: None, untouched: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane that believes kubelets only, and reaches them by the name of their Node."""
    del pieces, untouched
    # A Service is reached at its pods' address, without kube-proxy.
    flags = ["--kubelet-preferred-address-types=Hostname", "--enable-aggregator-routing=true"]
    folder = tmp_path_factory.mktemp("node-control-plane")
    with ControlPlane(folder, cache, apiserver_flags=flags, heartbeats=True) as running:
        yield running


@pytest.fixture(scope="package")
def node(
    node_control_plane: ControlPlane, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """The node, Ready."""
    with Node(tmp_path_factory.mktemp("node"), node_control_plane.kubectl, cache) as running:
        yield running


@pytest.fixture(scope="package")
def own_image(node: Node, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The project's own image, on the node."""
    folder = tmp_path_factory.mktemp("image")
    with built(folder) as image:
        image.save(folder / "image.tar")
    node.load(folder / "image.tar")


@pytest.fixture(scope="package")
def spark_image(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spark's small image, on the node; the folder is for what tests write besides."""
    folder = tmp_path_factory.mktemp("spark")
    spark.save(folder / "spark.tar")
    node.load(folder / "spark.tar")
    return folder


@pytest.fixture(scope="package")
def release(
    own_image: None, node_control_plane: ControlPlane, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """The chart on the node, from the project's own image."""
    del own_image
    folder = tmp_path_factory.mktemp("release")
    installed = Release(node_control_plane.kubectl, Helm(cache, folder), node_control_plane.url)
    installed.install()
    return installed


@pytest.fixture(scope="package")
def kubectl(node_control_plane: ControlPlane) -> Kubectl:
    """The administrator's kubectl of this control plane, in place of the other one's."""
    return node_control_plane.kubectl


@pytest.fixture
def namespace(kubectl: Kubectl, node: Node) -> Iterator[str]:
    """A namespace; its pods are gone from the node before the next test begins."""
    del node
    name = make_namespace(kubectl, {})
    yield name
    kubectl.run("-n", name, "delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl.delete("namespace", name)


@pytest.fixture(scope="module")
def colocated(kubectl: Kubectl, node: Node, release: Release) -> Iterator[Colocated]:
    """Pods of five kinds, made while the agent only observes."""
    release.set_mode("observe")
    # The webhook lets nobody but a scheduler give a CPU set: this one has been given.
    namespace = make_namespace(kubectl, {"colocation-webhook.io/ignore": "true"})
    yield Colocated(kubectl, node, namespace)
    kubectl.run("-n", namespace, "delete", "pods", "--all", "--grace-period=1", "--timeout=60s")
    kubectl.delete("namespace", namespace)


@pytest.fixture(scope="module")
def _enforcing(release: Release, kubectl: Kubectl) -> None:
    """The agent in the mode enforce, and room for batch pods. Whoever needs another mode says so."""
    release.set_mode("enforce")
    wait_for_room(kubectl, 1500)


@pytest.fixture(scope="module")
def suppressing(release: Release, kubectl: Kubectl, node: Node) -> Iterator[None]:
    """The agent enforces and may suppress, down to one CPU; afterwards it observes again."""
    with suppression.suppressing(release, kubectl, node):
        yield


@pytest.fixture
def _offers_end(kubectl: Kubectl, node: Node) -> Iterator[None]:
    """What a test offers on the node is taken back: the controller leaves another owner's figures alone."""
    del node
    yield
    offer(kubectl, {BATCH_CPU: None, BATCH_MEMORY: None})


@pytest.fixture
def opted_in(kubectl: Kubectl, namespace: str, release: Release) -> str:
    """A namespace that opted in to colocation; the webhook answers."""
    del release
    kubectl.run("label", "namespace", namespace, "koordinator.sh/enable-colocation=true")
    asked = burner(namespace, "asked", figures={"cpu": "1", "memory": "1Gi"}, labels=DRIVER)

    def mutated() -> bool:
        stored = kubectl.create(asked, dry_run=True)
        return bool(stored["metadata"]["labels"].get("koordinator.sh/qosClass") == "BE")

    eventually(mutated, seconds=90, what="a mutated pod")
    return namespace
