"""A Node and its NodeResourceTopology, read."""

import json

import pytest

from tests.binding.builders import node, nrt
from webhook.cpuset.allocation import BindPolicy, Strategy
from webhook.cpuset.hints import NumaPolicy
from webhook.pods.nodes.nodetopology import NodeTopologyError, read_node_topology

RESERVATION = "node.koordinator.sh/reservation"
KUBELET = "kubelet.koordinator.sh/cpu-manager-policy"


def test_reservations_of_all_kinds():
    """The node's, the kubelet's, the system's and what the kubelet has pinned."""
    pinned = [
        {"uid": "u", "cpuset": "3", "managedByKubelet": True},
        {"uid": "v", "cpuset": "4", "managedByKubelet": False},
    ]
    read = read_node_topology(
        node(annotations={RESERVATION: '{"reservedCPUs": "0"}'}),
        nrt(
            annotations={
                KUBELET: '{"policy": "static", "options": {"full-pcpus-only": "true"}, "reservedCPUs": "1"}',
                "node.koordinator.sh/system-qos-resource": '{"cpuset": "2"}',
                "node.koordinator.sh/pod-cpu-allocs": json.dumps(pinned),
            }
        ),
    )
    reserved = read.reservations
    assert (reserved.reserved, reserved.kubelet_reserved) == ({0}, {1})
    assert (reserved.system, reserved.system_exclusive, reserved.kubelet_pinned) == ({2}, True, {3})
    assert read.bind_policy is BindPolicy.FULL_PCPUS
    assert read.problems == ()


@pytest.mark.parametrize(
    ("kubelet", "strict"),
    [
        ({"policy": "static", "options": {"strict-cpu-reservation": "true"}}, True),
        ({"policy": "static", "options": {"strict-cpu-reservation": True, "full-pcpus-only": "true"}}, True),
        ({"policy": "static", "options": {"strict-cpu-reservation": "false"}}, False),
        ({"policy": "none", "options": {"strict-cpu-reservation": "true"}}, False),
        ({"policy": "static", "options": "strict-cpu-reservation"}, False),
        ({"policy": "static"}, False),
    ],
)
def test_strict_reservation_of_the_kubelet(kubelet, strict):
    """With that option of the static policy the kubelet's reserved CPUs are in no pool."""
    text = json.dumps(kubelet | {"reservedCPUs": "0,8"})
    read = read_node_topology(node(), nrt(annotations={KUBELET: text}))
    assert read.reservations.kubelet_reserved == {0, 8}
    assert read.reservations.reserved == ({0, 8} if strict else frozenset())
    assert read.problems == ()


def test_a_core_in_two_numa_nodes_is_one_core():
    """It is not cut in two, and the finding names the CPUs."""
    detail = [{"id": cpu, "core": cpu // 2, "node": cpu % 2, "socket": 0} for cpu in range(8)]
    cut = nrt(annotations={"node.koordinator.sh/cpu-topology": json.dumps({"detail": detail})})
    read = read_node_topology(node(), cut)
    assert [sorted(read.cpu_topology.ids(core)) for core in read.cpu_topology.core_masks] == [
        [0, 1], [2, 3], [4, 5], [6, 7]
    ]  # fmt: skip
    assert "cpu-topology: CPUs 1,3,5,7 lie in another NUMA node" in read.problems[0]


def test_a_bare_amount_takes_whole_cores():
    """Without koordlet an amount becomes CPUs here; with it, its copy says which."""
    amount = node(annotations={RESERVATION: '{"resources": {"cpu": "1500m"}}'})
    assert read_node_topology(amount, nrt()).reservations.reserved == {0, 8}
    copied = nrt(annotations={RESERVATION: '{"resources": {"cpu": "1500m"}, "reservedCPUs": "6-7"}'})
    assert read_node_topology(amount, copied).reservations.reserved == {6, 7}


def test_labels_say_how_to_bind():
    """Bind policy, strategy and NUMA policy; the label comes before the NRT's policies."""
    labels = {
        "node.koordinator.sh/cpu-bind-policy": "SpreadByPCPUs",
        "node.koordinator.sh/numa-allocate-strategy": "LeastAllocated",
        "node.koordinator.sh/numa-topology-policy": "Restricted",
    }
    read = read_node_topology(node(labels=labels), nrt(policies=["SingleNUMANodePodLevel"]))
    assert (read.bind_policy, read.strategy) == (BindPolicy.SPREAD_BY_PCPUS, Strategy.LEAST_ALLOCATED)
    assert read.numa_policy is NumaPolicy.RESTRICTED
    other = read_node_topology(node(), nrt(policies=["SingleNUMANodePodLevel"]))
    assert (other.bind_policy, other.numa_policy) == (BindPolicy.NONE, NumaPolicy.SINGLE_NUMA_NODE)


@pytest.mark.parametrize("default", Strategy)
def test_a_strategy_that_is_not_built_is_named_as_not_supported(default):
    """With what is done instead, and the remedy: nobody takes it for what it is not."""
    label = "node.koordinator.sh/numa-allocate-strategy"
    read = read_node_topology(node(labels={label: "DistributeEvenly"}), nrt(), strategy=default)
    assert read.strategy is default
    said = "DistributeEvenly is not supported: sets are chosen by"
    remedy = "use MostAllocated or LeastAllocated, or remove the label"
    assert read.problems == (f"label {label}: {said} {default}; {remedy}",)


def test_amplified_cpu_is_counted_for_real():
    """With a ratio above 1 the raw amount bounds what can be bound."""
    ratio = {"node.koordinator.sh/resource-amplification-ratio": '{"cpu": 1.5}'}
    raw = {"node.koordinator.sh/raw-allocatable": '{"cpu": "12500m"}'}
    assert read_node_topology(node(annotations=ratio | raw), nrt()).max_bindable == 12
    assert read_node_topology(node(annotations=raw), nrt()).max_bindable is None
    wrong = {"node.koordinator.sh/resource-amplification-ratio": '{"cpu": "much"}'}
    assert "no ratio" in read_node_topology(node(annotations=wrong), nrt()).problems[0]


def test_what_cannot_be_read_is_left_out_and_named():
    """Foreign annotations never end anything."""
    read = read_node_topology(
        node(
            labels={
                "node.koordinator.sh/cpu-bind-policy": "odd",
                "node.koordinator.sh/numa-topology-policy": "odd",
            },
            annotations={RESERVATION: "{", "node.koordinator.sh/system-qos-resource": '{"cpuset": "5-3"}'},
        ),
        nrt(annotations={KUBELET: "[]", "node.koordinator.sh/pod-cpu-allocs": "null"}),
    )  # fmt: skip
    assert len(read.problems) >= 5
    assert read.reservations.reserved == read.reservations.system == frozenset()
    assert read.bind_policy is BindPolicy.NONE


@pytest.mark.parametrize(
    ("topology", "said"),
    [
        (None, "it has no NodeResourceTopology"),
        ({"metadata": {"name": "node-1"}}, "has no annotation"),
        (nrt(annotations={"node.koordinator.sh/cpu-topology": "{}"}), "is not a list of CPUs"),
        (nrt(annotations={"node.koordinator.sh/cpu-topology": '{"detail": []}'}), "not a possible number"),
    ],
)
def test_nothing_is_bound_without_a_topology(topology, said):
    """The text begins as Koordinator's and says what is missing."""
    with pytest.raises(NodeTopologyError, match=rf"node\(s\) invalid CPU Topology: node-1: .*{said}"):
        read_node_topology(node(), topology)
