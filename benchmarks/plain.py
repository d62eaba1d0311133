"""The allocator's order in plain Python: the baseline of the benchmark, and an oracle.

Exact for machines whose NUMA nodes lie in one socket each. Costs are tuples, tables
are dictionaries: least costs of r CPUs of the cores from one on, from the last core
to the first, then as many CPUs of each core as keep the least cost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from webhook.cpuset.allocation import BindPolicy, Exclusive, Holder, Request, Strategy
from webhook.cpuset.topology import Place, Topology

Cost = tuple[int, ...]
State = tuple[int, bool, bool]  # CPUs to take; socket touched; NUMA node touched

ZERO: Cost = (0,) * 9


@dataclass
class Problem:
    """One question: CPU ids throughout."""

    topology: Topology
    available: Collection[int]
    request: Request
    preferred: Collection[int] = ()
    holders: Iterable[Holder] = ()
    references: Mapping[int, int] = field(default_factory=dict)


def add(one: Cost, other: Cost) -> Cost:
    """Return the sum of two costs, line by line."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


def allocate(problem: Problem) -> list[int] | None:
    """Return the best CPUs as positions, ascending; None if there are none."""
    topology, request = problem.topology, problem.request
    nodes = request.numa_nodes
    available = {
        cpu
        for cpu in problem.available
        if nodes is None or topology.places[topology.position[cpu]].node in nodes
    }
    cores: list[list[Place]] = [[] for _ in topology.core_masks]
    for place in topology.places:
        cores[place.core].append(place)
    free = dict.fromkeys(topology.nodes, 0)
    for cpu in problem.available:
        free[topology.places[topology.position[cpu]].node] += 1
    options = [core_options(problem, core, available) for core in cores]
    tables: list[dict[State, Cost]] = [{} for _ in range(len(cores) + 1)]
    for state in ((0, a, b) for a in (False, True) for b in (False, True)):
        tables[-1][state] = ZERO
    for index in range(len(cores) - 1, -1, -1):
        for touched in ((False, False), (True, False), (True, True)):
            for count in range(request.count + 1):
                sums = []
                for taken, cost, _cpus in options[index]:
                    after, cost_of_touch = step(problem, cores, index, taken, touched, free)
                    rest = tables[index + 1].get((count - taken, *after))
                    if rest is not None:
                        sums.append(add(add(cost, cost_of_touch), rest))
                if sums:
                    tables[index][count, *touched] = min(sums)
    return collect(problem, cores, options, tables, free)


def collect(
    problem: Problem,
    cores: list[list[Place]],
    options: list[list[tuple[int, Cost, list[int]]]],
    tables: list[dict[State, Cost]],
    free: Mapping[int, int],
) -> list[int] | None:
    """Walk the tables from the first core on, taking the most that stays best."""
    count, touched, chosen = problem.request.count, (False, False), list[int]()
    if (count, *touched) not in tables[0]:
        return None
    for index in range(len(cores)):
        goal = tables[index][count, *touched]
        for taken, cost, cpus in reversed(options[index]):
            if taken > count:
                continue
            after, cost_of_touch = step(problem, cores, index, taken, touched, free)
            rest = tables[index + 1].get((count - taken, *after))
            if rest is not None and add(add(cost, cost_of_touch), rest) == goal:
                chosen.extend(problem.topology.position[cpu] for cpu in cpus)
                count, touched = count - taken, after
                break
    return sorted(chosen)


def step(
    problem: Problem,
    cores: list[list[Place]],
    index: int,
    taken: int,
    touched: tuple[bool, bool],
    free: Mapping[int, int],
) -> tuple[tuple[bool, bool], Cost]:
    """Return what is touched before the next core, and what touching has cost."""
    here = cores[index][0]
    socket, node = touched
    cost = ZERO
    if taken and not node:
        left = free[here.node]
        if problem.request.strategy is Strategy.LEAST_ALLOCATED:
            left = -left
        cost = (0, 0, int(not socket), 1, 0, 0, 0, 0, left)
        socket = node = True
    after = cores[index + 1][0] if index + 1 < len(cores) else None
    return (
        (
            socket and after is not None and after.socket == here.socket,
            node and after is not None and after.node == here.node,
        ),
        cost,
    )


def core_options(
    problem: Problem, core: list[Place], available: set[int]
) -> list[tuple[int, Cost, list[int]]]:
    """Return (how many, cost, which) for every number of CPUs one core can give."""
    request, wish = problem.request, bool(set(problem.preferred) & available)
    cpus = sorted(
        (place.cpu for place in core if place.cpu in available),
        key=lambda cpu: (wish and cpu not in problem.preferred, problem.references.get(cpu, 0), cpu),
    )
    held = {
        level: any(
            place.cpu in holder.cpus
            for holder in problem.holders
            if holder.exclusive is level
            for place in (core if level is Exclusive.PCPU_LEVEL else problem.topology.places)
            if place.node == core[0].node
        )
        for level in (Exclusive.PCPU_LEVEL, Exclusive.NUMA_NODE_LEVEL)
    }
    found = []
    for taken in range(len(cpus) + 1):
        part, whole = 0 < taken < len(core), len(cpus) == len(core)
        full = request.bind_policy is BindPolicy.FULL_PCPUS
        spread = request.bind_policy is BindPolicy.SPREAD_BY_PCPUS
        if request.required and ((full and part) or (spread and taken > 1)):
            continue
        breaks = whole and part
        if spread and not request.spare_whole_cores:
            breaks = taken > 0 and not whole
        found.append(
            (
                taken,
                (
                    taken * held.get(request.exclusive, False),
                    sum(wish and cpu not in problem.preferred for cpu in cpus[:taken]),
                    0,
                    0,
                    part if full else max(0, taken - 1) if spread else 0,
                    taken * sum(held.values()),
                    int(breaks),
                    sum(problem.references.get(cpu, 0) for cpu in cpus[:taken]),
                    0,
                ),
                cpus[:taken],
            )
        )
    return found
