"""The caches of pods and nodes follow what the watches bring."""

import json
import logging

import pytest

from tests.binding.builders import node, nrt, pod
from webhook.binding.caches import Nodes, awaits_binding, pod_store, trim_node, trim_pod
from webhook.pods.nodes.nodetopology import NodeTopologyError


def names(store, node):
    """The pods on a node."""
    return {found["metadata"]["name"] for found in store.on_node(node)}


def test_the_pods_of_a_node_follow_every_change():
    """Listed, bound, bound elsewhere under the same name, deleted."""
    store = pod_store()
    store.replace(map(store.listed, (pod("a", node="node-1"), pod("b"))))
    assert names(store, "node-1") == {"a"}
    store.changed(pod("b", node="node-1"))
    assert names(store, "node-1") == {"a", "b"}
    store.changed(pod("a", node="node-2", uid="another"))
    assert (names(store, "node-1"), names(store, "node-2")) == ({"b"}, {"a"})
    store.deleted(pod("b", node="node-1"))
    assert names(store, "node-1") == set()


def test_what_of_a_node_cannot_be_read_is_logged_once(caplog):
    """A topology that changes between two reads costs its own node only; a new problem is logged."""
    nodes = Nodes()
    bad = {"node.koordinator.sh/pod-cpu-allocs": "{"}
    cut = json.dumps({"detail": [{"id": cpu, "core": 0, "socket": 0, "node": cpu} for cpu in range(2)]})
    for name in ("node-1", "node-2"):
        nodes.nodes.changed(node(name))
        nodes.topologies.changed(nrt(name=name))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            nodes.topologies.changed(nrt(annotations=bad))
            assert nodes.topology_of("node-1").cpu_topology.size == 16
        assert [each.getMessage() for each in caplog.records] == [
            "node node-1: annotation node.koordinator.sh/pod-cpu-allocs: '{' cannot be read"
        ]
        nodes.topologies.changed(nrt(annotations=bad | {"node.koordinator.sh/cpu-topology": cut}))
        assert nodes.topology_of("node-1").cpu_topology.size == 2
        assert "CPUs 1 lie in another NUMA node" in caplog.records[-1].getMessage()
        assert len(caplog.records) == 2
    nodes.topologies.changed(nrt(annotations={"node.koordinator.sh/cpu-topology": "{"}))
    with pytest.raises(NodeTopologyError, match="node-1: cpu-topology"):
        nodes.topology_of("node-1")
    assert nodes.topology_of("node-2").cpu_topology.size == 16


def test_where_a_pod_may_go_is_kept_until_it_is_bound():
    """Of pods that are bound it is not asked any more."""
    placement = {"nodeSelector": {"a": "b"}, "affinity": {"nodeAffinity": {}}, "tolerations": [{}]}
    assert trim_pod(pod(placement=placement))["spec"].items() >= placement.items()
    assert not trim_pod(pod(placement=placement, node="node-1"))["spec"].keys() & placement.keys()


def test_a_node_keeps_labels_and_taints():
    """And that it is cordoned, also before a controller has made a taint of it."""
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    other = {"key": "t", "effect": "NoExecute"}
    for spec, taints in (
        ({}, []),
        ({"taints": [other], "podCIDR": "10.0.0.0/24"}, [other]),
        ({"unschedulable": True}, [cordoned]),
        (
            {"unschedulable": True, "taints": [cordoned | {"timeAdded": "now"}]},
            [cordoned | {"timeAdded": "now"}],
        ),
    ):
        kept = trim_node(node(labels={"any": "label"}, annotations={"other": "a"}, **spec))
        assert kept["spec"] == {"taints": taints}
        assert kept["metadata"] == {
            "name": "node-1", "uid": "node-uid", "labels": {"any": "label"}, "annotations": {},
        }  # fmt: skip


@pytest.mark.parametrize(
    ("made", "awaits"),
    [
        (pod(), True),
        (pod(phase="Pending"), True),
        (pod(node="node-1"), False),
        (pod(phase="Succeeded"), False),
        (pod(deletionTimestamp="2026-11-23T07:00:00Z"), False),
        (pod(placement={"schedulingGates": [{"name": "g"}]}), False),
        (pod(placement={"schedulingGates": []}), True),
    ],
)
def test_a_pod_awaits_its_binding(made, awaits):
    """Trimmed as it is."""
    assert awaits_binding(trim_pod(made)) is awaits
