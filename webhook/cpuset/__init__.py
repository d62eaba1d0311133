"""CPU sets: exact allocation, sharing rules, NUMA hints and BE suppression."""

from webhook.cpuset.alignment import Aligned, align, cpu_amount, node_uses
from webhook.cpuset.allocation import (
    MAX_REFERENCES,
    Allocation,
    BindPolicy,
    Exclusive,
    Holder,
    Pool,
    Request,
    Strategy,
    allocate,
)
from webhook.cpuset.cpulist import MAX_CPU_ID, format_cpulist, parse_cpulist
from webhook.cpuset.discovery import (
    parse_shape,
    topology_from_annotation,
    topology_from_data,
    topology_from_lscpu,
    topology_from_sysfs,
)
from webhook.cpuset.drawing import draw_node, draw_topology
from webhook.cpuset.errors import (
    CpuListError,
    CpuSetError,
    NotEnoughCpusError,
    RequestError,
    SharingError,
    TopologyError,
)
from webhook.cpuset.hints import Affinity, Amount, Hint, NodeUse, NumaPolicy, best_nodes, merge_hints
from webhook.cpuset.problem import solve
from webhook.cpuset.qos import QoS, may_share
from webhook.cpuset.sharing import NodeState, Pod, PoolLimit, Reservations
from webhook.cpuset.suppression import be_budget, be_count, measure_be, select_be
from webhook.cpuset.topology import MAX_CPUS, MAX_NUMA_NODES, Cpu, Place, Topology

__all__ = [
    "MAX_CPUS",
    "MAX_CPU_ID",
    "MAX_NUMA_NODES",
    "MAX_REFERENCES",
    "Affinity",
    "Aligned",
    "Allocation",
    "Amount",
    "BindPolicy",
    "Cpu",
    "CpuListError",
    "CpuSetError",
    "Exclusive",
    "Hint",
    "Holder",
    "NodeState",
    "NodeUse",
    "NotEnoughCpusError",
    "NumaPolicy",
    "Place",
    "Pod",
    "Pool",
    "PoolLimit",
    "QoS",
    "Request",
    "RequestError",
    "Reservations",
    "SharingError",
    "Strategy",
    "Topology",
    "TopologyError",
    "align",
    "allocate",
    "be_budget",
    "be_count",
    "best_nodes",
    "cpu_amount",
    "draw_node",
    "draw_topology",
    "format_cpulist",
    "may_share",
    "measure_be",
    "merge_hints",
    "node_uses",
    "parse_cpulist",
    "parse_shape",
    "select_be",
    "solve",
    "topology_from_annotation",
    "topology_from_data",
    "topology_from_lscpu",
    "topology_from_sysfs",
]
