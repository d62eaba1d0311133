"""The caches of pods and nodes follow what the watches bring."""

from tests.binding.builders import pod
from webhook.binding.caches import PodStore


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
