"""allocate: equal to the plain version of the order, and exact about refusals."""

from __future__ import annotations

import threading
from itertools import combinations

import pytest
from hypothesis import given, settings

from benchmarks.plain import Problem
from benchmarks.plain import allocate as plain_allocate
from tests.cpuset.machines import problems
from webhook.cpuset.allocation import BindPolicy, Exclusive, Holder, Pool, Request, Strategy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.errors import NotEnoughCpusError, RequestError
from webhook.cpuset.topology import Topology

EIGHT = parse_shape("1x1x4x2")
FULL, SPREAD = BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS


def pool_of(problem: Problem) -> Pool:
    """Return the problem's pool."""
    return Pool(
        problem.topology,
        problem.available,
        preferred=problem.preferred,
        holders=problem.holders,
        references=problem.references or None,
    )


def allocate(topology: Topology, available: object, request: Request, **given: object):
    """Return the best of the available CPUs."""
    return Pool(topology, available, **given).allocate(request)


@given(problems())
@settings(max_examples=400, deadline=None)
def test_equals_plain_python(problem: Problem) -> None:
    """Every answer is the plain version's, and a refusal is one of it too."""
    expected = plain_allocate(problem)
    try:
        found = pool_of(problem).allocate(problem.request)
    except NotEnoughCpusError as error:
        assert expected is None
        assert 0 <= error.possible < error.asked
        return
    assert expected is not None
    assert sorted(problem.topology.position[cpu] for cpu in found.cpus) == expected
    assert found.numa_nodes == tuple(
        sorted({problem.topology.places[position].node for position in expected})
    )


@given(problems(most=10))
@settings(max_examples=100, deadline=None)
def test_nothing_measures_better(problem: Problem) -> None:
    """No set of the same size is less in the ten lines."""
    pool, request = pool_of(problem), problem.request
    try:
        best = pool.measure(request, pool.allocate(request).cpus)
    except NotEnoughCpusError:
        return
    for other in combinations(sorted(problem.available), request.count):
        assert best <= pool.measure(request, other)


@given(problems())
@settings(max_examples=100, deadline=None)
def test_possible_is_the_most(problem: Problem) -> None:
    """The number a refusal names can be had, and none between it and what was asked."""
    pool, request = pool_of(problem), problem.request
    try:
        pool.allocate(request)
    except NotEnoughCpusError as error:
        for count in range(error.possible, error.asked):
            again = Request(
                count, request.bind_policy, required=request.required, numa_nodes=request.numa_nodes
            )
            if count == error.possible:
                assert len(pool.allocate(again).cpus) == count
            else:
                with pytest.raises(NotEnoughCpusError):
                    pool.allocate(again)


@pytest.mark.parametrize(
    ("available", "request_", "expected"),
    [
        ("0-5,7", Request(3), "0-1,7"),
        ("0-5,7", Request(1), "7"),
        ("0-7", Request(3, SPREAD), "0,2,4"),
        ("1,3,5-7", Request(1, SPREAD), "6"),
        ("1,3,5-7", Request(1, SPREAD, spare_whole_cores=True), "1"),
        ("0-7", Request(0), ""),
        ("0-7", Request(8), "0-7"),
    ],
)
def test_examples(available: str, request_: Request, expected: str) -> None:
    """Shared cores are used up first, idle ones go to spreading pods, none is broken idly."""
    assert allocate(EIGHT, parse_cpulist(available), request_).cpulist == expected


def test_best_fit_and_worst_fit() -> None:
    """MostAllocated takes the fuller NUMA node, LeastAllocated the emptier."""
    topology = parse_shape("1x2x4x2")
    free = parse_cpulist("0-7,12-15")
    assert allocate(topology, free, Request(2)).cpulist == "12-13"
    assert allocate(topology, free, Request(2, strategy=Strategy.LEAST_ALLOCATED)).cpulist == "0-1"


def test_numbering_does_not_matter() -> None:
    """The answer lies on the same cores and threads however the ids run."""
    request = Request(5, SPREAD)
    answers = set()
    for numbering in ("adjacent", "linux", "interleave"):
        topology = Topology.regular(2, 2, 4, 2, numbering)
        found = allocate(topology, topology.position, request)
        answers.add(tuple(sorted(topology.position[cpu] for cpu in found.cpus)))
    assert len(answers) == 1


