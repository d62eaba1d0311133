"""Client certificates: an API server that shows one, as the chart's README configures it.

It has a control plane of its own, whose API server finds the Service through a stand-in for its network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl, RefusedError
from tests.e2e.cluster.network import ClusterNetwork
from tests.e2e.cluster.objects import assert_be, pod
from tests.e2e.cluster.processes import eventually
from tests.e2e.conftest import make_namespace
from tests.e2e.release.deployedpod import DeployedPod
from tests.e2e.release.installation import CHART, NAMESPACE, RELEASE, Installation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The API server's two files, its certificate, and two CAs, one of which made it."""
    folder = tmp_path_factory.mktemp("clients")
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ours.crt")
    other.cert_pem.write_to_path(folder / "other.crt")
    issued = ours.issue_cert("apiserver")
    (chain,) = issued.cert_chain_pems
    chain.write_to_path(folder / "webhooks.crt")
    issued.private_key_pem.write_to_path(folder / "webhooks.key")
    admission, kubeconfig = re.findall(r"```yaml\n(.+?)```", (CHART / "README.md").read_text(), re.DOTALL)
    for name, text in (("admission.yaml", admission), ("webhooks.kubeconfig", kubeconfig)):
        here = text.replace("/etc/kubernetes/pki/", f"{folder}/").replace("/etc/kubernetes/", f"{folder}/")
        (folder / name).write_text(here)
    return folder


@pytest.fixture(scope="module")
def network() -> Iterator[ClusterNetwork]:
    """The Services' network."""
    with ClusterNetwork() as running:
        yield running


@pytest.fixture(scope="module")
def own_control_plane(
    cache: Path, network: ClusterNetwork, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane whose API server has a client certificate for the webhook."""
    place = tmp_path_factory.mktemp("clients-control-plane")
    flags = [f"--admission-control-config-file={folder / 'admission.yaml'}"]
    with ControlPlane(place, cache, network=network.path, apiserver_flags=flags) as running:
        yield running


def colocated(kubectl: Kubectl, namespace: str) -> None:
    """A pod is admitted and mutated."""
    made = pod("probe")
    made["metadata"]["namespace"] = namespace
    assert_be(kubectl.create(made, dry_run=True))


def refused(kubectl: Kubectl, namespace: str, words: str) -> None:
    """A pod is refused with such words, sooner or later."""

    def look() -> bool:
        with pytest.raises(RefusedError) as caught:
            colocated(kubectl, namespace)
        assert words in str(caught.value)
        return True

    eventually(look, what=f"refused: {words}")


def test_only_the_api_server_gets_answers(
    own_control_plane: ControlPlane, network: ClusterNetwork, cache: Path, folder: Path, tmp_path: Path
) -> None:
    """With a certificate of the CA pods are mutated; of another CA or without one they are refused."""
    kubectl = own_control_plane.kubectl
    release = Installation(own_control_plane, cache, tmp_path / "clone")
    place = make_namespace(kubectl, {"koordinator.sh/enable-colocation": "true"})
    chart = [RELEASE, str(CHART)]
    release.helm(
        "install", *chart, "--create-namespace", "--set=exampleProfiles.create=true",
        "--set=webhook.mutating.failurePolicy=Fail", f"--set-file=webhook.clientCA={folder / 'ours.crt'}",
    )  # fmt: skip

    def trust(name: str) -> None:
        release.helm("upgrade", *chart, "--reuse-values", f"--set-file=webhook.clientCA={folder / name}")

    with DeployedPod(release, network, tmp_path / "first"):
        eventually(lambda: colocated(kubectl, place) is None, seconds=60, what="pods are mutated")
    trust("other.crt")
    with DeployedPod(release, network, tmp_path / "second") as running:
        refused(kubectl, place, "unknown certificate authority")
        assert "a client without a certificate of --client-ca was refused (unable to get" in running.log()
        trust("ours.crt")
        eventually(lambda: colocated(kubectl, place) is None, what="the changed CA is taken over")
    own_control_plane.apiserver_flags = ()
    own_control_plane.stop_apiserver()
    own_control_plane.start_apiserver()
    with DeployedPod(release, network, tmp_path / "third") as running:
        refused(kubectl, place, "this webhook asks for a client certificate")
        assert "was refused (none was shown)" in running.log()
    kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")
