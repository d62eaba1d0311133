"""The caches of pods and nodes follow what the watches bring."""

import json
import logging

import pytest

from tests.binding.builders import node, nrt, pod
from webhook.binding.caches import Nodes, PodStore
from webhook.binding.nodetopology import NodeTopologyError


def names(store, node):
    """The pods on a node."""
    return {found["metadata"]["name"] for found in store.on_node(node)}


def test_the_pods_of_a_node_follow_every_change():
    """Listed, bound, bound elsewhere under the same name, deleted."""
    store = PodStore()
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
