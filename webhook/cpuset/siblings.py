"""Which CPUs are one core, and which one socket, where a machine's numbers do not say it alone.

Numbers of sockets and cores are unique within something larger on some machines, and virtual
machines have NUMA nodes that cut cores.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.topology import Cpu, Topology

_Key = TypeVar("_Key", bound=Hashable)


def socket_numbers(numbers: Mapping[_Key, int]) -> dict[_Key, int]:
    """Return a number for each socket: its own where all of these differ, else its rank.

    ``numbers`` is the number that the machine gives to each socket, in the order of the ranks.
    """
    own = set(numbers.values())
    if len(own) == len(numbers) and min(own, default=0) >= 0:
        return dict(numbers)
    return {socket: rank for rank, socket in enumerate(numbers)}


def topology_of_whole_cores(cpus: Iterable[Cpu]) -> Topology:
    """Return a machine whose core numbers are unique within a socket, so that no NUMA node cuts a core.

    A core counts to the NUMA node of its first CPU; ``notes`` of the topology names the CPUs
    that were described as part of another one. TopologyError as Topology.
    """
    given = list(cpus)
    nodes: dict[tuple[int, int], int] = {}
    try:
        for cpu in sorted(given):
            nodes.setdefault((cpu.socket, cpu.core), cpu.node)
    except TypeError:
        return Topology(given)  # which names the value that is no number
    moved = [cpu.cpu for cpu in given if nodes[cpu.socket, cpu.core] != cpu.node]
    if not moved:
        return Topology(given)
    whole = [cpu._replace(node=nodes[cpu.socket, cpu.core]) for cpu in given]
    note = (
        f"CPUs {format_cpulist(moved)} lie in another NUMA node than the first CPU of their core; "
        "each core counts to the NUMA node of its first CPU"
    )
    return Topology(whole, notes=(note,))
