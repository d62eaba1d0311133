"""The chart's evictor on a real API server; there is no kubelet: a test writes what agents would ask."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.capacity.controller import CONTROLLER, NAMESPACE
from tests.e2e.capacity.evicting import protect, replica
from tests.e2e.capacity.switching import Switch, everything, node_objects
from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually, stopping
from tests.e2e.conftest import make_namespace
from tests.e2e.release.installation import CHART, RELEASE, Installation
from tests.e2e.release.installation import NAMESPACE as INSTALLED
from tests.e2e.release.rendering import Helm
from tests.e2e.release.replicas import Replica
from tests.eviction.builders import GI, memory_ask
from webhook.eviction.candidates import Use
from webhook.eviction.request import request_body
from webhook.kube.apply import apply
from webhook.kube.client import ApiError, Client
from webhook.kube.kubeconfig import read_kubeconfig

AGENT = "release-colocation-webhook-agent"
DEFINITION = "nodeevictionrequests.colocation-webhook.io"
REQUESTS = "/apis/colocation-webhook.io/v1alpha1/nodeevictionrequests"
VALUES: dict[str, Any] = {
    "agent": {"enabled": True},
    "eviction": {"enabled": True, "perMinute": {"cluster": 9, "node": 3, "workload": 9}},
}


@pytest.fixture
def _same_values(release: Installation, tmp_path: Path) -> Iterator[None]:
    """Afterwards the release has the values that it had: an older chart does not know those of eviction."""
    values = tmp_path / "values.yaml"
    values.write_text(release.helm("get", "values", RELEASE, "-o", "yaml"))
    yield
    release.helm("upgrade", RELEASE, str(CHART), "--reset-values", f"--values={values}")


@pytest.mark.usefixtures("_same_values")
def test_no_trace(kubectl: Kubectl, release: Installation, nodes: list[str], tmp_path: Path) -> None:
    """Switched on without capacity, used, and off again, it leaves a Lease, and no hook runs."""
    switch, name = Switch(release, tmp_path), f"{RELEASE}-controller"
    objects, node_states = everything(kubectl), node_objects(kubectl)
    switch.upgrade(CHART, "--set=eviction.enabled=true")
    eventually(lambda: kubectl.run("get", "nodeevictionrequests"), what="NodeEvictionRequests")
    node_uid = kubectl.get("node", nodes[0])["metadata"]["uid"]
    kubectl.apply(request_body(nodes[0], node_uid, dt.datetime.now(dt.UTC), [], {}))
    deployment = kubectl.get("deployment", name, namespace=INSTALLED)
    lease = f"{INSTALLED} Lease {name}"
    with stopping(switch.command(deployment["spec"]["template"]["spec"], "controller")):
        eventually(lambda: lease in everything(kubectl), seconds=60, what="the Lease")
        switch.upgrade(CHART, "--set=eviction.enabled=false")
    # What a kubelet would have ended.
    component = "app.kubernetes.io/component in (controller, controller-withdraw)"
    kubectl.run("-n", INSTALLED, "delete", "pods", "-l", component, "--force", "--grace-period=0")

    def left() -> bool:
        assert everything(kubectl) - objects == {lease}
        assert objects - everything(kubectl) == set()
        return True

    eventually(left, seconds=60, what="everything is as before")
    assert node_objects(kubectl) == node_states
    kubectl.delete("lease", name, namespace=INSTALLED)


@pytest.fixture(scope="module")
def rendered(helm: Helm) -> list[Object]:
    """The chart's objects with eviction, and without capacity."""
    return helm.render(VALUES, "1.37.0")


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, rendered: list[Object]) -> Iterator[None]:
    """Accounts, rights, the agents' policy and the definition; pods of the chart would never run."""
    found = [
        each
        for each in rendered
        if each["metadata"]["name"].startswith((CONTROLLER, AGENT, DEFINITION))
        and each["kind"] not in {"DaemonSet", "Deployment", "Service"}
        and "helm.sh/hook" not in each["metadata"].get("annotations", {})
    ]
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    definitions = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    assert [each["metadata"]["name"] for each in definitions] == [DEFINITION]
    kubectl.apply(*definitions)
    eventually(lambda: kubectl.run("get", "nodeevictionrequests"), what="NodeEvictionRequests")
    kubectl.apply(*(each for each in found if each not in definitions))
    yield
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    kubectl.run("delete", "--ignore-not-found", "-f", "-", stdin=listed)


