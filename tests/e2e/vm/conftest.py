"""A control plane on this machine, one node in a virtual machine; this machine is as before afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.binding.service import IN
from tests.e2e.capacity.controller import Controller
from tests.e2e.capacity.controller import install as install_controller
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.figures import show
from tests.e2e.node.chart.release import NAMESPACE as AGENTS
from tests.e2e.node.chart.release import Release
from tests.e2e.node.chart.strategy import ask
from tests.e2e.node.machine.node import FIGURES, NAME
from tests.e2e.node.machine.remains import left_as_found
from tests.e2e.node.workloads.pods import offered
from tests.e2e.release.installation import Installation
from tests.e2e.release.readme import install
from tests.e2e.release.rendering import Helm
from tests.e2e.scheduling.scheduler import scheduling, switched_on
from tests.e2e.vm.machine.guest import SECONDS, Guest
from tests.e2e.vm.machine.qemu import HOST
from tests.e2e.vm.machine.shape import PLAIN, Shape
from tests.e2e.vm.seed import STRATEGY, enforce
from tests.image.build import built
from tests.lacking import stop_if_lacking

BUILD = Path(__file__).parent / "build.sh"


@pytest.fixture(scope="package")
def root() -> Path:
    """What a virtual machine is made of."""
    done = subprocess.run([BUILD], capture_output=True, text=True, check=False)  # noqa: S603 — our own script
    stop_if_lacking((done.stderr.strip() or "build.sh failed") if done.returncode else "")
    return Path(done.stdout.strip())


@pytest.fixture(scope="package")
def untouched(root: Path) -> Iterator[None]:
    """This machine before anything else; what is otherwise in the end fails the last test."""
    del root
    with left_as_found():
        yield


@pytest.fixture(scope="package")
def control_plane(
    cache: Path, untouched: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane that believes kubelets only; its certificate holds for where the machine finds it."""
    del untouched
    flags = ["--kubelet-preferred-address-types=Hostname", f"--advertise-address={HOST}"]
    folder = tmp_path_factory.mktemp("vm-control-plane")
    with ControlPlane(folder, cache, apiserver_flags=flags, heartbeats=True) as running:
        yield running


@pytest.fixture(scope="package")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """The administrator's kubectl of this control plane, in place of the other one's."""
    return control_plane.kubectl


@pytest.fixture(scope="package")
def release(
    control_plane: ControlPlane, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart, and its webhook on this machine; installed before there is a node, so that no pod starts."""
    installed = Installation(control_plane, cache, tmp_path_factory.mktemp("vm-clone") / "clone")
    commands = install()
    for each in (commands.in_cluster, commands.opting_in, commands.pointing_out):
        installed.shell(each)
    installed.serve()
    yield installed
    installed.stop()


@pytest.fixture(scope="package")
def own_image(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own image, in an archive."""
    del root
    folder = tmp_path_factory.mktemp("image")
    with built(folder) as image:
        image.save(folder / "image.tar")
    return folder / "image.tar"


@pytest.fixture(scope="package", params=[PLAIN], ids=str)
def guest(
    request: pytest.FixtureRequest,
    release: Installation,
    root: Path,
    own_image: Path,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guest]:
    """The node, Ready; of another shape where a test says so."""
    del release
    shape: Shape = request.param
    with Guest(tmp_path_factory.mktemp("vm"), root, kubectl, shape, own_image) as running:
        show(f"virtual machine {shape}", running.seconds, FIGURES)
        yield running


@pytest.fixture(scope="package")
def _deciding(
    release: Installation, control_plane: ControlPlane, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Of the chart what decides, on this machine beside the webhook: CPU sets, scheduler, controller."""
    kubectl, folder = release.kubectl, tmp_path_factory.mktemp("vm-deciding")
    helm = Helm(cache, folder)
    install_controller(kubectl, helm)
    with (
        switched_on(release, folder),
        Controller(kubectl, helm, folder).running(),
        # An emulated processor that waits for a real one seems busy.
        scheduling(release, control_plane, cache, folder / "scheduler", load=False),
    ):
        yield


@pytest.fixture(scope="package")
def agent(
    _deciding: None,
    guest: Guest,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Release:
    """The agent, a pod of the DaemonSet: it enforces and suppresses, and there is room for batch pods."""
    kubectl = guest.kubectl
    url = f"https://{HOST}:{control_plane.port}"
    installed = Release(kubectl, Helm(cache, tmp_path_factory.mktemp("agent")), url, network=True)
    with guest.timed("agent"):
        enforce(installed)
        ask(kubectl, STRATEGY)
        eventually(lambda: _described(kubectl), seconds=SECONDS, what="the node's topology")
        eventually(lambda: offered(kubectl) >= 2000, seconds=SECONDS, what="room for batch pods")
    show(f"virtual machine {guest.shape}, agent", guest.seconds, FIGURES)
    return installed


def _described(kubectl: Kubectl) -> bool:
    """Whether the agent has described this node, not one before it of the same name."""
    (owner,) = kubectl.get("noderesourcetopology", NAME)["metadata"]["ownerReferences"]
    return bool(owner["uid"] == kubectl.get("node", NAME)["metadata"]["uid"])


@pytest.fixture
def namespace(kubectl: Kubectl, guest: Guest) -> Iterator[str]:
    """A namespace that opted in to CPU sets; no pod of a test before is on the node any more."""

    def alone() -> bool:
        listed = kubectl.run("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.namespace}").stdout
        assert set(listed.split()) <= {AGENTS}, listed
        return True

    eventually(alone, seconds=SECONDS, what=f"{guest.name} without pods")
    name = make_namespace(kubectl, IN)
    yield name
    kubectl.delete("namespace", name)
