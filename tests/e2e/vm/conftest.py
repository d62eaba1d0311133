"""A control plane on this machine, one node in a virtual machine; this machine is as before afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.conftest import make_namespace
from tests.e2e.figures import show
from tests.e2e.node.machine.node import FIGURES
from tests.e2e.node.machine.remains import left_as_found
from tests.e2e.release.installation import Installation
from tests.e2e.release.readme import install
from tests.e2e.vm.machine.guest import Guest
from tests.e2e.vm.machine.qemu import HOST
from tests.e2e.vm.machine.shape import PLAIN
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
def guest(
    release: Installation, root: Path, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    """The node, Ready: 16 CPUs, cgroup v2, driver systemd."""
    del release
    with Guest(tmp_path_factory.mktemp("vm"), root, kubectl, PLAIN) as running:
        show(f"virtual machine {PLAIN.name}", running.seconds, FIGURES)
        yield running


@pytest.fixture
def namespace(kubectl: Kubectl, guest: Guest) -> Iterator[str]:
    """A namespace of a test."""
    del guest
    name = make_namespace(kubectl, {})
    yield name
    kubectl.delete("namespace", name)
