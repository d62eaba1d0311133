"""CPU sets at binding, on the real control plane: kube-scheduler binds, the webhook gives CPUs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import make_namespace
from tests.e2e.installation import CHART, Installation
from tests.e2e.kubectl import Kubectl, Object, RefusedError
from tests.e2e.machines import allocations, bound_pod, cpuset_of, entries, make_node
from tests.e2e.processes import eventually
from tests.e2e.readme import install

GRACE = 5


@pytest.fixture(scope="module")
def bindings(release: Installation) -> Iterator[Installation]:
    """The release with CPU sets switched on, by the chart's values, and the process with the flag."""
    values = "--set=cpusets.enabled=true,cpusets.installTopologyCRD=true"
    release.helm("upgrade", "colocation-webhook", str(CHART), "--reset-then-reuse-values", values)
    for name in ("nodecpuallocations.colocation-webhook.io", "noderesourcetopologies.topology.node.k8s.io"):
        release.kubectl.run("wait", "--for=condition=Established", f"crd/{name}")
    serve(release)
    yield release
    release.stop()
    off = "--set=cpusets.enabled=false"
    release.helm("upgrade", "colocation-webhook", str(CHART), "--reset-then-reuse-values", off)
    release.serve()


def serve(release: Installation) -> None:
    """Start the webhook anew, with CPU sets."""
    release.stop()
    lease = "colocation-system/colocation-webhook-cpusets"
    release.serve(f"{install().serving.strip()} --cpusets --cpusets-lease {lease} --cpusets-grace {GRACE}")


@pytest.fixture
def node(bindings: Installation) -> Iterator[str]:
    """A node of 16 CPUs in two NUMA nodes, two threads a core; pods get there by the label ``machine``."""
    name = f"machine-{secrets.token_hex(3)}"
    make_node(bindings.kubectl, name, "1x2x4x2", machine=name)
    yield name
    bindings.kubectl.delete("node", name)
    bindings.kubectl.delete("noderesourcetopology", name)
    bindings.kubectl.delete("nca", name)


@pytest.fixture
def place(bindings: Installation) -> Iterator[str]:
    """A namespace that opted in."""
    name = make_namespace(bindings.kubectl, {"colocation-webhook.io/cpuset": "enabled"})
    yield name
    bindings.kubectl.delete("namespace", name)


@pytest.fixture
def kube(bindings: Installation) -> Kubectl:
    """The administrator's kubectl."""
    return bindings.kubectl


def bound(kube: Kubectl, namespace: str, name: str) -> Object:
    """The pod when it has been bound."""

    def look() -> Object | None:
        pod = kube.get("pod", name, namespace=namespace)
        return pod if pod["spec"].get("nodeName") else None

    return eventually(look, seconds=60, what=f"{name} bound")


def create(kube: Kubectl, namespace: str, pod: Object) -> Object:
    """Create a pod in a namespace."""
    pod["metadata"]["namespace"] = namespace
    return kube.create(pod)


def end(kube: Kubectl, namespace: str, name: str) -> None:
    """Delete a bound pod for good: no kubelet confirms that it has ended."""
    kube.run("-n", namespace, "delete", "pod", name, "--force", "--grace-period=0")


def warned(kube: Kubectl, namespace: str, reason: str) -> Callable[[], str]:
    """What the first Event of a reason says."""

    def look() -> str:
        found = [each for each in kube.items("events", namespace=namespace) if each["reason"] == reason]
        return found[0]["message"] if found else ""

    return look


def binding(pod: Object, node: str) -> Object:
    """The Binding that a scheduler makes."""
    metadata = {name: pod["metadata"][name] for name in ("name", "namespace", "uid")}
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}


def bind_raw(kube: Kubectl, pod: Object, node: str, query: str = "") -> None:
    """Bind as a scheduler does, through the subresource."""
    where = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/binding{query}"
    kube.run("create", "--raw", where, "-f", "-", stdin=json.dumps(binding(pod, node)))


