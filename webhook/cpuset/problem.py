"""Allocation problems as data: one JSON object, as recorded or written by hand.

Fields: ``topology`` (see topology_from_data), ``available`` (a cpulist; all CPUs
where it is left out), ``numCPUs``, and optionally ``bindPolicy``, ``required``,
``exclusivePolicy``, ``numaStrategy``, ``maxRefCount``, ``preferred`` (a cpulist),
``numaNodes`` (a list of ids) and ``allocated``: a list of ``{"cpus", "exclusive",
"refcount"}``. Other fields are ignored.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from webhook.cpuset.allocation import (
    Allocation,
    BindPolicy,
    Exclusive,
    Holder,
    Pool,
    Request,
    Strategy,
)
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import topology_from_data
from webhook.cpuset.errors import RequestError, check_integer
from webhook.cpuset.topology import Topology
from webhook.protocol import CONSTRAINED_BURST, POLICY_DEFAULT

_T = TypeVar("_T")

_POLICIES: Final = {
    str(BindPolicy.FULL_PCPUS): BindPolicy.FULL_PCPUS,
    str(BindPolicy.SPREAD_BY_PCPUS): BindPolicy.SPREAD_BY_PCPUS,
    # What a pod's Default means is decided before a problem is written down, and
    # ConstrainedBurst is a name only: neither prefers any cores here.
    POLICY_DEFAULT: BindPolicy.NONE,
    CONSTRAINED_BURST: BindPolicy.NONE,
    str(BindPolicy.NONE): BindPolicy.NONE,
    "": BindPolicy.NONE,
}
_LEVELS: Final = {"": Exclusive.NONE, **{str(level): level for level in Exclusive}}
_STRATEGIES: Final = {str(strategy): strategy for strategy in Strategy}


def solve(problem: Mapping[str, object], topology: Topology | None = None) -> Allocation:
    """Return the best answer to a problem; a CpuSetError names the field that is wrong.

    ``topology`` saves reading the problem's own again.
    """
    machine = topology or topology_from_data(problem.get("topology"))
    pool, request = pose(problem, machine)
    return pool.allocate(request)


def pose(problem: Mapping[str, object], topology: Topology) -> tuple[Pool, Request]:
    """Return what a problem's CPUs are chosen from and what it asks for."""
    holders, references = _holders(problem.get("allocated") or [])
    available = problem.get("available")
    limit = _number(problem, "maxRefCount", 1)
    if available is None:
        full = {cpu for cpu, count in references.items() if count >= limit}
        cpus = frozenset(topology.position) - full
    else:
        cpus = _cpulist(available, "available")
    pool = Pool(
        topology,
        cpus,
        preferred=_cpulist(problem.get("preferred", ""), "preferred"),
        holders=holders,
        references=references if limit > 1 else None,
    )
    nodes = problem.get("numaNodes")
    if nodes is not None and not isinstance(nodes, list):
        raise RequestError("numaNodes", nodes, "is no list", "give a list of NUMA node ids")
    required = problem.get("required", False)
    if not isinstance(required, bool):
        raise RequestError("required", required, "is neither true nor false", "give one of them")
    topology.node_ranks(nodes or ())
    return pool, Request(
        count=check_integer("numCPUs", problem.get("numCPUs"), "a number of whole CPUs"),
        bind_policy=_named(problem, "bindPolicy", BindPolicy.FULL_PCPUS, _POLICIES),
        required=required,
        exclusive=_named(problem, "exclusivePolicy", "", _LEVELS),
        strategy=_named(problem, "numaStrategy", Strategy.MOST_ALLOCATED, _STRATEGIES),
        numa_nodes=None if nodes is None else frozenset(nodes),
    )


def _holders(entries: object) -> tuple[list[Holder], dict[int, int]]:
    if not isinstance(entries, list):
        raise RequestError("allocated", entries, "is no list", 'give [{"cpus": …}, …]')
    holders, references = [], dict[int, int]()
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise RequestError(f"allocated[{index}]", entry, "is no object", 'give {"cpus": …}')
        cpus = _cpulist(entry.get("cpus"), f"allocated[{index}].cpus")
        holders.append(Holder(cpus, _named(entry, "exclusive", "", _LEVELS)))
        count = _number(entry, "refcount", 1)
        for cpu in cpus:
            references[cpu] = references.get(cpu, 0) + count
    return holders, references


def _cpulist(value: object, field: str) -> frozenset[int]:
    return parse_cpulist(value, field=field)  # type: ignore[arg-type]  # it checks for text itself


def _number(entry: Mapping[str, object], field: str, default: int) -> int:
    return check_integer(field, entry.get(field, default), "a count")


def _named(entry: Mapping[str, object], field: str, default: str, names: Mapping[str, _T]) -> _T:
    value = entry.get(field, default)
    if not isinstance(value, str) or value not in names:
        known = ", ".join(name for name in names if name)
        raise RequestError(field, value, "is unknown", f"use one of {known}")
    return names[value]
