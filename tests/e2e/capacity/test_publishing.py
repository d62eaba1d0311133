"""The controller on a real API server, and the stock scheduler that believes its figures."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.capacity.controller import CONFIG, Controller, measure
from tests.e2e.capacity.nodes import BATCH_CPU, POOL, node_of, offered, wait_until_offered
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.installation import Installation

BATCH_MEMORY = "kubernetes.io/batch-memory"
OURS = "colocation-webhook-capacity"


def batch_pod(name: str, cpu: str, node: str = "") -> Object:
    """A batch pod as the webhook makes it, for the nodes of this module."""
    figures = {BATCH_CPU: cpu, BATCH_MEMORY: "1Gi"}
    sized = {"requests": figures, "limits": figures}
    selector = {"pool": POOL, **({"kubernetes.io/hostname": node} if node else {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority-class": "koord-batch"},
        },
        "spec": {
            "nodeSelector": selector,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "none", "resources": sized}],
        },
    }


def publish_as_koordinator(kubectl: Kubectl, node: str) -> None:
    """Let another controller own the figure of a node."""
    figures = {BATCH_CPU: "5"}
    theirs = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node},
        "status": {"allocatable": figures, "capacity": figures},
    }
    flags = ("--server-side", "--subresource=status", "--field-manager=koord-manager")
    kubectl.run("apply", *flags, "-f", "-", stdin=json.dumps(theirs))


def koordinators_slo(node: str) -> Object:
    """The NodeSLO of a node as another controller keeps it."""
    spec = {"cpuBurstStrategy": {"policy": "none"}}
    metadata = {"name": node}
    return {
        "apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeSLO", "metadata": metadata, "spec": spec
    }  # fmt: skip


def names(kubectl: Kubectl, kind: str) -> set[str]:
    """The names of all objects of a kind."""
    return {each["metadata"]["name"] for each in kubectl.items(kind)}


def managers(kubectl: Kubectl, name: str) -> set[str]:
    """The field managers of a node."""
    stored = json.loads(kubectl.run("get", "node", name, "-o", "json", "--show-managed-fields").stdout)
    return {each["manager"] for each in stored["metadata"]["managedFields"]}


def explained(bare: Installation, node: str) -> dict[str, Any]:
    """What `capacity explain` says of a node of the cluster."""
    flags = f"--config {CONFIG} -o json"
    found: dict[str, Any] = json.loads(bare.shell(f"colocation-webhook capacity explain {node} {flags}"))
    return found


def by_hand(kubectl: Kubectl, name: str) -> int:
    """Batch CPU of a node in milli-cores, by the formula of usage alone, from what the API server stores."""
    capacity = milli(kubectl.get("node", name)["status"]["capacity"]["cpu"])
    metric = kubectl.get("nodemetric", name)["status"]
    needed = {}
    for pod in json.loads(kubectl.run("get", "pods", "-A", "-o", "json").stdout)["items"]:
        here = pod["spec"].get("nodeName") == name and pod["status"]["phase"] in {"Running", "Pending"}
        if here and pod["metadata"].get("labels", {}).get("koordinator.sh/priority-class") != "koord-batch":
            requests = [each["resources"].get("requests", {}) for each in pod["spec"]["containers"]]
            key = pod["metadata"]["namespace"], pod["metadata"]["name"]
            needed[key] = sum(milli(each.get("cpu", "0")) for each in requests)
    for each in metric["podsMetric"]:
        needed[each["namespace"], each["name"]] = milli(each["podUsage"]["resources"]["cpu"])
    system = milli(metric["nodeMetric"]["systemUsage"]["resources"]["cpu"])
    return max(0, capacity - capacity * 40 // 100 - system - sum(needed.values()))


def milli(text: str) -> int:
    """Milli-cores of a quantity of CPU."""
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000


def test_publishing(
    kubectl: Kubectl, bare: Installation, controller: Controller, nodes: list[str], namespace: str
) -> None:
    """Figures follow NodeMetrics; the scheduler places by them; late metrics let nothing new in."""
    first, busy, foreign = nodes
    publish_as_koordinator(kubectl, foreign)
    untouched = managers(kubectl, busy)
    with controller.running() as replica:
        for name in nodes:
            eventually(lambda name=name: kubectl.get("nodemetric", name), what="NodeMetric")
        policy = kubectl.get("nodemetric", first)["spec"]["metricCollectPolicy"]
        assert policy["aggregateDurationSeconds"] == 300
        assert policy["nodeAggregatePolicy"] == {"durations": ["5m0s", "10m0s", "30m0s"]}
        assert offered(kubectl, first) is None
        # A pod of the user's own, which nobody has measured yet, counts with its request.
        online = batch_pod("online", "0", first)
        online["metadata"]["labels"] = {}
        online["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1500m"}}
        kubectl.run("-n", namespace, "create", "-f", "-", stdin=json.dumps(online))
        eventually(lambda: node_of(kubectl, namespace, "online"), what="online pod bound")
        measure(kubectl, first, {"x/web": "2600m"}, system="500m")
        measure(kubectl, busy, {"x/web": "16"})
        measure(kubectl, foreign, {})
        wait_until_offered(kubectl, first, 5000)
        wait_until_offered(kubectl, busy, 0)
        assert by_hand(kubectl, first) == 5000
        terms = explained(bare, first)["resources"][0]
        assert terms["offered"] == 5000
        assert [(each["name"], each["amount"]) for each in terms["pods"]] == [("web", 2600), ("online", 1500)]
        # Somebody else's figure stays, and the owner is named.
        eventually(lambda: "belong to koord-manager" in replica.process.log(), seconds=30, what="owner named")
        assert offered(kubectl, foreign) == 5
        # The stock scheduler places what fits, where it fits.
        names = [f"batch-{number}" for number in range(3)]
        for name in names:
            kubectl.run("-n", namespace, "create", "-f", "-", stdin=json.dumps(batch_pod(name, "2k")))
        bound = lambda: [node_of(kubectl, namespace, each) for each in names]  # noqa: E731
        eventually(lambda: sorted(bound()) == ["", first, first], seconds=30, what="two of three bound")
        # Late metrics: what is bound stays, and nothing new fits.
        measure(kubectl, first, {"x/web": "100m"}, age=300)
        wait_until_offered(kubectl, first, 4000)
        noted = kubectl.get("node", first)["metadata"]["annotations"]
        assert json.loads(noted["colocation-webhook.io/batch-capacity"])["state"] == "held"
        assert sorted(bound()) == ["", first, first]
        # Fresh ones let the third in.
        measure(kubectl, first, {"x/web": "100m"})
        eventually(lambda: sorted(bound()) == [first] * 3, seconds=60, what="third pod bound")
        pods = [kubectl.get("pod", each, namespace=namespace) for each in names]
        assert [each["status"]["phase"] for each in pods] == ["Pending"] * 3  # nobody was evicted
        said = controller.withdraw()
        # The running controller has lost its Lease and publishes nothing again.
        assert f"{first}: keeps what bound pods request" in said
        assert offered(kubectl, first) == 6000
        assert offered(kubectl, busy) is None
        assert managers(kubectl, busy) == untouched
        for of in ("capacity", "allocatable"):
            assert kubectl.get("node", busy)["status"][of] == {"cpu": "16", "memory": "64Gi", "pods": "100"}
        left = kubectl.get("node", busy)["metadata"].get("annotations", {})
        assert not [key for key in left if "colocation-webhook" in key or "Extended" in key]
        assert offered(kubectl, foreign) == 5


def test_nodeslos(kubectl: Kubectl, controller: Controller, nodes: list[str]) -> None:
    """Each node has one, as the ConfigMap says; somebody else's stays; those of ours go by a withdrawal."""
    first, gone, foreign = nodes
    kubectl.create(koordinators_slo(foreign))
    with controller.running() as replica:
        for name in (first, gone):
            eventually(lambda name=name: kubectl.get("nodeslo", name), seconds=60, what="NodeSLO")
            assert kubectl.get("nodeslo", name)["spec"]["cpuBurstStrategy"]["policy"] == "auto"
        log = replica.process.log
        eventually(lambda: f"NodeSLO {foreign}: it belongs to " in log(), what="owner named")
        assert kubectl.get("nodeslo", foreign)["spec"] == koordinators_slo(foreign)["spec"]
        kubectl.delete("node", gone)
        eventually(
            lambda: gone not in names(kubectl, "nodeslos"), seconds=60, what="NodeSLO gone with its node"
        )
        controller.withdraw()
        assert names(kubectl, "nodeslos") == {foreign}
        assert names(kubectl, "nodemetrics") == set()