def refusal(kube: Kubectl, pod: Object, node: str) -> str:
    """What a binding is refused with, in a dry run."""
    try:
        bind_raw(kube, pod, node, "?dryRun=All")
    except RefusedError as error:
        return str(error)
    return ""


def test_a_pod_gets_its_cpus(kube: Kubectl, place: str, node: str) -> None:
    """The stock scheduler binds; the pod has its annotation, and the ledger its entry."""
    made = create(kube, place, bound_pod("a", "4", node=node, requiredCPUBindPolicy="FullPCPUs"))
    pod = bound(kube, place, "a")
    assert cpuset_of(pod) == "0-1,8-9"
    status = json.loads(pod["metadata"]["annotations"]["scheduling.koordinator.sh/resource-status"])
    assert status["numaNodeResources"] == [{"node": 0, "resources": {"cpu": "4"}}]
    ledger = kube.get("nca", node)
    (entry,) = ledger["spec"]["allocations"]
    assert entry.pop("allocatedAt")
    assert entry == {
        "podUID": made["metadata"]["uid"], "namespace": place, "name": "a", "qosClass": "LSR",
        "cpuset": "0-1,8-9", "bindPolicy": "FullPCPUs", "required": True,
    }  # fmt: skip
    (owner,) = ledger["metadata"]["ownerReferences"]
    assert owner["uid"] == kube.get("node", node)["metadata"]["uid"]
    counts = {
        name: ledger["status"][name] for name in ("cpus", "allocated", "free", "wholeCoresFree", "pods")
    }
    assert counts == {"cpus": 16, "allocated": 4, "free": 12, "wholeCoresFree": 6, "pods": 1}


def test_denied_with_what_is_free(kube: Kubectl, place: str, node: str) -> None:
    """What cannot be had is denied with figures and an Event, and not in the ledger; later it is given."""
    kube.run("label", "node", node, "node.koordinator.sh/numa-topology-policy=SingleNUMANode")
    for name, cpu in (("first", "6"), ("second", "4")):
        create(kube, place, bound_pod(name, cpu, node=node, requiredCPUBindPolicy="FullPCPUs"))
        bound(kube, place, name)
    create(kube, place, bound_pod("third", "6", node=node, requiredCPUBindPolicy="FullPCPUs"))
    message = eventually(warned(kube, place, "CPUSetDenied"), seconds=60)
    assert message == f"needs 3 whole cores on one NUMA node; {node} has 1 and 2"
    assert set(allocations(kube, node)) == {"first", "second"}
    end(kube, place, "first")
    assert cpuset_of(bound(kube, place, "third")) == "0-2,8-10"
    assert set(eventually(lambda: len(list(entries(kube, node))) == 2 and allocations(kube, node))) == {
        "second",
        "third",
    }


def test_dry_run_writes_nothing(kube: Kubectl, place: str, node: str) -> None:
    """A dry run of a binding is answered, and there is no ledger afterwards."""
    pod = create(
        kube, place, {**bound_pod("dry"), "spec": {**bound_pod("dry")["spec"], "schedulerName": "no"}}
    )
    bind_raw(kube, pod, node, "?dryRun=All")
    assert not list(entries(kube, node))
    bind_raw(kube, pod, node)
    assert cpuset_of(bound(kube, place, "dry")) == "0,8"


def test_another_classes_pod_is_left_alone(kube: Kubectl, place: str, node: str) -> None:
    """LS pods and pods without a class are bound as they are."""
    create(kube, place, bound_pod("ls", qos="LS", node=node))
    assert cpuset_of(bound(kube, place, "ls")) is None
    assert not list(entries(kube, node))


def test_other_namespaces_are_untouched(kube: Kubectl, bindings: Installation, node: str) -> None:
    """Without the label nothing is given, at binding or later."""
    name = make_namespace(bindings.kubectl, {})
    try:
        create(kube, name, bound_pod("alone", node=node))
        assert cpuset_of(bound(kube, name, "alone")) is None
        assert not list(entries(kube, node))
    finally:
        kube.delete("namespace", name)


