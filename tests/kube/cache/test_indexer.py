"""Which pods are on a node, after any changes."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.kube.cache.indexer import Indexer

NAMES, NODES = ("a", "b", "c"), ("", "node-1", "node-2")


def pod(name, node, label):
    """An object of the API."""
    return {"metadata": {"namespace": "d", "name": name}, "spec": {"nodeName": node}, "label": label}


PODS = st.builds(pod, st.sampled_from(NAMES), st.sampled_from(NODES), st.integers(0, 1))
LISTS = st.lists(PODS, unique_by=lambda each: each["metadata"]["name"])
CHANGES = st.one_of(
    st.tuples(st.just("changed"), PODS),
    st.tuples(st.just("deleted"), PODS),
    st.tuples(st.just("replace"), LISTS),
)


@given(st.lists(CHANGES, max_size=12))
def test_the_index_says_what_the_values_say(changes):
    """The tuple of a node is another one exactly when a pod on it has come, changed or gone."""
    store = Indexer(lambda _name, raw, _old: raw, lambda value: value["spec"]["nodeName"])
    for what, given_ in changes:
        before = {node: store.on_node(node) for node in NODES}
        if what == "replace":
            store.replace(map(store.listed, given_))
        else:
            getattr(store, what)(given_)
        for node in NODES[1:]:
            there = [each for each in store.values.values() if each["spec"]["nodeName"] == node]
            now = store.on_node(node)
            assert sorted(each["metadata"]["name"] for each in now) == sorted(
                each["metadata"]["name"] for each in there
            )
            assert all(each in there for each in now)
            same = sorted(map(str, now)) == sorted(map(str, before[node]))
            assert (now is before[node]) == same or now == before[node] == ()
        assert store.on_node("") == ()
        assert set(store.nodes()) == {each["spec"]["nodeName"] for each in store.values.values()} - {""}


def test_what_an_answer_brings_is_on_its_node():
    """A pod that is learned from a call is found, too."""
    store = Indexer(lambda _name, raw, _old: raw, lambda value: value["spec"]["nodeName"])
    store.learn(pod("a", "node-1", 0), None)
    assert len(store.on_node("node-1")) == 1
