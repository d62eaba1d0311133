"""A webhook that asks its clients for certificates answers the chart's scheduler, which shows one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.binding.pods import pod, template
from tests.e2e.binding.service import nodes, take_away
from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import NAMESPACE, Installation
from tests.e2e.scheduling.scheduler import KOORD_SCHEDULER, calls, scheduling, upgrade

SECRET = "shown"  # noqa: S105 — a name


@pytest.fixture
def clients(release: Installation, tmp_path: Path) -> Iterator[Path]:
    """The CA of clients; a certificate of it is in a Secret."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.crt")
    issued = authority.issue_cert(KOORD_SCHEDULER)
    (chain,) = issued.cert_chain_pems
    held = {"tls.crt": chain.bytes(), "tls.key": issued.private_key_pem.bytes()}
    data = {name: base64.b64encode(value).decode() for name, value in held.items()}
    metadata = {"name": SECRET, "namespace": NAMESPACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    release.kubectl.create(secret | {"type": "kubernetes.io/tls"})
    yield tmp_path / "clients.crt"
    release.kubectl.delete("secret", SECRET, namespace=NAMESPACE)


@pytest.mark.usefixtures("installed_scheduler")
def test_only_who_shows_a_certificate_is_answered(
    release: Installation,
    control_plane: ControlPlane,
    cache: Path,
    tmp_path: Path,
    clients: Path,
    new_namespace: Callable[..., str],
) -> None:
    """With the Secret that the chart's value names; without it pods are placed as if nobody was asked."""
    place, kubectl = new_namespace(), release.kubectl
    here = [FakeNode(name="shown-to", shape=(1, 1, 8, 2))]
    try:
        with nodes(kubectl, place, here):
            for secret in (SECRET, ""):
                upgrade(release, tmp_path, {"scheduler": {"clientCertificateSecret": secret}})
                folder = tmp_path / (secret or "none")
                with scheduling(release, control_plane, cache, folder, f"--client-ca={clients}"):
                    _bind(kubectl, place, f"p-{secret or 'none'}")
                    assert (calls(release) > 0) == bool(secret)
    finally:
        take_away(kubectl, place)


def _bind(kubectl: Kubectl, place: str, name: str) -> None:
    made = pod(name, template("LS", "1", pool=place, schedulerName=KOORD_SCHEDULER))
    made["metadata"]["namespace"] = place
    kubectl.create(made)
    look = lambda: kubectl.get("pod", name, namespace=place)["spec"].get("nodeName")  # noqa: E731 — asked again
    eventually(look, seconds=60, what=f"{name} bound")
