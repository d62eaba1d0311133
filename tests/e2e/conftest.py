"""One control plane and one installation for the whole run; a namespace for each test."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.binaries import built
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode, make_bare
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.order import FOLDER, place
from tests.e2e.release.installation import Installation
from tests.e2e.release.readme import install
from tests.e2e.release.rendering import Helm
from tests.e2e.release.service import Service, serving

pytest.register_assert_rewrite("tests.e2e.cluster.objects")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of this folder into their order; tests of other folders go first."""
    items.sort(key=lambda item: place(item.path) if item.path.is_relative_to(FOLDER) else -1)


@pytest.fixture(scope="session", autouse=True)
def _ended_by_term() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, with every finalizer: nothing that was started is left."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the binaries are."""
    return built()


@pytest.fixture(scope="session")
def control_plane(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The four processes, with a node that has something to give."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), cache) as running:
        yield running


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """The administrator's kubectl."""
    return control_plane.kubectl


@pytest.fixture(scope="session")
def bare(control_plane: ControlPlane, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A shell for commands; nothing is installed by it."""
    return Installation(control_plane, cache, tmp_path_factory.mktemp("clone") / "clone")


@pytest.fixture(scope="session")
def in_cluster(bare: Installation) -> dict[str, str]:
    """The README's installation in the cluster: what its two blocks printed."""
    commands = install()
    return {"install": bare.shell(commands.in_cluster), "opt in": bare.shell(commands.opting_in)}


@pytest.fixture(scope="session")
def release(bare: Installation, in_cluster: dict[str, str]) -> Iterator[Installation]:
    """The release, pointing out of the cluster, and the webhook with the chart's account."""
    del in_cluster
    commands = install()
    bare.shell(commands.pointing_out)
    bare.serve()
    yield bare
    bare.stop()


@pytest.fixture
def restartable(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane; its API server runs again afterwards, whatever happened."""
    yield control_plane
    if not control_plane.process("kube-apiserver").running:
        control_plane.start_apiserver()


@pytest.fixture(scope="module")
def service(
    release: Installation, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The chart's replicas behind one address, under ``Fail``; a test leaves as many, ready."""
    with serving(release, Helm(cache, tmp_path_factory.mktemp("service"))) as running:
        yield running


@pytest.fixture
def namespace(release: Installation) -> Iterator[str]:
    """A namespace that opted in to colocation."""
    name = make_namespace(release.kubectl, {"koordinator.sh/enable-colocation": "true"})
    yield name
    release.kubectl.delete("namespace", name)


@pytest.fixture
def new_namespace(release: Installation) -> Iterator[Callable[..., str]]:
    """Make namespaces with labels; they go when the test is over."""
    made: list[str] = []

    def make(labels: dict[str, str] | None = None) -> str:
        made.append(make_namespace(release.kubectl, labels or {}))
        return made[-1]

    yield make
    if made:
        release.kubectl.delete("namespace", *made)


def make_namespace(kubectl: Kubectl, labels: dict[str, str]) -> str:
    """Make a namespace of a new name."""
    name = f"e2e-{secrets.token_hex(4)}"
    kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    # Pods need its service account.
    eventually(lambda: kubectl.get("serviceaccount", "default", namespace=name), what="default account")
    return name


@pytest.fixture(scope="session")
def batch_node(kubectl: Kubectl) -> str:
    """A node that advertises batch resources; nothing runs on it."""
    node = FakeNode(name="batch-node", shape=(2, 2, 16, 2))
    make_bare(kubectl, "batch", [node])
    return node.name
