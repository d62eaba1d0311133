"""A node's NodeResourceTopology, as binding and Koordinator read it."""

import json
from typing import Any

from tests.agent.builders import GI, node_pod
from webhook.agent.machine.hardware import Cache, Hardware
from webhook.agent.machine.kubelet import Kubelet
from webhook.agent.plan.plan import make_plan
from webhook.agent.publishing.topology import describe, read_node
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.topology import Topology
from webhook.pods.nodes.nodetopology import read_node_topology
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

CPUS = Topology.regular(2, 1, 4, 2)  # 16 CPUs, siblings 2n and 2n+1, sockets 0-7 and 8-15
HARDWARE = Hardware(
    CPUS, {0: 4 * GI, 1: 4 * GI}, [Cache(0, frozenset(range(8))), Cache(1, frozenset(range(8, 16)))]
)
NONE = Kubelet("none", {}, frozenset(), 0, {}, "None", ())


def _node(**annotations: str) -> dict[str, Any]:
    keys = {
        "reservation": "node.koordinator.sh/reservation",
        "system": "node.koordinator.sh/system-qos-resource",
    }
    return {
        "metadata": {
            "name": "n1",
            "uid": "uid-n1",
            "annotations": {keys[k]: v for k, v in annotations.items()},
        }
    }


def _bound(name: str, label: str, cpus: str, requests: int, phase: str = "Running") -> Any:
    resources = {"requests": {"cpu": str(requests)}, "limits": {"cpu": str(requests)}}
    return node_pod(
        name,
        "Guaranteed",
        metadata={
            "labels": {"koordinator.sh/qosClass": label},
            "annotations": {ANNOTATION_RESOURCE_STATUS: json.dumps({"cpuset": cpus})},
        },
        status={"phase": phase},
        spec={"priority": 9500, "containers": [{"name": "main", "resources": resources}]},
    )


def _stated(body: dict[str, Any]) -> dict[str, Any]:
    """Return the annotations by the last part of their names, parsed."""
    return {key.rpartition("/")[2]: json.loads(text) for key, text in body["metadata"]["annotations"].items()}


def test_share_pools_without_the_cpus_of_bound_pods() -> None:
    """LS pods keep off all of them, BE pods off those of LSE pods; by socket and NUMA node."""
    pods = [_bound("a", "LSE", "0-1", 2), _bound("b", "LSR", "2-3", 2), node_pod("c")]
    stated = _stated(describe(_node(), HARDWARE, NONE, pods).body)
    assert stated["cpu-shared-pools"] == [
        {"socket": 0, "node": 0, "cpuset": "4-7"},
        {"socket": 1, "node": 1, "cpuset": "8-15"},
    ]
    assert stated["be-cpu-shared-pools"] == [
        {"socket": 0, "node": 0, "cpuset": "2-7"},
        {"socket": 1, "node": 1, "cpuset": "8-15"},
    ]


def test_a_set_that_is_not_allowed_counts_for_nobody() -> None:
    """As where the agent places pods: of another class, more than requested, reserved, an older pod's."""
    pods = [
        _bound("ls", "LS", "12-13", 2),
        _bound("many", "LSR", "2-5", 2),
        _bound("reserved", "LSE", "0", 1),
        _bound("younger", "LSR", "3", 1),
        _bound("ended", "LSE", "8", 1, "Failed"),
    ]
    node = _node(reservation='{"reservedCPUs": "0-1"}')
    stated = _stated(describe(node, HARDWARE, NONE, pods).body)
    assert [pool["cpuset"] for pool in stated["cpu-shared-pools"]] == ["4-7", "8-15"]
    assert [pool["cpuset"] for pool in stated["be-cpu-shared-pools"]] == ["2-7", "8-15"]
    planned = make_plan(
        [pod.planned for pod in pods if not pod.finished],
        read_node(node, CPUS, NONE, [pod.planned for pod in pods]),
    ).cpus.state
    assert planned.shared_pool() == set(range(4, 16))


def test_reserved_and_exclusive_system_cpus_are_in_no_pool() -> None:
    """The reservation is made concrete, what is said of system CPUs is copied."""
    node = _node(reservation='{"resources": {"cpu": "2"}}', system='{"cpuset": "14-15"}')
    stated = _stated(describe(node, HARDWARE, NONE, []).body)
    assert stated["reservation"] == {"resources": {"cpu": "2"}, "reservedCPUs": "0-1"}
    assert stated["system-qos-resource"] == {"cpuset": "14-15"}
    assert [pool["cpuset"] for pool in stated["cpu-shared-pools"]] == ["2-7", "8-13"]


