"""From a budget to CPUs or a quota: at most what it allows, as little change as can be, a step at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.suppression import model
from tests.agent.suppression.builders import QUOTA, cpus, decided, on, state, thresholds
from webhook.agent.suppression.decision import LEAST_QUOTA, Decision, hold
from webhook.cpuset.cpulist import format_cpulist
from webhook.slo.keys import CFS_QUOTA

MILLI = st.integers(-20_000, 20_000)
SETS = st.frozensets(st.integers(0, 15))


def text(decision):
    """Its CPUs as a list."""
    return format_cpulist(decision.cpus)


def test_seed_004():
    """LSE 0-1, LSR 2-3, about 0.9 of 10.4 cores used: BE gets ten CPUs, one of them LSR's."""
    found = decided(9500, state(lse="0-1", lsr="2-3"), on("2-15"))
    assert len(found.cpus) == 10
    assert len(found.cpus & cpus("2-3")) == 1
    assert not found.cpus & cpus("0-1")


def test_it_shrinks_at_once_and_grows_by_a_tenth_of_the_machine():
    """Of 16 CPUs two in a round; the reason says from where."""
    node = state()
    small = decided(-5000, node, on("0-15"))
    assert len(small.cpus) == 2
    assert small.inputs["leastCPUs"] == "2"
    sizes = []
    for _ in range(5):
        small = decided(9500, node, small)
        sizes.append((len(small.cpus), small.inputs.get("from")))
    assert sizes == [(4, "2"), (6, "4"), (8, "6"), (10, None), (10, None)]


def test_as_few_cpus_as_possible_change():
    """One more and one less: the others stay."""
    node = state("1x1x8x1")
    small = decided(3000, node, on("1,4,6"), machine=8)
    assert text(small) == "1,4,6"
    assert cpus("1,4,6") < decided(4000, node, small, machine=8).cpus
    assert decided(2000, node, small, machine=8).cpus < cpus("1,4,6")


def test_the_floor_of_cpus_is_a_setting():
    """On a machine of two CPUs one may be left."""
    node = state("1x1x2x1")
    assert len(decided(-500, node, on("0-1"), machine=2).cpus) == 2
    assert len(decided(-500, node, on("0-1"), machine=2, least=1).cpus) == 1


@pytest.mark.parametrize(("lse", "left"), [("0-14", "15"), ("0-15", "")])
def test_never_an_lse_cpu_also_where_one_is_left(lse, left):
    """Or none; koordlet's BE pods stay where they are."""
    node = state(lse=lse)
    assert text(decided(9500, node, on("0-15"))) == left
    assert text(hold(node, on("0-15"))) == left


def test_a_decision_that_says_the_same_is_the_same_one():
    """With the reason of the moment when it was made: nothing is written again."""
    node = state()
    first = decided(9500, node)
    assert decided(9400, node, first) is first
    assert decided(8900, node, first) is not first


def test_pressure_takes_a_step_back_and_lets_nothing_grow():
    """Not below the floor, and it is named."""
    node = state()
    found = decided(9500, node, on("0-9"), pressure="shop/web 31%")
    assert len(found.cpus) == 8
    assert found.inputs["pressure"] == "shop/web 31%"
    assert len(decided(9500, node, on("0-1"), pressure="x").cpus) == 2
    quota = decided(9500, node, Decision(CFS_QUOTA, quota=400_000), given=QUOTA, pressure="x")
    assert quota.quota == 240_000
    assert decided(0, node, quota, given=QUOTA, pressure="x").quota == LEAST_QUOTA


def test_a_quota_is_in_whole_parts_of_the_machine():
    """Rounded down to a hundredth: what changes by less is not written."""
    node = state()
    found = decided(9500, node, given=QUOTA)
    assert found.quota == 944_000
    assert decided(9590, node, found, given=QUOTA) is found
    assert decided(-5000, node, found, given=QUOTA).quota == LEAST_QUOTA
    assert decided(9500, node, Decision(CFS_QUOTA, quota=2000), given=QUOTA).quota == 162_000


def test_another_policy_begins_anew():
    """CPUs say nothing of a quota, and the other way round."""
    node = state()
    assert decided(9500, node, on("0-1"), given=QUOTA).quota == 944_000
    quota = Decision(CFS_QUOTA, quota=2000, inputs={"budget": "1"})
    assert len(decided(9500, node, quota).cpus) == 10


def test_held_it_stays():
    """A quota, and CPUs; those that an LSE pod takes meanwhile are replaced by as many others."""
    quota = Decision(CFS_QUOTA, quota=2000)
    assert hold(state(), quota) is quota
    before = on("4-7")
    assert hold(state(), before) is before
    found = hold(state(lse="4-5"), before)
    assert len(found.cpus) == 4
    assert not found.cpus & cpus("4-5")
    assert "held" in found.inputs


@given(milli=MILLI, lse=SETS, lsr=SETS, old=st.none() | SETS.filter(bool), least=st.integers(1, 4))
def test_cpus_are_the_best_that_the_budget_allows(milli, lse, lsr, old, least):
    """By the specification's order, which no other set of that size beats by moving one CPU."""
    lsr -= lse
    node = state(lse=format_cpulist(lse), lsr=format_cpulist(lsr))
    before = None if old is None else on(format_cpulist(old))
    found = decided(milli, node, before, least=least).cpus
    has = None if old is None else len(old)
    wanted = model.most_cpus(milli, 16, has, least)
    allowed = frozenset(range(16)) - lse
    assert found <= allowed
    assert len(found) == min(wanted, len(allowed))
    places = [(place.cpu, place.core, place.node) for place in node.topology.places]
    judged = {"allowed": allowed, "lsr": lsr, "old": old or frozenset()}
    mine = model.cost(places, found, wanted, **judged)
    for gone in found:
        for come in allowed - found:
            assert mine <= model.cost(places, found - {gone} | {come}, wanted, **judged)


@given(
    milli=st.integers(-20_000, 10_400),
    old=st.none() | st.integers(1, 16).map(lambda n: n * 100_000),
    pressure=st.sampled_from(["", "x"]),
)
def test_a_quota_is_never_more_than_the_budget(milli, old, pressure):
    """Nor more than a step from what was; pressure makes it less, never more."""
    before = None if old is None else Decision(CFS_QUOTA, quota=old)
    found = decided(milli, state(), before, given=QUOTA, pressure=pressure).quota
    assert found >= LEAST_QUOTA
    assert found <= max(LEAST_QUOTA, milli * 100)
    if old is not None:
        assert found <= max(LEAST_QUOTA, old + 160_000)
    calm = decided(milli, state(), before, given=QUOTA).quota
    assert found <= calm
    if not pressure and (old is None or milli * 100 <= old + 160_000):
        assert found >= milli * 100 - 16_000


@given(milli=MILLI, old=SETS.filter(bool))
def test_pressure_never_gives_more_cpus_than_the_budget(milli, old):
    """The number with pressure is at most that without."""
    before = on(format_cpulist(old))
    calm, pressed = (decided(milli, state(), before, pressure=each) for each in ("", "x"))
    assert len(pressed.cpus) <= len(calm.cpus)


def test_a_threshold_of_nothing_leaves_the_floor():
    """Whatever nobody uses."""
    nothing = thresholds(enable=True, cpuSuppressThresholdPercent=0)
    assert len(decided(0, given=nothing).cpus) == 2
