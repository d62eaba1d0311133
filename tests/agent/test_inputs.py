"""What a plan is made of besides pods."""

import pytest

from tests.agent.plan.builders import a_node
from webhook.agent.inputs import counts_shares, memory_for_pods, reserved_cpu


def test_memory_of_a_node():
    """Bytes; None where it says nothing, or what cannot be read."""
    assert memory_for_pods({"status": {"allocatable": {"memory": "1Ki"}}}) == 1024
    for node in ({}, {"status": None}, {"status": {"allocatable": {"memory": "x"}}}):
        assert memory_for_pods(node) is None


@pytest.mark.parametrize(
    ("capacity", "allocatable", "reserved"),
    [("16", "14500m", 2000), ("16", "13", 3000), ("16", None, 2000), ("16", "x", 2000), ("4", "16", 2000)],
)
def test_cpu_that_is_kept_from_pods(capacity, allocatable, reserved):
    """By the kubelet or by the node's reservation, of two CPUs here, whichever is more."""
    status = {"capacity": {"cpu": capacity}, "allocatable": {"cpu": allocatable} if allocatable else {}}
    assert reserved_cpu({"status": status}, a_node(reserved={14, 15})) == reserved


@pytest.mark.parametrize(
    ("version", "counted"),
    [
        ("v1.35.9", False),
        ("v1.36.0", True),
        ("v1.37.2-eks-1", True),
        ("v2.0.0", True),
        ("", False),
        (7, False),
    ],
)
def test_shares_that_count_as_requested(version, counted):
    """From Kubernetes 1.36 on; a node that does not say which it is has them written."""
    assert counts_shares({"status": {"nodeInfo": {"kubeletVersion": version}}}) is counted
    assert not counts_shares({})