def test_exclusive_pods_keep_apart() -> None:
    """A PCPULevel pod stays off another's core, and so does one without a wish."""
    holders = [Holder(frozenset({0}), Exclusive.PCPU_LEVEL)]
    for exclusive in Exclusive:
        request = Request(1, SPREAD, exclusive=exclusive)
        assert allocate(EIGHT, range(1, 8), request, holders=holders).cpulist == "2"


def test_preferred_first() -> None:
    """Preferred CPUs are drawn from first, and the rest joins their cores."""
    assert allocate(EIGHT, range(8), Request(2), preferred={2}).cpulist == "2-3"
    required = Request(2, SPREAD, required=True)
    assert allocate(EIGHT, range(8), required, preferred={1, 3}).cpulist == "1,3"


def test_restricted_to_nodes() -> None:
    """Only CPUs of the NUMA nodes named are given."""
    topology = parse_shape("2x1x4x2")
    request = Request(4, numa_nodes=frozenset({1}))
    assert allocate(topology, range(16), request).cpus <= set(range(8, 16))
    with pytest.raises(NotEnoughCpusError) as caught:
        allocate(topology, range(16), Request(9, numa_nodes=frozenset({1})))
    assert caught.value.possible == 8


def test_refusals_name_policy_and_numbers() -> None:
    """A refusal says what was asked, what could be had, and which policy forbids."""
    with pytest.raises(NotEnoughCpusError, match="numCPUs 9: not enough CPUs, 8 are available"):
        allocate(EIGHT, range(8), Request(9))
    with pytest.raises(NotEnoughCpusError, match=r"numCPUs 3: .*FullPCPUs.* at most 2 ") as caught:
        allocate(EIGHT, range(8), Request(3, required=True))
    assert (caught.value.asked, caught.value.possible, caught.value.policy) == (3, 2, "FullPCPUs")
    with pytest.raises(NotEnoughCpusError) as caught:
        allocate(EIGHT, range(8), Request(2**31 - 1))
    assert caught.value.possible == 8


@pytest.mark.parametrize("count", [-1, 1.0, "2", True, None])
def test_counts_are_checked(count: object) -> None:
    """What is no number of CPUs is refused with its value."""
    with pytest.raises(RequestError) as caught:
        Request(count)  # type: ignore[arg-type]
    assert caught.value.value is count


def test_unknown_cpus_and_nodes_are_named() -> None:
    """A CPU or NUMA node the machine does not have is named."""
    with pytest.raises(RequestError, match="available 8: is not a CPU"):
        Pool(EIGHT, range(9))
    with pytest.raises(RequestError, match="preferred 99"):
        Pool(EIGHT, (), preferred=[99])
    with pytest.raises(RequestError, match="numaNodes 1: is not a NUMA node"):
        Pool(EIGHT, range(8)).allocate(Request(1, numa_nodes=frozenset({1})))
    with pytest.raises(RequestError, match="refcount 5000"):
        Pool(EIGHT, range(8), references={0: 5000})


def test_largest_machine() -> None:
    """8192 CPUs in 64 NUMA nodes are ordinary, one node over two sockets too."""
    topology = Topology.regular(8, 8, 64, 2, "linux")
    free = [cpu for cpu in topology.position if cpu % 3]
    found = allocate(topology, free, Request(1000, SPREAD))
    assert len(found.cpus) == 1000
    pool = Pool(topology, free, preferred=free[::5])
    assert len(pool.allocate(Request(64, FULL)).cpus) == 64


def test_threads_share_a_pool() -> None:
    """Many threads get the same answers at once from one pool."""
    topology = parse_shape("2x2x16x2", "linux")
    pool = Pool(topology, range(128), preferred=range(5))
    expected = {count: pool.allocate(Request(count)) for count in range(1, 65)}
    wrong: list[int] = []

    def ask() -> None:
        wrong.extend(count for count, answer in expected.items() if pool.allocate(Request(count)) != answer)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
