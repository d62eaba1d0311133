"""A pod's NUMA nodes are chosen by policy, and its CPUs lie there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.alignment import align, cpu_amount, node_uses
from webhook.cpuset.allocation import BindPolicy, Pool, Request, Strategy
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.errors import NotEnoughCpusError
from webhook.cpuset.hints import Amount, NodeUse, NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod, PoolLimit, Reservations
from webhook.cpuset.topology import Cpu, Topology


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


@pytest.mark.parametrize("policy", NumaPolicy)
@pytest.mark.parametrize("count", [17, 8193, 2**31, 10**18])
def test_more_than_any_machine_has(policy: NumaPolicy, count: int) -> None:
    """A pod that requests more CPUs than there are is refused, however many."""
    whole = Request(count, BindPolicy.FULL_PCPUS, required=True)
    for request in (Request(count), whole):
        assert align(NodeState(parse_shape("2x1x4x2")), request, policy).allocation is None


def sets_that_exist(topology: Topology, available: frozenset[int], request: Request) -> dict[int, bool]:
    """Return for each set of NUMA nodes, as bits, whether the request can be met on it, by trying."""
    found = {}
    for mask in range(1, 1 << len(topology.nodes)):
        nodes = frozenset(node for rank, node in enumerate(topology.nodes) if mask >> rank & 1)
        try:
            Pool(topology, available).allocate(replace(request, numa_nodes=nodes))
        except NotEnoughCpusError:
            found[mask] = False
        else:
            found[mask] = True
    return found


@given(topologies(24), st.sampled_from(NumaPolicy), st.data())
def test_nodes_are_chosen_by_sets_that_exist(
    topology: Topology, policy: NumaPolicy, data: st.DataObject
) -> None:
    """A pod is refused only where no set of NUMA nodes that its policy allows has such CPUs.

    The machines have cores of one to three threads and NUMA nodes of all sizes.
    """
    reserved = data.draw(st.frozensets(st.sampled_from(sorted(topology.position))))
    state = NodeState(topology, Reservations(reserved=reserved), PoolLimit(minimum_cpus=0))
    request = Request(
        data.draw(st.integers(1, topology.size)),
        data.draw(st.sampled_from(BindPolicy)),
        required=data.draw(st.booleans()),
        strategy=data.draw(st.sampled_from(Strategy)),
    )
    exist = sets_that_exist(topology, state.available(), request)
    holding = [mask for mask, holds in exist.items() if holds]
    if policy is NumaPolicy.SINGLE_NUMA_NODE:
        holding = [mask for mask in holding if mask.bit_count() == 1]
    aligned = align(state, request, policy)
    assert (aligned.allocation is not None) == bool(holding)
    if aligned.allocation is None:
        return
    assert len(aligned.allocation.cpus) == request.count
    if policy is not NumaPolicy.NONE:
        assert len(aligned.affinity.nodes) == min(mask.bit_count() for mask in holding)


@pytest.mark.parametrize("policy", NumaPolicy)
@pytest.mark.parametrize("strategy", Strategy)
def test_whole_cores_beside_an_offline_thread(policy: NumaPolicy, strategy: Strategy) -> None:
    """Three CPUs on whole cores lie where one core has a single thread, and on no other NUMA node."""
    pairs = [Cpu(cpu, cpu // 2, 0, 0) for cpu in range(8)]
    topology = Topology([*pairs, *(Cpu(8 + cpu, 8 + cpu // 2, 1, 1) for cpu in range(7))])
    request = Request(3, BindPolicy.FULL_PCPUS, required=True, strategy=strategy)
    allocation = align(NodeState(topology), request, policy).allocation
    assert allocation is not None
    assert allocation.cpulist == "8-9,14"
    regular = NodeState(Topology(pairs))
    assert align(regular, request, policy).allocation is None
    assert align(regular, replace(request, count=4), policy).allocation is not None


@pytest.mark.parametrize("policy", [policy for policy in NumaPolicy if policy is not NumaPolicy.NONE])
@pytest.mark.parametrize("nodes", [28, 29, 32, 48, 64])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_machines_of_many_numa_nodes(policy: NumaPolicy, nodes: int, data: st.DataObject) -> None:
    """There is an answer on any number of NUMA nodes, of which no two are alike."""
    topology = Topology.regular(2, nodes // 2, 8, 2) if nodes % 2 == 0 else Topology.regular(1, nodes, 8, 2)
    reserved = frozenset(
        cpu for rank in range(nodes) for cpu in range(rank * 16, rank * 16 + data.draw(st.integers(0, 15)))
    )
    state = NodeState(topology, Reservations(reserved=reserved))
    count = data.draw(st.integers(1, 2 * len(state.available())))
    free = sorted(len(state.available() & set(topology.ids(node))) for node in topology.node_masks)
    fewest = next((n for n in range(1, nodes + 1) if sum(free[-n:]) >= count), None)
    aligned = align(state, Request(count), policy)
    if fewest is None or (fewest > 1 and policy is NumaPolicy.SINGLE_NUMA_NODE):
        assert aligned.allocation is None
    else:
        assert len(aligned.affinity.nodes) == fewest
