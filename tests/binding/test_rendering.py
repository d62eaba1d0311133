"""A node's map with its pods."""

from tests.binding.builders import NOW, ledger, node_topology
from webhook.binding.ledger import Entry
from webhook.binding.rendering import draw_ledger
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.cpuset.cpulist import parse_cpulist
from webhook.kube.conditions import Condition


def entry(name, cpus, qos="LSR"):
    """An entry."""
    cpuset = parse_cpulist(cpus)
    return Entry(name, "shop", name, qos, cpuset, BindPolicy.FULL_PCPUS, True, Exclusive.NONE, NOW)


def test_who_holds_what():
    """A summary, a line for each pod by CPUs, the grid."""
    drawn = draw_ledger(node_topology(), ledger(entry("b", "1,9"), entry("a", "0,8", "LSE")))
    assert drawn.splitlines()[:4] == [
        "node-1: 16 CPUs, 4 held by 2 pods, 12 free (6 whole cores)",
        "",
        "shop/a                         LSE  0,8                  FullPCPUs required",
        "shop/b                         LSR  1,9                  FullPCPUs required",
    ]
    assert "thread 0   0E   1R   2L   3L" in drawn


def test_it_fits_80_columns_and_says_what_is_wrong():
    """Long names, many CPUs, CPUs held twice, an earlier node's ledger."""
    told = Condition("Ready", "False", "HeldTwice", "x" * 200)._asdict()
    book = ledger(
        entry("n" * 253, "0,2,4,6,8,10,12,14,16,18,20,22"),
        entry("twice", "0-1"),
        node_uid="earlier",
        conditions=(told,),
        problems=("spec.allocations[2]: 'gold' is no line " + "y" * 80,),
    )
    drawn = draw_ledger(node_topology("2x2x16x2", problems=("annotation a: cannot be read",)), book)
    assert max(map(len, drawn.splitlines())) <= 80
    assert "the ledger is of an earlier node" in drawn
    assert "! annotation a: cannot be read" in drawn
    assert "! HeldTwice: xxx" in drawn
    assert "! spec.allocations[2]: 'gold' is no line yyy" in drawn
    assert "both hold" in drawn or "! shop/nnn" in drawn


def test_an_empty_node():
    """No pods, no lines."""
    assert draw_ledger(node_topology(), ledger()).startswith("node-1: 16 CPUs, 0 held by 0 pods, 16 free")
