"""Item 6: the API server restarts while pods are created all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.controlplane import ControlPlane
from tests.e2e.installation import Installation
from tests.e2e.kubectl import Kubectl
from tests.e2e.load import Creators
from tests.e2e.objects import pod
from tests.e2e.processes import eventually


@pytest.fixture
def restartable(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane; its API server runs again afterwards, whatever happened."""
    yield control_plane
    if not control_plane.process("kube-apiserver").running:
        control_plane.start_apiserver()


def test_restart_of_the_api_server(
    restartable: ControlPlane, release: Installation, kubectl: Kubectl, namespace: str
) -> None:
    """Once it is back no pod is refused; no pod that was ever stored is unmutated."""
    with Creators(restartable, namespace) as creators:
        eventually(lambda: creators.created() > 50, what="pods created before")
        restartable.stop_apiserver()
        time.sleep(3)
        restartable.start_apiserver()
        back = time.monotonic()
        eventually(lambda: creators.created(back) > 200, seconds=60, what="pods created after")
    assert creators.failed(since=back) == []
    books = creators.books()
    assert books.stored >= books.created
    assert books.unmutated == 0
    creators.clear()
    # The watches are back, too: a change is seen.
    eventually(lambda: release.readiness()["ready"], what="webhook ready")
    kubectl.run("label", "namespace", namespace, "koordinator.sh/enable-colocation-")

    def left_alone() -> bool:
        made = pod("probe")
        made["metadata"]["namespace"] = namespace
        return "koordinator.sh/qosClass" not in kubectl.create(made, dry_run=True)["metadata"]["labels"]

    eventually(left_alone, seconds=60, what="the changed label is seen")
