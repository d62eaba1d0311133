"""What the pods of a node hold, by their annotations."""

import pytest

from tests.binding.builders import NOW, STATUS, pod
from webhook.binding.recovery import recover


def test_sets_of_bound_pods_are_found_whatever_their_class():
    """Finished pods, pods of other nodes and pods without a set have no entry."""
    found = recover(
        [
            pod("lsr", node="node-1", cpuset="0,8"),
            pod("ls", qos="LS", node="node-1", cpuset="1,9"),
            pod("none", qos="", node="node-1", cpuset="2,10"),
            pod("bare", node="node-1"),
            pod("done", node="node-1", cpuset="3,11", phase="Succeeded"),
            pod("other", node="node-2", cpuset="4,12"),
        ],
        "node-1",
        now=NOW,
    )
    assert [(entry.name, entry.qos, entry.cpus) for entry in found.entries] == [
        ("lsr", "LSR", {0, 8}),
        ("ls", "LS", {1, 9}),
        ("none", "", {2, 10}),
    ]
    assert found.problems == ()


def test_a_pod_cannot_claim_more_than_it_requests():
    """Anybody may write an annotation; it is no way to take a machine."""
    found = recover([pod("greedy", node="node-1", cpuset="0-15")], "node-1", now=NOW)
    assert found.entries == ()
    assert found.problems == ("d/greedy: its annotation names 16 CPUs, and it requests 2000m",)


@pytest.mark.parametrize("text", ["{", "[]", '"0"', '{"cpuset": 3}', '{"cpuset": "3-1"}', '{"cpuset": "a"}'])
def test_a_foreign_annotation_is_read_with_care(text):
    """It is named, and costs nobody anything."""
    assert len(recover([pod(node="node-1", annotations={STATUS: text})], "node-1", now=NOW).problems) == 1
