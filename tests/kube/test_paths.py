"""Paths of collections and objects."""

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from webhook.kube.paths import NODES, collection, member, pod


def test_collections_of_the_core_group_and_of_others():
    """With and without a namespace."""
    assert NODES == "/api/v1/nodes"
    assert collection("v1", "events", "shop") == "/api/v1/namespaces/shop/events"
    assert collection("apps/v1", "deployments") == "/apis/apps/v1/deployments"
    assert pod("shop", "cart") == "/api/v1/namespaces/shop/pods/cart"


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_leads_elsewhere(namespace, name):
    """Whatever stands in a name, the path keeps its segments, and they decode to the names."""
    segments = member(collection("v1", "pods", namespace), name).split("/")
    assert [unquote(segment) for segment in segments] == [
        "", "api", "v1", "namespaces", namespace, "pods", name,
    ]  # fmt: skip
    assert not {"?", "#"} & set("".join(segments))
