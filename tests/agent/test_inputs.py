"""What a plan is made of besides pods."""

import pytest

from tests.agent.plan.builders import a_node
from webhook.agent.inputs import memory_for_pods, reserved_cpu


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
