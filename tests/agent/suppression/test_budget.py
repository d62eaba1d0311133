"""What BE work may use: the threshold's share of the machine less what all others use."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.suppression import model
from tests.agent.suppression.builders import ON, thresholds
from webhook.agent.measuring.usage import Loads
from webhook.agent.suppression.budget import budget_of

CORES = st.integers(0, 64_000).map(lambda milli: milli / 1000)


def test_the_seeds_example():
    """16 CPUs at 65 percent, others use 0.9: 9.5 cores, with its terms."""
    loads = Loads(node=6.0, pods=5.6, by_pod={"be": 5.1, "ls": 0.5})
    found = budget_of(loads, frozenset({"be"}), 16, ON)
    assert found.amount == 9500
    assert found.terms() == {
        "threshold": "65% of 16000",
        "pods": "-500",
        "system": "-400",
        "budget": "9500",
    }


@pytest.mark.parametrize(
    ("reserved", "least", "amount", "terms"),
    [
        (1000, 0, 8900, {"reserved": "-1000"}),
        (400, 0, 9500, {"system": "-400"}),
        (16_000, 20, 3200, {"reserved": "-16000", "least": "20% of 16000"}),
    ],
)
def test_what_is_reserved_counts_where_it_is_more_than_the_system_uses(reserved, least, amount, terms):
    """And BE work never has less than the NodeSLO's least."""
    loads = Loads(node=6.0, pods=5.6, by_pod={"be": 5.1})
    found = budget_of(
        loads, frozenset({"be"}), 16, thresholds(enable=True, cpuSuppressMinPercent=least), reserved
    )
    assert found.amount == amount
    assert found.terms().items() >= terms.items()


def test_a_pod_that_was_not_measured_counts_among_the_others():
    """Its use is in that of all pods, so that the budget is less, never more."""
    known = budget_of(Loads(8.0, 8.0, {"be": 5.0}), frozenset({"be"}), 16, ON)
    unknown = budget_of(Loads(8.0, 8.0, {}), frozenset({"be"}), 16, ON)
    assert unknown.amount == known.amount - 5000


@given(
    cpus=st.integers(1, 64),
    percent=st.integers(0, 100),
    least=st.integers(0, 100),
    node=CORES,
    pods=CORES,
    by_pod=st.dictionaries(st.sampled_from("abcdef"), CORES),
    suppressed=st.frozensets(st.sampled_from("abcdefg")),
    reserved=st.integers(0, 64_000),
)
def test_it_is_what_the_specification_says(**given_):
    """To a milli-core, and never more; counters that contradict each other included."""
    given_ |= {"least": min(given_["least"], given_["percent"])}
    read = thresholds(cpuSuppressThresholdPercent=given_["percent"], cpuSuppressMinPercent=given_["least"])
    loads = Loads(given_["node"], given_["pods"], given_["by_pod"])
    found = budget_of(loads, given_["suppressed"], given_["cpus"], read, given_["reserved"]).amount
    expected = model.budget(**given_)
    assert expected - 2 <= found <= expected + Decimal("0.001")