def test_what_the_kubelet_has_pinned() -> None:
    """Its pods' CPUs leave both pools; not those of pods that an agent places."""
    pinned = {
        "uid-k": frozenset({4, 5}),
        "uid-ls": frozenset({6}),
        "uid-b": frozenset({7}),
        "gone": frozenset({8}),
    }
    kubelet = Kubelet("static", {"full-pcpus-only": "true"}, frozenset({0}), 0, pinned, "None", ())
    pods = [
        node_pod("k", "Guaranteed"),
        node_pod("ls", "Guaranteed", metadata={"labels": {"koordinator.sh/qosClass": "LS"}}),
        _bound("b", "LSR", "7", 1),
    ]
    found = describe(_node(), HARDWARE, kubelet, pods)
    stated = _stated(found.body)
    assert stated["cpu-manager-policy"] == {
        "policy": "static",
        "options": {"full-pcpus-only": "true"},
        "reservedCPUs": "0",
    }
    assert stated["pod-cpu-allocs"] == [
        {"uid": "gone", "cpuset": "8", "managedByKubelet": True},
        {"namespace": "shop", "name": "k", "uid": "uid-k", "cpuset": "4-5", "managedByKubelet": True},
    ]
    assert [pool["cpuset"] for pool in stated["cpu-shared-pools"]] == ["0-3,6", "9-15"]
    read = read_node_topology(_node(), found.body)
    assert read.reservations.kubelet_pinned == {4, 5, 8}
    assert read.reservations.kubelet_reserved == {0}
    assert read.bind_policy is BindPolicy.FULL_PCPUS
    assert read.cpu_topology == CPUS


def test_an_amount_that_the_kubelet_keeps_is_the_first_cpus() -> None:
    """It chooses them as for a pod, first of all."""
    kubelet = Kubelet("static", {}, frozenset(), 2, {}, "None", ())
    assert (
        _stated(describe(_node(), HARDWARE, kubelet, []).body)["cpu-manager-policy"]["reservedCPUs"] == "0-1"
    )


def test_of_a_kubelet_that_is_not_read_nothing_is_said() -> None:
    """Rather than that it has no policy; so it is where its files say none."""
    for kubelet in (None, NONE._replace(policy="unknown")):
        stated = _stated(describe(_node(), HARDWARE, kubelet, []).body)
        assert "cpu-manager-policy" not in stated
        assert "pod-cpu-allocs" not in stated


def test_what_such_a_kubelet_seems_to_have_pinned() -> None:
    """It is in no pool, and binding gives it to nobody; of its policy nothing is said."""
    for kubelet in (None, NONE._replace(policy="unknown")):
        seen = {"uid-k": frozenset({4, 5})}
        found = describe(_node(), HARDWARE, kubelet, [node_pod("k", "Guaranteed")], seen)
        stated = _stated(found.body)
        assert "cpu-manager-policy" not in stated
        assert stated["pod-cpu-allocs"] == [
            {"namespace": "shop", "name": "k", "uid": "uid-k", "cpuset": "4-5", "managedByKubelet": True}
        ]
        assert [pool["cpuset"] for pool in stated["cpu-shared-pools"]] == ["0-3,6-7", "8-15"]
        assert read_node_topology(_node(), found.body).reservations.kubelet_pinned == {4, 5}


def test_zones_caches_and_the_owner() -> None:
    """A zone for each NUMA node with CPUs and bytes; deleted together with its node."""
    body = describe(_node(), HARDWARE, NONE, []).body
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1"}
    ]
    assert body["topologyPolicies"] == ["None"]
    zone = body["zones"][1]
    assert (zone["name"], zone["type"]) == ("node-1", "Node")
    assert zone["resources"] == [
        {"name": name, "capacity": value, "allocatable": value, "available": value}
        for name, value in (("cpu", "8"), ("memory", str(4 * GI)))
    ]
    assert _stated(body)["l3-caches"] == [{"id": 0, "cpuset": "0-7"}, {"id": 1, "cpuset": "8-15"}]


def test_annotations_with_wrong_cpus_are_named() -> None:
    """CPUs that the machine does not have, and text that is no list: what can be read counts."""
    node = _node(reservation='{"reservedCPUs": "0,99"}', system="{")
    pods = [_bound("a", "LSE", "1,77", 2), _bound("b", "LSR", "9-3", 2)]
    found = describe(node, HARDWARE, NONE, pods)
    stated = {k: v for k, v in found.body["metadata"]["annotations"].items() if "pools" in k}
    assert json.loads(stated["node.koordinator.sh/cpu-shared-pools"])[0]["cpuset"] == "2-7"
    assert any("system-qos-resource" in finding for finding in found.findings)
    assert pods[1].findings


def test_cpus_that_go_offline_leave_the_pools() -> None:
    """The topology is of the CPUs that are online; a pod's set keeps the others."""
    small = Hardware(Topology.regular(1, 1, 2, 1), {}, [])
    stated = _stated(describe(_node(), small, None, [_bound("a", "LSE", "1-2", 2)]).body)
    assert stated["cpu-shared-pools"] == [{"socket": 0, "node": 0, "cpuset": "0"}]
    assert "l3-caches" not in stated
