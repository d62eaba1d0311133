"""What is wrong with a ledger is said in its condition."""

import pytest

from tests.binding.builders import NOW, ledger, node_topology
from webhook.binding.ledger import Entry
from webhook.binding.reconciling.audit import condition, wrongs
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.cpuset.sharing import Reservations


def entry(name, *cpus):
    """An LSR pod's entry."""
    held = frozenset(cpus)
    return Entry(name, "d", name, "LSR", held, BindPolicy.FULL_PCPUS, False, Exclusive.NONE, NOW)


@pytest.mark.parametrize(
    ("entries", "unrepaired", "reason", "message"),
    [
        ([entry("a", 0, 8), entry("b", 1, 9)], {}, "Consistent", "no CPU is held twice"),
        ([entry("a", 0, 8), entry("b", 0, 9)], {}, "HeldTwice", "d/a and d/b both hold 0"),
        ([entry("a", 0, 99)], {}, "UnknownCPUs", "d/a holds 99, which the node does not have"),
        ([entry("a", 7, 15)], {}, "Reserved", "d/a holds 7, which are reserved"),
        ([], {"d/a": "no room"}, "Unrepaired", "d/a: no room"),
    ],
)
def test_the_condition_names_pods_and_cpus(entries, unrepaired, reason, message):
    """True with one reason only; every problem is False."""
    node = node_topology(reservations=Reservations(reserved=frozenset({7})))
    found = condition(ledger(*entries), node, unrepaired)
    assert (found.status, found.reason) == (str(reason == "Consistent"), reason)
    assert message in found.message


def test_what_is_wrong_is_said_in_one_order():
    """Messages are compared, and stand in Events: what the pod requires comes before what the node does."""
    held = entry("a", 0, 1, 8)._replace(required=True)
    node = node_topology(bind_policy=BindPolicy.SPREAD_BY_PCPUS)
    (found,) = wrongs(ledger(held), node, lambda _: True).values()
    policies = [text.split(" are not ")[1].split()[0] for text in found.split("; ")]
    assert policies == ["FullPCPUs", "SpreadByPCPUs"]
