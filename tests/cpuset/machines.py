"""Random machines and questions, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from benchmarks.plain import Problem
from webhook.cpuset.allocation import BindPolicy, Exclusive, Holder, Request, Strategy
from webhook.cpuset.topology import Cpu, Topology


@st.composite
def topologies(draw: st.DrawFn, most: int = 40) -> Topology:
    """Machines with cores of one to three threads, uneven nodes and holes in the ids."""
    cpus: list[Cpu] = []
    next_id = core = node = 0
    stride = draw(st.sampled_from([1, 1, 2, 7]))
    for socket in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 2))):
            for threads in draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)):
                for _ in range(threads):
                    if len(cpus) < most:
                        cpus.append(Cpu(next_id, core, node, socket))
                        next_id += stride
                core += 1
            node += 1
    return Topology(draw(st.permutations(cpus)))


@st.composite
def problems(draw: st.DrawFn, most: int = 40) -> Problem:
    """Questions of every kind about a random machine."""
    topology = draw(topologies(most))
    ids = sorted(topology.position)
    subset = st.frozensets(st.sampled_from(ids))
    available = draw(subset | st.just(frozenset(ids)))
    holders = draw(st.lists(st.builds(Holder, subset, st.sampled_from(Exclusive)), max_size=2))
    nodes = draw(st.none() | st.frozensets(st.sampled_from(topology.nodes), min_size=1))
    references = draw(st.just({}) | st.dictionaries(st.sampled_from(ids), st.integers(0, 3)))
    request = Request(
        draw(st.integers(0, len(available))),
        draw(st.sampled_from(BindPolicy)),
        required=draw(st.booleans()),
        exclusive=draw(st.sampled_from(Exclusive)),
        strategy=draw(st.sampled_from(Strategy)),
        spare_whole_cores=draw(st.booleans()),
        numa_nodes=nodes,
    )
    return Problem(topology, available, request, draw(st.just(frozenset()) | subset), holders, references)
