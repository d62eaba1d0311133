"""The decision, by examples and by its properties."""

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import NOW, claim, ledger, node_topology
from webhook.binding.grant import Grant, Refusal, counts_of, grant
from webhook.binding.ledger import Entry, read_ledger, write_ledger
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import PoolLimit, Reservations
from webhook.cpuset.topology import Cpu, Topology


def topology_of(shape, but):
    """A machine some of whose CPUs are offline."""
    places = parse_shape(shape, "linux").places
    return Topology(
        [Cpu(each.cpu, each.core, each.socket, each.node) for each in places if each.cpu not in but]
    )


FULL, SPREAD = BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS


def entry(name, cpus, qos="LSR", policy=FULL, exclusive=Exclusive.NONE):
    """An entry of a pod in namespace d."""
    return Entry(name, "d", name, qos, parse_cpulist(cpus), policy, False, exclusive, NOW)


def given_to(wanted, on=None, book=None):
    """The CPUs that a claim gets, as a list, or why not."""
    decided = grant(wanted, on or node_topology(), book or ledger(), now=NOW)
    return decided.message if isinstance(decided, Refusal) else format_cpulist(decided.entry.cpus)


@pytest.mark.parametrize(
    ("wanted", "cpus"),
    [
        (claim(cpus=2), "0,8"),
        (claim(cpus=3), "0-1,8"),
        (claim(cpus=2, policy=SPREAD), "0-1"),
        (claim(cpus=8, policy=FULL, required=True), "0-3,8-11"),
        (claim(cpus=4, policy=SPREAD, required=True), "0-3"),
        (claim(cpus=15), "0-7,8-14"),
    ],
)
def test_the_best_cpus_are_given(wanted, cpus):
    """Those that the allocator finds, by the pod's policy."""
    assert parse_cpulist(given_to(wanted)) == parse_cpulist(cpus)


