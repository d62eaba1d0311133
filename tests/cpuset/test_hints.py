"""NUMA policies: merging by the one rule, and the best nodes without trying all."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cpuset.allocation import Strategy
from webhook.cpuset.errors import RequestError
from webhook.cpuset.hints import Amount, Hint, NodeUse, NumaPolicy, best_nodes, merge_hints

hints = st.lists(
    st.builds(Hint, st.integers(1, 15), st.booleans(), st.sampled_from([0, 10, 50])), min_size=1, max_size=5
)


@given(st.lists(hints, min_size=1, max_size=3))
def test_best_of_all_combinations(resources: list[list[Hint]]) -> None:
    """Preferred, fewest nodes, highest score, lowest mask: of every combination."""
    ranks = [(True, 4, 0, 15)]
    for picked in product(*resources):
        mask = 15
        for hint in picked:
            mask &= hint.mask
        if not mask:
            continue
        preferred = all(hint.preferred and hint.mask == mask for hint in picked)
        score = sum(hint.score for hint in picked if hint.mask == mask)
        ranks.append((not preferred, mask.bit_count(), -score, mask))
    found = merge_hints(resources, nodes=4, policy=NumaPolicy.RESTRICTED)
    assert (not found.preferred, found.mask.bit_count(), -found.score, found.mask) == min(ranks)
    assert found.admit == found.preferred


@given(st.lists(hints, min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_order_does_not_matter(resources: list[list[Hint]], random: object) -> None:
    """The answer is the same whichever resource or hint comes first."""
    first = merge_hints(resources, nodes=4, policy=NumaPolicy.BEST_EFFORT)
    for one in resources:
        random.shuffle(one)  # type: ignore[attr-defined]
    random.shuffle(resources)  # type: ignore[attr-defined]
    assert merge_hints(resources, nodes=4, policy=NumaPolicy.BEST_EFFORT) == first


def test_policies() -> None:
    """BestEffort admits what Restricted and SingleNUMANode refuse."""
    split = [[Hint(1, preferred=True)], [Hint(2, preferred=True)]]
    wide = [[Hint(3, preferred=True)]]
    for policy, admits_split, admits_wide in (
        (NumaPolicy.BEST_EFFORT, True, True),
        (NumaPolicy.RESTRICTED, False, True),
        (NumaPolicy.SINGLE_NUMA_NODE, False, False),
        (NumaPolicy.NONE, True, True),
    ):
        assert merge_hints(split, nodes=4, policy=policy).admit is admits_split
        assert merge_hints(wide, nodes=4, policy=policy).admit is admits_wide
    assert not merge_hints([[]], nodes=2, policy=NumaPolicy.RESTRICTED).admit
    assert merge_hints([], nodes=2, policy=NumaPolicy.SINGLE_NUMA_NODE).nodes == ()


def test_exclusive_nodes() -> None:
    """Several nodes are no better where a pod lies wholly in one of them."""
    resources = [[Hint(3, preferred=True), Hint(4, preferred=True)]]
    uses = [NodeUse.SINGLE, NodeUse.IDLE, NodeUse.SHARED]
    assert merge_hints(resources, nodes=3, policy=NumaPolicy.RESTRICTED).mask == 4
    found = merge_hints(resources, nodes=3, policy=NumaPolicy.RESTRICTED, exclusive=True, uses=uses)
    assert not found.admit


@given(st.integers(0, 40), st.lists(st.integers(0, 16), min_size=1, max_size=7))
def test_fewest_nodes(want: int, free: list[int]) -> None:
    """One resource needs as many nodes as its largest amounts add up to."""
    capacity = [16] * len(free)
    found = best_nodes({"cpu": Amount(want, free, capacity)}, nodes=len(free), policy=NumaPolicy.RESTRICTED)
    ordered = sorted(free, reverse=True)
    fewest = next((n for n in range(1, len(free) + 1) if sum(ordered[:n]) >= want), None)
    assert found.admit == (fewest is not None)
    if fewest is not None:
        assert len(found.nodes) == fewest
        assert sum(free[node] for node in found.nodes) >= want


def test_amounts_do_not_hang_on_node_numbers() -> None:
    """Ten free on nodes 2 and 3 hold eight, whatever nodes 0 and 1 are."""
    amount = {"cpu": Amount(8, [0, 0, 8, 2], [8, 8, 8, 8]), "gpu": Amount(2, [0, 0, 0, 2], [2, 2, 2, 2])}
    assert best_nodes(amount, nodes=4, policy=NumaPolicy.RESTRICTED).nodes == (2, 3)


def test_scores_decide() -> None:
    """MostAllocated fills the fuller node, LeastAllocated the emptier."""
    amount = {"cpu": Amount(2, [8, 4, 4], [8, 8, 8])}
    assert best_nodes(amount, nodes=3, policy=NumaPolicy.SINGLE_NUMA_NODE).nodes == (1,)
    assert best_nodes(
        amount, nodes=3, policy=NumaPolicy.SINGLE_NUMA_NODE, strategy=Strategy.LEAST_ALLOCATED
    ).nodes == (0,)


def test_sixty_four_nodes() -> None:
    """Sixty-four nodes are searched, not all their sets."""
    amount = {"cpu": Amount(24, [8 + node % 3 for node in range(64)], [16] * 64)}
    found = best_nodes(amount, nodes=64, policy=NumaPolicy.BEST_EFFORT)
    assert found.admit
    assert len(found.nodes) == 3


def test_amounts_in_pieces() -> None:
    """A set of nodes holds an amount whose pieces make it; the largest amount need not."""
    pairs, mixed = {2: 4}, {2: 3, 1: 1}
    amount = Amount(3, [8, 8, 7], [8, 8, 8], [pairs, pairs, mixed])
    for strategy in Strategy:
        found = best_nodes({"cpu": amount}, nodes=3, policy=NumaPolicy.RESTRICTED, strategy=strategy)
        assert found.nodes == (2,)
    far = amount._replace(want=15)
    assert best_nodes({"cpu": far}, nodes=3, policy=NumaPolicy.RESTRICTED).nodes == (0, 2)
    for want in (24, 2**40):
        none = amount._replace(want=want)
        assert not best_nodes({"cpu": none}, nodes=3, policy=NumaPolicy.RESTRICTED).admit
        assert best_nodes({"cpu": none}, nodes=3, policy=NumaPolicy.BEST_EFFORT).nodes == (0, 1, 2)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("", NumaPolicy.NONE),
        ("None", NumaPolicy.NONE),
        ("BestEffort", NumaPolicy.BEST_EFFORT),
        ("RestrictedPodLevel", NumaPolicy.RESTRICTED),
        ("BestEffortContainerLevel", NumaPolicy.BEST_EFFORT),
        ("SingleNUMANodePodLevel", NumaPolicy.SINGLE_NUMA_NODE),
    ],
)
def test_names(name: str, policy: NumaPolicy) -> None:
    """Koordinator's and the kubelet's names are known, the documented None too."""
    assert NumaPolicy.parse(name) is policy


def test_refused() -> None:
    """What cannot be is refused with its value."""
    with pytest.raises(RequestError, match="'Strict'"):
        NumaPolicy.parse("Strict")
    with pytest.raises(RequestError, match="is not a set of 2 NUMA nodes"):
        merge_hints([[Hint(4)]], nodes=2, policy=NumaPolicy.RESTRICTED)
    with pytest.raises(RequestError, match="nodes 65"):
        merge_hints([], nodes=65, policy=NumaPolicy.RESTRICTED)
    with pytest.raises(RequestError, match=r"amounts\.cpu -1"):
        best_nodes({"cpu": Amount(-1, [1], [1])}, nodes=1, policy=NumaPolicy.RESTRICTED)
    with pytest.raises(RequestError, match="uses 1"):
        merge_hints([], nodes=2, policy=NumaPolicy.RESTRICTED, uses=[NodeUse.IDLE])
