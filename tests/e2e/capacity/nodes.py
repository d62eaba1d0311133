"""What the nodes of these tests offer, and who is bound to them."""

from __future__ import annotations

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.cluster.processes import eventually

POOL = "capacity"
BATCH_CPU = "kubernetes.io/batch-cpu"


def offered(kubectl: Kubectl, node: str) -> int | None:
    """What a node says of its batch CPU in milli-cores, None where it says nothing."""
    found: str | None = kubectl.get("node", node)["status"]["allocatable"].get(BATCH_CPU)
    return None if found is None else int(found.replace("k", "000"))


def wait_until_offered(kubectl: Kubectl, node: str, amount: int | None) -> None:
    """Wait until a node says so much."""

    def look() -> bool:
        seen = offered(kubectl, node)
        assert seen == amount, f"{node} offers {seen}"
        return True

    eventually(look, what=f"{amount} offered")


def node_of(kubectl: Kubectl, namespace: str, name: str) -> str:
    """The node a pod is bound to, "" while it waits."""
    found: str = kubectl.get("pod", name, namespace=namespace)["spec"].get("nodeName", "")
    return found
