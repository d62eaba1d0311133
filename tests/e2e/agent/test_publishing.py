"""The agent with the chart's rights, on a recorded tree: what it writes into a real API server.

A pod of the chart's account is bound to a node, so that the API server puts that node into the claims of
its token.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.builders import GI, MI, Tree
from tests.agent.tree import write
from tests.e2e.cluster.fakenodes import FakeNode
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.release.rendering import Helm
from tests.waiting import until
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.publishing.publisher import FIRST_SECONDS
from webhook.agent.service import AgentService
from webhook.agent.statefolder import StateFolder
from webhook.agent.watched import Watched
from webhook.kube.apply import apply
from webhook.kube.cache.reflector import watching
from webhook.kube.client import MERGE_PATCH, ApiError, Client
from webhook.kube.kubeconfig import read_kubeconfig
from webhook.process.metrics import new_registry

NAMESPACE = "agents"
ACCOUNT = "release-colocation-webhook-agent"
VALUES: dict[str, Any] = {
    "agent": {"enabled": True},
    "capacity": {"enabled": True},
    "cpusets": {"installTopologyCRD": True},
}
"""Its agent's rights, and the definitions of both kinds."""


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The chart's account, rights and policy, and the kinds; the DaemonSet's pods would never run."""
    objects = [
        each
        for each in Helm(cache, tmp_path_factory.mktemp("agent-render")).render(VALUES, "1.37.0")
        if each["metadata"]["name"].startswith((ACCOUNT, "nodemetrics.", "noderesourcetopologies."))
        and each["kind"] != "DaemonSet"
        and "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).replace("somewhere", NAMESPACE)
    found: list[Object] = json.loads(text)["items"]
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    kubectl.apply(*definitions)
    for kind in ("nodemetrics", "noderesourcetopologies"):
        eventually(lambda kind=kind: kubectl.run("get", kind), what=f"the kind {kind}")
    kept = [each for each in found if each not in definitions]
    kubectl.apply(*kept)
    yield
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
    kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=listed)
    kubectl.delete("namespace", NAMESPACE)
    kubectl.run("delete", "crd", "nodemetrics.slo.koordinator.sh", "--ignore-not-found")


@pytest.fixture
def nodes(kubectl: Kubectl, installed: None) -> Iterator[list[str]]:
    """Two nodes with their NodeMetrics, as the controller makes them."""
    del installed
    made = [f"agent-{secrets.token_hex(2)}-{letter}" for letter in "ab"]
    for name in made:
        kubectl.create(FakeNode(name=name, shape=(1, 1, 4, 1)).node("agent"))
        figures = {"cpu": "4", "memory": "32Gi", "pods": "100"}
        patch = json.dumps({"status": {"capacity": figures, "allocatable": figures}})
        kubectl.run("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)
        policy = {"aggregateDurationSeconds": 300, "reportIntervalSeconds": 60}
        kubectl.create(
            {
                "apiVersion": "slo.koordinator.sh/v1alpha1",
                "kind": "NodeMetric",
                "metadata": {"name": name},
                "spec": {"metricCollectPolicy": policy},
            }
        )
    yield made
    for kind in ("node", "nodemetric", "noderesourcetopology"):
        kubectl.delete(kind, *made)


@pytest.fixture
def api(kubectl: Kubectl, nodes: list[str], tmp_path: Path) -> Client:
    """An API server that takes the caller for the agent's pod of the first node."""
    name = f"agent-{secrets.token_hex(2)}"
    containers = [{"name": "agent", "image": "agent"}]
    spec = {"nodeName": nodes[0], "serviceAccountName": ACCOUNT, "containers": containers}
    metadata = {"name": name, "namespace": NAMESPACE}
    pod = kubectl.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    token = kubectl.run(
        *("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=1h", "--bound-object-kind=Pod"),
        *(f"--bound-object-name={name}", f"--bound-object-uid={pod['metadata']['uid']}"),
    ).stdout.strip()
    config = json.loads(kubectl.run("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return Client(read_kubeconfig(tmp_path / "kubeconfig"))


class Agent:
    """An agent on a recorded tree, which a test steps."""

    def __init__(self, api: Client, node: str, folder: Path) -> None:
        self.tree = Tree(folder / "root")
        for cpu in range(4):
            place = f"sys/devices/system/cpu/cpu{cpu}/topology"
            write(self.tree.root, {f"{place}/physical_package_id": "0\n", f"{place}/core_id": f"{cpu}\n"})
        write(self.tree.root, {"sys/devices/system/cpu/online": "0-3\n"})
        self.service = AgentService(
            Watched(api, node),
            find_hierarchy(self.tree.root),
            StateFolder(folder),
            new_registry(),
            self.tree.root,
        )
        sampler, publisher = self.service.sampler, self.service.publisher
        sampler._clock = publisher.clock = self.tree.clock

    def work(self, uid: str) -> None:
        """Let the node work as long as an agent looks before it reports."""
        for _ in range(int(FIRST_SECONDS) + 3):
            self.tree.now += 1
            self.tree.machine(3.0, 8 * GI)
            self.tree.group("kubepods", 2.0, 2 * GI)
            self.tree.group(f"kubepods/besteffort/pod{uid}", 0.5, 100 * MI)
            self.service.sampler.look(self.service.watched.pods_now())
            self.service.publisher.step()


def test_what_the_agent_writes(kubectl: Kubectl, api: Client, nodes: list[str], tmp_path: Path) -> None:
    """Its node's NodeMetric and NodeResourceTopology; the spec stays the controller's."""
    agent = Agent(api, nodes[0], tmp_path)
    stop = threading.Event()
    watched = agent.service.watched
    with watching(watched.reflectors, stop):
        until(lambda: watched.synced and watched.pods_now() and watched.metric is not None)
        (pod,) = watched.pods_now()
        agent.work(pod.uid)
        stop.set()
    found = kubectl.get("nodemetric", nodes[0])
    assert found["status"]["nodeMetric"]["nodeUsage"]["resources"] == {"cpu": "3000m", "memory": str(8 * GI)}
    assert found["status"]["podsMetric"] == [
        {
            "namespace": NAMESPACE,
            "name": pod.name,
            "podUsage": {"resources": {"cpu": "500m", "memory": str(100 * MI)}},
            "priority": pod.priority_class,
            "qos": pod.qos,
        }
    ]
    assert found["spec"]["metricCollectPolicy"]["reportIntervalSeconds"] == 60
    raw = kubectl.run("get", "nodemetric", nodes[0], "-o", "json", "--show-managed-fields").stdout
    managers = {
        (each["manager"], each.get("subresource")) for each in json.loads(raw)["metadata"]["managedFields"]
    }
    assert ("colocation-webhook-agent", "status") in managers
    topology = kubectl.get("noderesourcetopology", nodes[0])
    assert [zone["name"] for zone in topology["zones"]] == ["node-0"]
    assert topology["metadata"]["ownerReferences"][0]["name"] == nodes[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/apis/slo.koordinator.sh/v1alpha1/nodemetrics/{}/status",
            {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric", "status": {"podsMetric": []}},
        ),
        (
            "/apis/topology.node.k8s.io/v1alpha1/noderesourcetopologies/{}",
            {
                "apiVersion": "topology.node.k8s.io/v1alpha1",
                "kind": "NodeResourceTopology",
                "topologyPolicies": ["None"],
                "zones": [],
            },
        ),
    ],
    ids=["NodeMetric", "NodeResourceTopology"],
)
def test_an_agent_writes_its_own_nodes_objects_only(
    kubectl: Kubectl, api: Client, nodes: list[str], path: str, body: dict[str, Any]
) -> None:
    """For another node's the answer says whose agent it is; an administrator may write both."""

    def write_of(node: str) -> None:
        apply(api, path.format(node), {**body, "metadata": {"name": node}}, "colocation-webhook-agent")

    # A new policy holds from a few seconds on.
    def refused() -> bool:
        try:
            write_of(nodes[1])
        except ApiError as error:
            assert f"its token is of the node '{nodes[0]}', not of '{nodes[1]}'" in str(error)
            return True
        return False

    until(refused, 60)
    write_of(nodes[0])
    if body["kind"] == "NodeResourceTopology":
        kubectl.apply({**body, "metadata": {"name": nodes[1]}})


def test_what_an_agent_has_no_right_to(api: Client, nodes: list[str]) -> None:
    """Neither to make or change a NodeMetric's spec, nor to read anything but pods, nodes and NodeMetrics."""
    metrics = "/apis/slo.koordinator.sh/v1alpha1/nodemetrics"
    calls = (
        ("POST", metrics, {"apiVersion": "slo.koordinator.sh/v1alpha1", "kind": "NodeMetric"}),
        ("PATCH", f"{metrics}/{nodes[0]}", {"spec": {}}),
        ("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets", None),
        ("PATCH", f"/api/v1/nodes/{nodes[0]}", {"metadata": {"labels": {"a": "b"}}}),
        ("DELETE", f"{metrics}/{nodes[0]}", None),
    )
    for method, path, body in calls:
        with pytest.raises(ApiError) as raised:
            api.call(
                method, path, body=body, content_type=MERGE_PATCH if method == "PATCH" else "application/json"
            )
        assert raised.value.status == 403
