"""A pod's NUMA nodes are chosen by policy, and its CPUs lie there."""

from __future__ import annotations

import pytest

from webhook.cpuset.alignment import align, cpu_amount, node_uses
from webhook.cpuset.allocation import BindPolicy, Request
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.hints import Amount, NodeUse, NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, PoolLimit


@pytest.fixture
def state() -> NodeState:
    """Two NUMA nodes of eight CPUs; a pod holds CPU 0, another 4-9."""
    node = NodeState(parse_shape("2x1x4x2"), limit=PoolLimit(minimum_cpus=0))
    node.adopt(Pod("one", QoS.LSR, 1000), {0})
    node.adopt(Pod("two", QoS.LSE, 6000), range(4, 10))
    return node


def test_uses(state: NodeState) -> None:
    """A pod over two nodes makes both shared, whatever lies in one of them."""
    assert node_uses(state) == (NodeUse.SHARED, NodeUse.SHARED)
    state.release("two")
    assert node_uses(state) == (NodeUse.SINGLE, NodeUse.IDLE)


def test_amounts(state: NodeState) -> None:
    """What a node can give hangs on a required policy."""
    full, spread = BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS
    assert cpu_amount(state, Request(2, full)).free == [3, 6]
    assert cpu_amount(state, Request(2, full, required=True)).free == [2, 6]
    assert cpu_amount(state, Request(2, spread, required=True)).free == [2, 3]


def test_policies(state: NodeState) -> None:
    """One node where one holds it; several only where the policy lets them."""
    found = align(state, Request(4), NumaPolicy.SINGLE_NUMA_NODE)
    assert (found.affinity.nodes, found.allocation and found.allocation.cpulist) == ((1,), "10-13")
    assert align(state, Request(8), NumaPolicy.SINGLE_NUMA_NODE).allocation is None
    both = align(state, Request(8), NumaPolicy.RESTRICTED)
    assert both.affinity.nodes == (0, 1)
    assert both.allocation is not None
    assert align(state, Request(99), NumaPolicy.BEST_EFFORT).allocation is None
    assert align(state, Request(9), NumaPolicy.NONE).allocation is not None


def test_other_resources_count(state: NodeState) -> None:
    """Memory on the other node only makes the pod span both, or be refused."""
    memory = {"memory": Amount(10, [20, 0], [20, 20])}
    assert align(state, Request(4), NumaPolicy.RESTRICTED, others=memory).affinity.nodes == (0, 1)
    refused = align(state, Request(4), NumaPolicy.SINGLE_NUMA_NODE, others=memory)
    assert not refused.affinity.admit
    assert refused.allocation is None


def test_exclusive(state: NodeState) -> None:
    """A node that pods share with others is not taken alone."""
    found = align(state, Request(2), NumaPolicy.RESTRICTED, exclusive=True)
    assert found.affinity.nodes == (0, 1)
    assert align(state, Request(2), NumaPolicy.SINGLE_NUMA_NODE, exclusive=True).allocation is None
