"""What a plan is made of besides pods."""

import pytest

from tests.agent.plan.builders import a_node
from webhook.agent.inputs import counts_shares, inputs_of, memory_for_pods, reserved_cpu
from webhook.agent.plan.settings import DEFAULTS
from webhook.pods.quantities import NANO


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
    ("stated", "ratio", "problems"),
    [({}, NANO, 0), ("1.2", NANO * 12 // 10, 0), ("0.5", NANO, 0), ("fast", NANO, 1)],
    ids=["none", "faster", "slower", "no ratio"],
)
def test_how_much_faster_the_cpus_are(stated, ratio, problems):
    """By the node's annotation, as capacity reads it; one that is no ratio is ignored, with a finding."""
    noted = {"node.koordinator.sh/cpu-normalization-ratio": stated} if stated else {}
    node = {"metadata": {"name": "n", "annotations": noted}}
    made = inputs_of(node, a_node().cpu_topology, None, [], DEFAULTS)
    assert made.settings.ratio == ratio
    assert len([each for each in made.node.problems if "is no ratio from 1 to 5" in each]) == problems


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