def test_an_entry_without_its_pod_goes(kube: Kubectl, place: str, node: str) -> None:
    """A pod that is deleted, or finishes, leaves the ledger."""
    for name in ("gone", "done", "stays"):
        create(kube, place, bound_pod(name, node=node))
        bound(kube, place, name)
    end(kube, place, "gone")
    status = json.dumps({"status": {"phase": "Succeeded"}})
    kube.run("-n", place, "patch", "pod", "done", "--subresource=status", "--type=merge", "-p", status)
    eventually(lambda: set(allocations(kube, node)) == {"stays"}, seconds=GRACE + 15)


def test_what_was_missed_is_repaired(kube: Kubectl, bindings: Installation, place: str, node: str) -> None:
    """A pod bound while the webhook was away gets its CPUs when it is back, and is told so."""
    create(kube, place, bound_pod("before", node=node))
    assert cpuset_of(bound(kube, place, "before")) == "0,8"
    bindings.stop()
    create(kube, place, bound_pod("missed", node=node))
    assert cpuset_of(bound(kube, place, "missed")) is None
    serve(bindings)

    def repaired() -> Any:
        return cpuset_of(kube.get("pod", "missed", namespace=place))

    assert eventually(repaired, seconds=60) == "1,9"
    assert allocations(kube, node) == {"before": "0,8", "missed": "1,9"}
    assert eventually(warned(kube, place, "CPUSetRepaired"))


def test_a_deleted_ledger_comes_back(kube: Kubectl, place: str, node: str) -> None:
    """Somebody deletes the ledger: it is made again from what the pods say."""
    for name in ("one", "two"):
        create(kube, place, bound_pod(name, node=node))
        bound(kube, place, name)
    before = allocations(kube, node)
    kube.delete("nca", node)
    eventually(lambda: allocations(kube, node) == before, seconds=30)


def test_sets_of_others_are_respected(kube: Kubectl, bindings: Installation, place: str, node: str) -> None:
    """A set that koord-scheduler gave to a pod, of whatever class, is nobody else's."""
    name = make_namespace(bindings.kubectl, {})
    try:
        pod = bound_pod("foreign", qos="LS")
        pod["metadata"]["annotations"] = {"scheduling.koordinator.sh/resource-status": '{"cpuset":"0,8"}'}
        pod["spec"]["nodeName"] = node
        create(kube, name, pod)
        create(kube, place, bound_pod("ours", node=node))
        assert cpuset_of(bound(kube, place, "ours")) == "1,9"
        assert allocations(kube, node) == {"foreign": "0,8", "ours": "1,9"}
    finally:
        kube.delete("namespace", name)


def test_a_node_without_topology_is_refused(kube: Kubectl, place: str, node: str) -> None:
    """Where the CPUs are not known nothing can be bound, and the message says what is missing."""
    kube.delete("noderesourcetopology", node)
    pod = create(kube, place, {**bound_pod("p"), "spec": {**bound_pod("p")["spec"], "schedulerName": "no"}})
    said = eventually(lambda: refusal(kube, pod, node))
    assert f"node(s) invalid CPU Topology: {node}: it has no NodeResourceTopology" in said


def test_the_map_is_drawn(kube: Kubectl, bindings: Installation, place: str, node: str) -> None:
    """``cpuset show --node`` draws the node's CPUs with who holds them."""
    for name, qos in (("nginx-lse", "LSE"), ("nginx-lsr", "LSR")):
        create(kube, place, bound_pod(name, "4", qos, node=node))
        bound(kube, place, name)
    drawn = bindings.shell(f'colocation-webhook cpuset show --node {node} --kubeconfig "$KUBECONFIG"')
    assert drawn.startswith(f"{node}: 16 CPUs, 8 held by 2 pods, 8 free (4 whole cores)\n")
    assert f"{place}/nginx-lse" in drawn
    assert ["thread", "0", "0E", "1E", "2R", "3R"] in [line.split() for line in drawn.splitlines()]
    assert max(map(len, drawn.splitlines())) <= 80
