"""How many CPUs BE work gets, and that they are the best ones."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpuset.machines import topologies
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.errors import RequestError
from webhook.cpuset.suppression import be_budget, be_count, measure_be, select_be
from webhook.cpuset.topology import Topology


@pytest.mark.parametrize(
    ("capacity", "used", "percent", "least", "expected"),
    [
        (16000, 900, 65, 0, 9500),
        (16000, 16000, 65, 0, -5600),
        (16000, 16000, 65, 10, 1600),
        (1001, 0, 65, 0, 650),
        (8000, 0, 100, 0, 8000),
    ],
)
def test_budget(capacity: int, used: int, percent: int, least: int, expected: int) -> None:
    """The threshold's share of the machine less what others use, never below the least."""
    assert be_budget(capacity, used, threshold_percent=percent, min_percent=least) == expected


def test_budget_is_checked() -> None:
    """Amounts and percentages out of range are named."""
    with pytest.raises(RequestError, match="threshold_percent 101"):
        be_budget(1000, 0, threshold_percent=101)
    with pytest.raises(RequestError, match="used -1"):
        be_budget(1000, -1)


@pytest.mark.parametrize(
    ("budget", "current", "expected"),
    [
        (9500, None, 10),
        (9000, None, 9),
        (-5600, None, 2),
        (9500, 4, 6),
        (9500, 16, 10),
        (1, 2, 2),
    ],
)
def test_count(budget: int, current: int | None, expected: int) -> None:
    """Rounded up, two at least; grows by a tenth of the machine at a time."""
    assert be_count(budget, cpus=16, current=current) == expected


def test_lse_cpus_are_never_kept() -> None:
    """Where less is left than wanted, what is left is taken and no more."""
    topology = parse_shape("1x1x8x2")
    candidates = topology.mask(parse_cpulist("12-15"))
    assert select_be(topology, 10, candidates=candidates, old=topology.everything) == {12, 13, 14, 15}
    assert select_be(topology, 10, candidates=0) == frozenset()
    assert select_be(topology, -3, candidates=candidates) == frozenset()


def test_whole_cores_spread_over_nodes() -> None:
    """Eight CPUs of two NUMA nodes are two whole cores of each."""
    topology = parse_shape("2x1x8x2", "linux")
    found = topology.mask(select_be(topology, 8, candidates=topology.everything))
    assert [(found & node).bit_count() for node in topology.node_masks] == [4, 4]
    assert all((found & core).bit_count() in (0, 2) for core in topology.core_masks)


def test_old_set_stays() -> None:
    """A set that is as good as any is kept; growing keeps all of it."""
    topology = parse_shape("2x1x8x2")
    old = topology.mask(parse_cpulist("4-7,20-23"))
    assert topology.mask(select_be(topology, 8, candidates=topology.everything, old=old)) == old
    grown = topology.mask(select_be(topology, 12, candidates=topology.everything, old=old))
    assert grown & old == old


@given(topologies(9), st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_measures_better(topology: Topology, data: st.DataObject) -> None:
    """No set of the same size is less in the six numbers."""
    sets = st.integers(0, topology.everything)
    asked = {"candidates": data.draw(sets), "lsr": data.draw(sets), "old": data.draw(sets)}
    want = data.draw(st.integers(0, 10))
    found = topology.mask(select_be(topology, want, **asked))
    best = measure_be(topology, want, found, **asked)
    free = [1 << i for i in range(topology.size) if asked["candidates"] >> i & 1]
    assert found.bit_count() == min(want, len(free))
    for other in combinations(free, found.bit_count()):
        assert best <= measure_be(topology, want, sum(other), **asked)
