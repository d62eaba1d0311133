"""certs/README.md, as written: three ways to certificates, each with the webhook behind its Service.

They have a control plane of their own, whose API server finds the Service through a stand-in for its network.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import certmanager
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.network import ClusterNetwork
from tests.e2e.cluster.objects import assert_be, pod
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.release.deployedpod import DeployedPod
from tests.e2e.release.installation import NAMESPACE, RELEASE, Installation
from tests.e2e.release.readme import cert_manager, managed, own_files

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def network() -> Iterator[ClusterNetwork]:
    """The Services' network."""
    with ClusterNetwork() as running:
        yield running


@pytest.fixture(scope="module")
def own_control_plane(
    cache: Path, network: ClusterNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane without any release."""
    with ControlPlane(tmp_path_factory.mktemp("certificates"), cache, network=network.path) as running:
        yield running


@pytest.fixture
def clone(own_control_plane: ControlPlane, cache: Path, tmp_path: Path) -> Iterator[Installation]:
    """A shell in a clone; what it installs is gone when the test is over, and so are its namespaces."""
    installation = Installation(own_control_plane, cache, tmp_path / "clone")
    yield installation
    installation.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")
    kubectl = own_control_plane.kubectl
    kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def deployed(clone: Installation, network: ClusterNetwork, tmp_path: Path) -> Callable[[], DeployedPod]:
    """The Deployment's pod, to be entered once the release is installed."""
    return lambda: DeployedPod(clone, network, tmp_path / "pod")


@pytest.fixture
def colocated(own_control_plane: ControlPlane) -> Callable[[], None]:
    """Create a pod, refused where the webhook cannot be reached, and see that it is colocated."""
    kubectl = own_control_plane.kubectl
    namespace = make_namespace(kubectl, {"koordinator.sh/enable-colocation": "true"})

    def create() -> None:
        made = pod(f"pod-{next(NUMBERS)}")
        made["metadata"]["namespace"] = namespace
        assert_be(kubectl.create(made))

    return create


def authorities(kubectl: Kubectl) -> list[str]:
    """The CAs of the mutating configuration, each in PEM."""
    (webhook,) = kubectl.get("mutatingwebhookconfiguration", RELEASE)["webhooks"]
    bundle = base64.b64decode(webhook["clientConfig"].get("caBundle", "")).decode()
    end = "-----END CERTIFICATE-----"
    return [each.strip() + end for each in bundle.split(end)[:-1]]


def in_turn(pod_: DeployedPod, script: Callable[[], object]) -> None:
    """Run commands, and wait until the webhook shows another certificate than before, all by itself."""
    before = pod_.chain()
    script()
    eventually(lambda: pod_.chain() != before, what="another certificate served")


def test_the_webhook_itself(
    clone: Installation, deployed: Callable[[], DeployedPod], colocated: Callable[[], None]
) -> None:
    """Installing is all; both rotations are had for the asking, and a new CA is trusted beside the old."""
    commands = managed()
    clone.shell(commands.installing)
    with deployed() as running:
        eventually(lambda: colocated() is None, what="a colocated pod")
        assert f"{RELEASE}.{NAMESPACE}.svc" in clone.shell(commands.showing)
        (before,) = authorities(clone.kubectl)
        in_turn(running, lambda: clone.shell(commands.rotating_leaf))
        colocated()
        assert authorities(clone.kubectl) == [before]
        clone.shell(commands.rotating_authority)
        eventually(lambda: len(authorities(clone.kubectl)) == 2, what="two CAs")
        assert before in authorities(clone.kubectl)
        colocated()


def test_cert_manager(
    own_control_plane: ControlPlane,
    clone: Installation,
    deployed: Callable[[], DeployedPod],
    colocated: Callable[[], None],
    tmp_path: Path,
) -> None:
    """It makes the Secret, its cainjector fills in the CA; what it renews is served without a restart."""
    commands = cert_manager()
    with certmanager.running(own_control_plane, tmp_path / "cert-manager"):
        assert "condition met" in clone.shell(commands.installing)
        printed = eventually(lambda: clone.shell(commands.looking).strip(), what="caBundle")
        assert base64.b64decode(printed).startswith(b"-----BEGIN CERTIFICATE-----")
        before = authorities(clone.kubectl)
        with deployed() as running:
            eventually(lambda: colocated() is None, what="a colocated pod")
            in_turn(running, lambda: clone.shell(commands.renewing))
            colocated()
        assert authorities(clone.kubectl) == before


def test_files_of_your_own(
    clone: Installation, deployed: Callable[[], DeployedPod], colocated: Callable[[], None]
) -> None:
    """A new certificate, then a new CA in three steps: pods are colocated after each."""
    commands = own_files()
    clone.shell(commands.installing)
    with deployed() as running:
        eventually(lambda: colocated() is None, what="a colocated pod")
        (before,) = authorities(clone.kubectl)
        in_turn(running, lambda: clone.shell(commands.renewing))
        colocated()
        clone.shell(commands.trusting_both)
        assert before in authorities(clone.kubectl)
        assert len(authorities(clone.kubectl)) == 2
        colocated()
        in_turn(running, lambda: clone.shell(commands.serving_new))
        colocated()
        clone.shell(commands.trusting_new)
        assert len(authorities(clone.kubectl)) == 1
        assert before not in authorities(clone.kubectl)
        colocated()
