"""The API server restarts while pods are created all the time."""

from __future__ import annotations

import time

from tests.e2e.cluster.controlplane import ControlPlane
from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.objects import pod
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation
from tests.e2e.reliability.load import Creators


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