@pytest.fixture
def agent(kubectl: Kubectl, installed: None, nodes: list[str], tmp_path: Path) -> Iterator[Client]:
    """An API server that takes the caller for the agent's pod of the first node."""
    del installed
    name = f"agent-{secrets.token_hex(2)}"
    containers = [{"name": "agent", "image": "agent"}]
    spec = {
        "nodeName": nodes[0],
        "serviceAccountName": AGENT,
        "terminationGracePeriodSeconds": 0,
        "containers": containers,
    }
    pod = kubectl.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
    )
    token = kubectl.run(
        *("-n", NAMESPACE, "create", "token", AGENT, "--duration=1h", "--bound-object-kind=Pod"),
        *(f"--bound-object-name={name}", f"--bound-object-uid={pod['metadata']['uid']}"),
    ).stdout.strip()
    config = json.loads(kubectl.run("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "agent").write_text(json.dumps(config))
    yield Client(read_kubeconfig(tmp_path / "agent"))
    kubectl.delete("pod", name, namespace=NAMESPACE)


@pytest.fixture
def replicas(
    kubectl: Kubectl, installed: None, rendered: list[Object], tmp_path: Path
) -> Iterator[list[Replica]]:
    """Two that both lead, for each has a Lease of its own; the second one has an administrator's rights."""
    del installed
    config = tmp_path / "admin"
    config.write_text(kubectl.run("config", "view", "--raw", "--flatten").stdout)
    found = [
        replica(kubectl, rendered, tmp_path, "first"),
        replica(
            kubectl, rendered, tmp_path, "second", f"--kubeconfig={config}", f"--lease={NAMESPACE}/another"
        ),
    ]
    for each in found:
        each.start()
    try:
        for each in found:
            each.wait_until_ready()
        yield found
    finally:
        for each in found:
            each.stop()


@pytest.fixture
def bare_namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of a cluster in which the webhook need not run."""
    name = make_namespace(kubectl, {})
    yield name
    kubectl.delete("namespace", name)


def run_pod(kubectl: Kubectl, namespace: str, name: str, node: str, **labels: str) -> str:
    """Make a pod of a node as if its kubelet ran it; return its uid."""
    sized = {"kubernetes.io/batch-cpu": "1k", "kubernetes.io/batch-memory": "1Gi"} if labels else {"cpu": "1"}
    containers = [{"name": "main", "image": "none", "resources": {"requests": sized, "limits": sized}}]
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": containers}
    marks = {"app": name, **labels}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": marks},
        "spec": spec,
    }
    kubectl.run("-n", namespace, "create", "-f", "-", stdin=json.dumps(pod))
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    patch = json.dumps({"status": ready})
    kubectl.run("-n", namespace, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)
    uid: str = kubectl.get("pod", name, namespace=namespace)["metadata"]["uid"]
    return uid


def test_eviction(
    kubectl: Kubectl, agent: Client, replicas: list[Replica], nodes: list[str], bare_namespace: str
) -> None:
    """As many as are needed in the order, none that is protected or online, within the budget, and once."""
    namespace, node = bare_namespace, nodes[0]
    batch = {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority-class": "koord-batch"}
    uids = {f"be-{i}": run_pod(kubectl, namespace, f"be-{i}", node, **batch) for i in range(6)}
    uids["online"] = run_pod(kubectl, namespace, "online", node)
    protect(kubectl, namespace, "be-0")
    node_uid = kubectl.get("node", node)["metadata"]["uid"]
    uses = {uid: Use(500, 3 * GI) for uid in uids.values()}

    def ask(of: str = node) -> None:
        # 3.2 GiB of 64 are to be released: two pods, each time that it is measured.
        body = request_body(of, node_uid, dt.datetime.now(dt.UTC), [memory_ask(73, 64 * GI)], uses)
        apply(agent, f"{REQUESTS}/{of}", body, "colocation-webhook-agent")

    def left() -> set[str]:
        found = kubectl.items("pods", namespace=namespace)
        return {each["metadata"]["name"] for each in found if not each["metadata"].get("deletionTimestamp")}

    def of_another_refused() -> bool:
        try:
            ask(nodes[1])
        except ApiError as error:
            return f"its token is of the node '{node}', not of '{nodes[1]}'" in str(error)
        return False

    # A new policy holds from a few seconds on.
    eventually(of_another_refused, seconds=60, what="another node's request refused")
    kubectl.run("delete", "nodeevictionrequest", nodes[1], "--ignore-not-found")

    def spent() -> bool:
        ask()
        return all("the budget of the node is spent" in each.process.log() for each in replicas)

    eventually(spent, seconds=90, what="the budget is spent, as both see it")
    order = [f"be-{i}" for i in range(1, 6)]  # be-0 is the first in the order, and protected

    def events() -> dict[str, Object]:
        found = {
            each["involvedObject"]["name"]: each
            for each in kubectl.items("events", namespace=namespace)
            if each["reason"] == "EvictedForNode"
        }
        assert found.keys() == uids.keys() - left()
        return found

    said = eventually(events, seconds=30, what="Events")
    gone = sorted(said)
    assert 3 <= len(gone) == len(set(gone))
    assert gone == order[: len(gone)]
    # Whatever the two did at the same time: three a minute, and nobody twice.
    moments = sorted(dt.datetime.fromisoformat(each["firstTimestamp"]) for each in said.values())
    assert all(
        (later - first).total_seconds() >= 59 for first, later in zip(moments, moments[3:], strict=False)
    )
    logs = [each.process.log() for each in replicas]
    assert sum(log.count(f"evicted from {node}") for log in logs) == len(gone)
    assert [each["involvedObject"]["uid"] for each in said.values()] == [uids[name] for name in said]
    figures = (
        "BEMemoryEvict: 46.7Gi of 64.0Gi memory are used: at least 70 %, 68 % is the aim: 3.2Gi to release"
    )
    assert f"evicted from {node}: {figures}; koord-batch, priority 0" in said["be-1"]["message"]


def test_a_stale_request(
    kubectl: Kubectl, agent: Client, replicas: list[Replica], nodes: list[str], bare_namespace: str
) -> None:
    """Old figures evict nobody, and the log says so; so do those of somebody who is no agent."""
    namespace, node = bare_namespace, nodes[0]
    batch = {"koordinator.sh/qosClass": "BE"}
    uid = run_pod(kubectl, namespace, "be", node, **batch)
    node_uid = kubectl.get("node", node)["metadata"]["uid"]
    old = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    uses = {uid: Use(500, 3 * GI)}
    body = request_body(node, node_uid, old, [memory_ask(73, 64 * GI)], uses)
    apply(agent, f"{REQUESTS}/{node}", body, "colocation-webhook-agent")
    said = lambda what: all(what in each.process.log() for each in replicas)  # noqa: E731
    eventually(lambda: said("s old: its agent writes it no more"), seconds=30, what="finding")
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    patch = json.dumps({"spec": {"observedAt": now}})
    kubectl.run("patch", "nodeevictionrequest", node, "--type=merge", "--field-manager=somebody", "-p", patch)
    eventually(lambda: said("somebody wrote it, and not"), seconds=30, what="finding")
    assert kubectl.get("pod", "be", namespace=namespace)["metadata"]["uid"] == uid
    kubectl.run("delete", "nodeevictionrequest", node)