@pytest.mark.parametrize(
    ("wanted", "on", "said"),
    [
        (
            claim(cpus=8, policy=FULL, required=True),
            node_topology(numa_policy=NumaPolicy.SINGLE_NUMA_NODE),
            "needs 4 whole cores on one NUMA node; node-1 has 3 and 2",
        ),
        (
            claim(cpus=12, required=True),
            node_topology(),
            "needs 6 whole cores; node-1 has 5 (3 and 2 on its NUMA nodes)",
        ),
        (claim(cpus=12), node_topology(), "needs 12 CPUs; node-1 has 11 free (6 and 5 on its NUMA nodes)"),
        (
            claim(cpus=7, policy=SPREAD, required=True),
            node_topology(),
            "needs 7 CPUs on as many cores; node-1 has 6 cores with a free CPU (3 and 3 on its NUMA nodes)",
        ),
        (
            claim(cpus=3, required=True),
            node_topology(),
            (
                "node(s) requested cpus not multiple cpus per core: needs 3 CPUs on whole cores; "
                "the cores of node-1 have 2 CPUs each"
            ),
        ),
        (
            claim(cpus=2, policy=SPREAD, required=True),
            node_topology(bind_policy=FULL),
            (
                "node(s) cpu bind policy conflicts with pod's required cpu bind policy: "
                "the pod requires SpreadByPCPUs, node-1 demands FullPCPUs"
            ),
        ),
        (
            claim(numa_policy=NumaPolicy.RESTRICTED),
            node_topology(numa_policy=NumaPolicy.SINGLE_NUMA_NODE),
            "node(s) NUMA Topology policy not match: the pod asks for Restricted, node-1 has SingleNUMANode",
        ),
        (
            claim(cpus=4),
            node_topology(max_bindable=8),
            "Insufficient amplified cpu: needs 4 CPUs; node-1 has 8 real ones for pods, of which 5 are bound",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_asked_and_what_is_free(wanted, on, said):
    """In the units of the policy: five CPUs are held, 0,4,7,8 whole or odd."""
    book = ledger(entry("one", "0,8"), entry("two", "4,12"), entry("three", "7"))
    assert given_to(wanted, on, book) == said


def test_a_node_of_one_numa_node_gets_a_short_message():
    """No list of one."""
    on = node_topology("1x1x2x2")
    assert given_to(claim(cpus=5), on) == "needs 5 CPUs; node-1 has 4 free"
    full = node_topology("1x1x2x2", reservations=Reservations(reserved=frozenset({0})))
    assert given_to(claim(cpus=4, required=True), full) == "needs 2 whole cores; node-1 has 1"


def test_one_cpu_stays_for_the_others():
    """The share pool is never emptied; CPUs that the kubelet reserves are in it."""
    assert "one has to stay" in given_to(claim(cpus=16))
    reserved = node_topology(reservations=Reservations(kubelet_reserved=frozenset({0, 8})))
    assert given_to(claim(cpus=14), reserved) == "1-7,9-15"


@pytest.mark.parametrize(
    ("limit", "reserved", "most"),
    [
        ("1", Reservations(), 15),
        ("4", Reservations(), 12),
        ("25%", Reservations(), 12),
        ("30%", Reservations(), 11),
        ("2", Reservations(kubelet_reserved=frozenset({0, 8})), 14),
        ("2", Reservations(reserved=frozenset({0, 8}), kubelet_reserved=frozenset({0, 8})), 12),
    ],
)
def test_the_share_pool_keeps_what_is_set(limit, reserved, most):
    """So many CPUs stay for the others, none of them a strictly reserved one; one CPU less is given."""
    on = node_topology(pool_limit=PoolLimit.parse(limit), reservations=reserved)
    if most < 14:
        stays = PoolLimit.parse(limit).cpus(16)
        assert f"{stays} have to stay for pods without" in given_to(claim(cpus=most + 1), on)
    assert len(parse_cpulist(given_to(claim(cpus=most), on))) == most


def test_the_nodes_policy_binds_the_pods():
    """A preference is overridden, and made required."""
    decided = grant(claim(policy=SPREAD), node_topology(bind_policy=FULL), ledger(), now=NOW)
    assert (decided.entry.policy, decided.entry.required) == (FULL, True)
    assert decided.entry.cpus == {0, 8}


def test_a_pod_keeps_its_set():
    """Asked again, the same answer: only the time is new."""
    first = grant(claim(), node_topology(), ledger(), now=NOW)
    later = NOW + dt.timedelta(seconds=30)
    second = grant(claim(), node_topology(), first.ledger, now=later)
    assert second.existing
    assert second.entry == first.entry._replace(allocated_at=later)
    assert second.ledger.entries == {"p": second.entry}


WITHOUT_SIBLINGS = topology_of("1x2x4x2", but=(8, 12))


@pytest.mark.parametrize(
    ("wanted", "on", "cpus"),
    [
        (claim(cpus=4), node_topology(), "0-1,8-9"),  # resized while it waits
        (claim(cpus=1), node_topology(), "0"),
        (claim(policy=SPREAD, required=True), node_topology(), "0-1"),
        (claim(), node_topology(bind_policy=SPREAD), "0-1"),
        (claim(), node_topology(reservations=Reservations(reserved=frozenset({0}))), "1,9"),
        (claim(), node_topology(reservations=Reservations(kubelet_reserved=frozenset({8}))), "1,9"),
        (claim(), node_topology(reservations=Reservations(kubelet_pinned=frozenset({0, 8}))), "1,9"),
        (claim(), node_topology(reservations=Reservations(system=frozenset({8}))), "1,9"),
        (claim(), replace(node_topology(), cpu_topology=WITHOUT_SIBLINGS), "1,9"),  # 8 went offline
    ],
)
def test_a_promise_that_the_rules_would_not_give_now_is_neither_renewed_nor_replaced(wanted, on, cpus):
    """A bind with these CPUs may be under way; as soon as the promise has been dropped, others are given."""
    promised = ledger(entry("p", "0,8"))
    decided = grant(wanted, on, promised, now=NOW)
    assert decided == Refusal(
        "UnderWay",
        "was promised the CPUs 0,8 of node-1 at 2026-11-23T07:00:00Z and may not have these now; it gets "
        "others as soon as no bind with these can be under way",
    )
    assert given_to(wanted, on, promised.without(["p"])) == cpus


def test_a_promise_on_cpus_of_another_pod_is_not_renewed():
    """Somebody has edited an annotation or the ledger."""
    book = ledger(entry("p", "0,8"), entry("q", "8-9"))
    assert grant(claim(), node_topology(), book, now=NOW).reason == "UnderWay"
    assert given_to(claim(), book=book.without(["p"])) == "2,10"


NUMA_SPLIT = frozenset({0, 8, 4, 12})


@pytest.mark.parametrize("policy", NumaPolicy)
@pytest.mark.parametrize("has", ["carried", "promised"])
def test_a_set_across_numa_nodes_is_kept_only_where_that_is_allowed(policy, has):
    """A set that the pod brings, or was promised, is held to the NUMA policy as a new one is."""
    on = node_topology(numa_policy=policy)
    book = ledger(entry("p", format_cpulist(NUMA_SPLIT))) if has == "promised" else ledger()
    wanted = claim(cpus=4, carried=NUMA_SPLIT if has == "carried" else None)
    if policy in {NumaPolicy.NONE, NumaPolicy.BEST_EFFORT}:
        assert given_to(wanted, on, book) == "0,4,8,12"
    elif has == "carried":
        assert given_to(wanted, on, book) == "0-1,8-9"
    else:
        assert grant(wanted, on, book, now=NOW).reason == "UnderWay"


def test_a_set_on_two_numa_nodes_is_kept_where_one_is_not_enough():
    """Restricted asks for the fewest that suffice."""
    on = node_topology(numa_policy=NumaPolicy.RESTRICTED)
    brought = frozenset({0, 1, 2, 3, 8, 4, 5, 6, 12, 13})
    assert given_to(claim(cpus=10, carried=brought), on) == format_cpulist(brought)


def test_a_set_that_the_pod_brings_is_kept_if_it_may_have_it():
    """koord-scheduler gave it; one that is another's, too small or against the policy is replaced."""
    book = ledger(entry("one", "0,8"))
    assert given_to(claim(carried=frozenset({5, 13})), book=book) == "5,13"
    assert given_to(claim(carried=frozenset({0, 1})), book=book) == "1,9"
    assert given_to(claim(carried=frozenset({5})), book=book) == "1,9"
    assert given_to(claim(carried=frozenset({5, 6}), required=True), book=book) == "1,9"
    assert given_to(claim(carried=frozenset({500, 501})), book=book) == "1,9"


def test_sets_of_other_classes_are_kept_out_of():
    """An LS pod with a set of koord-scheduler's holds its CPUs."""
    assert given_to(claim(), book=ledger(entry("ls", "0,8", qos="LS"))) == "1,9"


CLAIMS = st.builds(
    claim,
    st.sampled_from([f"p{i}" for i in range(12)]),
    st.integers(1, 12),
    st.sampled_from([FULL, SPREAD]),
    qos=st.sampled_from([QoS.LSE, QoS.LSR]),
    required=st.booleans(),
    exclusive=st.sampled_from(Exclusive),
    numa_policy=st.sampled_from(NumaPolicy),
)
MACHINES = st.builds(
    node_topology,
    st.sampled_from(["1x1x4x2", "2x1x4x2", "1x2x4x2", "2x2x2x1", "1x1x3x4"]),
    reservations=st.builds(
        Reservations,
        st.frozensets(st.integers(0, 7), max_size=2),
        st.frozensets(st.integers(0, 7), max_size=2),
        st.frozensets(st.integers(0, 7), max_size=2),
    ),
    bind_policy=st.sampled_from(BindPolicy),
    max_bindable=st.none() | st.integers(4, 16),
)
STEPS = st.lists(CLAIMS | st.sampled_from([f"p{i}" for i in range(12)]), max_size=25)


def check(on, book):
    """The rules, written down a second time."""
    count = Counter(cpu for held in book.entries.values() for cpu in held.cpus)
    assert all(times == 1 for times in count.values())
    closed = on.reservations.reserved | on.reservations.kubelet_reserved | on.reservations.system
    assert not closed & set(count)
    everything = {place.cpu for place in on.cpu_topology.places}
    assert everything - set(count) - on.reservations.reserved - on.reservations.system
    core_of = {place.cpu: place.core for place in on.cpu_topology.places}
    width = Counter(core_of.values())
    for held in book.entries.values():
        cores = Counter(core_of[cpu] for cpu in held.cpus)
        if held.required and held.policy is FULL:
            assert all(width[core] == taken for core, taken in cores.items())
        if held.required and held.policy is SPREAD:
            assert set(cores.values()) <= {1}
    if on.max_bindable is not None:
        assert sum(count.values()) <= on.max_bindable


@given(MACHINES, STEPS)
def test_whatever_comes_the_rules_hold(on, steps):
    """Pods come and go: no CPU twice, none that is reserved, every policy kept, nothing on a refusal."""
    book = ledger()
    for number, step in enumerate(steps):
        now = NOW + dt.timedelta(seconds=number)
        if isinstance(step, str):
            book = book.without([step])
            continue
        before = write_ledger(book, None)
        decided = grant(step, on, book, now=now)
        assert write_ledger(book, None) == before
        if isinstance(decided, Refusal):
            assert decided.reason
            assert "node-1" in decided.message
            continue
        assert isinstance(decided, Grant)
        if decided.existing:
            assert decided.entry.cpus == book.entries[step.uid].cpus
        assert len(decided.entry.cpus) == step.request.cpus
        again = grant(step, on, decided.ledger, now=now)
        assert again.entry == decided.entry
        assert decided.counts == counts_of(on, decided.ledger)
        assert replace(read_ledger(write_ledger(decided.ledger, decided.counts)), uid="") == decided.ledger
        book = decided.ledger
        check(on, book)


@given(MACHINES, st.lists(st.frozensets(st.integers(0, 20), min_size=1), max_size=5), CLAIMS)
def test_what_is_there_is_respected_whatever_it_is(on, found, wanted):
    """Overlapping sets, reserved CPUs, CPUs that do not exist: a new set touches none of them."""
    book = ledger(*(entry(f"f{i}", format_cpulist(cpus)) for i, cpus in enumerate(found)))
    decided = grant(wanted, on, book, now=NOW)
    if isinstance(decided, Grant):
        assert not any(decided.entry.cpus & cpus for cpus in found)


SETS = st.frozensets(st.integers(0, 17), max_size=8)


@given(MACHINES, SETS, SETS, SETS, CLAIMS)
def test_a_set_at_hand_is_given_by_the_rules_or_not_at_all(on, others, promised, carried, wanted):
    """Promised, brought along, or new: size, reserved CPUs and policies are as pod and node demand."""
    book = ledger(*([entry("other", format_cpulist(others))] if others else []))
    wanted = wanted._replace(uid="p", carried=carried or None)
    held = book.with_entries(entry("p", format_cpulist(promised))) if promised else book
    decided, fresh = grant(wanted, on, held, now=NOW), grant(wanted._replace(carried=None), on, book, now=NOW)
    if isinstance(decided, Refusal):
        assert isinstance(fresh, Refusal) or (promised and decided.reason == "UnderWay")
        return
    # A bind with the promised CPUs may be under way: no other set takes their place.
    assert decided.entry.cpus == promised or not promised
    cpus = decided.entry.cpus
    assert len(cpus) == wanted.request.cpus
    assert not cpus & others
    check(replace(on, max_bindable=None), ledger(decided.entry))
    nodes = {place.cpu: place.node for place in on.cpu_topology.places}
    touched = {nodes[cpu] for cpu in cpus}
    if wanted.request.numa_policy is NumaPolicy.SINGLE_NUMA_NODE:
        assert len(touched) == 1
    if wanted.request.numa_policy is NumaPolicy.RESTRICTED and isinstance(fresh, Grant):
        assert len(touched) <= len({nodes[cpu] for cpu in fresh.entry.cpus})
    assert decided.existing == (cpus == promised)
    # A set that is kept stays: asked again it is the same.
    assert grant(wanted, on, decided.ledger, now=NOW).entry == decided.entry
