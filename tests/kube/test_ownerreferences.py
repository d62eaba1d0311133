"""Owners of objects."""

import pytest

from webhook.kube.ownerreferences import controller_of, owned_by_node, owner_of_kind, owners

SET = {"kind": "ReplicaSet", "name": "web-6f", "uid": "u1", "controller": True}
OTHER = {"kind": "Node", "name": "n1", "uid": "u2", "controller": "true"}


def test_owners() -> None:
    """The controller is the one that says so by a boolean; a kind is found among all."""
    metadata = {"ownerReferences": [OTHER, None, SET]}
    assert owners(metadata) == [OTHER, SET]
    assert controller_of(metadata) == SET
    assert owner_of_kind(metadata, "Node") == OTHER
    assert owner_of_kind({"ownerReferences": owned_by_node("n1", "u2")}, "Node")["uid"] == "u2"


@pytest.mark.parametrize("listed", [None, [], "x", {"kind": "Node"}, ["Node", 7]])
def test_none(listed: object) -> None:
    """Nothing, and what cannot be owners, is none."""
    assert owners({"ownerReferences": listed}) == []
    assert controller_of({}) == owner_of_kind({"ownerReferences": listed}, "Node") == {}
