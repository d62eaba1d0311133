"""What a bound pod is to hold: a resize keeps its CPUs, and only what was taken away moves it."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.binding.builders import NOW, claim, ledger, node_topology
from webhook.binding.grant import Grant, grant
from webhook.binding.reconciling.adjustment import adjust
from webhook.binding.reconciling.audit import not_for_pods, overlaps, wrongs
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.discovery import parse_shape
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.sharing import Reservations
from webhook.cpuset.topology import Cpu, Topology

SHAPES = ("1x1x8x2", "1x2x4x2", "2x2x4x1", "2x1x4x2", "1x4x2x2")


def given_to(node, *claims):
    """The ledger of a node to which these pods were bound, one after another, as far as there is room."""
    books = ledger()
    for each in claims:
        found = grant(each, node, books, now=NOW)
        if isinstance(found, Grant):
            books = found.ledger
    return books


def adjusted(asked, node, books, stated=None):
    """What a pod is to hold that has an entry, and an annotation that agrees or names other CPUs."""
    wrong = wrongs(books, node, lambda _: True).get(asked.uid, "")
    entry = books.entries.get(asked.uid)
    given = entry if stated is None else entry._replace(cpus=frozenset(stated))
    return adjust(asked, given, node, books, wrong=wrong, now=NOW)


def lies_well(cpus, asked, node):
    """Whether a set keeps to a required policy, and to the NUMA policy SingleNUMANode."""
    topology = node.cpu_topology
    mask = topology.mask(cpus)
    cores = [core for core in topology.core_masks if core & mask]
    if asked.request.required and asked.request.policy is BindPolicy.FULL_PCPUS:
        whole = all(core & mask == core for core in cores)
    else:
        whole = not asked.request.required or len(cores) == len(cpus)
    touched = sum(bool(numa & mask) for numa in topology.node_masks)
    return whole and (node.numa_policy is not NumaPolicy.SINGLE_NUMA_NODE or touched == 1)


requests = st.fixed_dictionaries(
    {
        "policy": st.sampled_from((BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS)),
        "required": st.booleans(),
        "exclusive": st.sampled_from(Exclusive),
    }
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.sampled_from(NumaPolicy),
    st.lists(st.tuples(st.integers(1, 5), requests), min_size=1, max_size=4),
    st.integers(1, 10),
)
def test_a_resize_contains_the_old_set_or_is_part_of_it(shape, numa, pods, size):
    """KEP-5554: whatever machine, policies and neighbours are; or it is refused, and nothing changes."""
    node = node_topology(shape, numa_policy=numa)
    claims = [claim(f"p{i}", cpus, **request) for i, (cpus, request) in enumerate(pods)]
    books = given_to(node, *claims)
    held = books.entries.get("p0")
    if held is None:
        return
    asked = claim("p0", size, **pods[0][1])
    found = adjusted(asked, node, books)
    if found.problem:
        assert found.entry == held
        assert found.problem.startswith(f"needs {size} CPU")
        return
    assert len(found.entry.cpus) == size
    assert found.entry.cpus >= held.cpus or found.entry.cpus <= held.cpus
    assert overlaps(books.with_entries(found.entry).entries.values()) == []
    assert lies_well(found.entry.cpus, asked, node)
    assert found.entry.allocated_at == held.allocated_at
    assert len(frozenset(node.cpu_topology.position).difference(*books.entries.values(), ())) > 0


@pytest.mark.parametrize(
    ("shape", "before", "after", "given_node", "cpus"),
    [
        ("1x2x4x2", 2, 4, {}, "0-1,8-9"),
        ("1x2x4x2", 4, 2, {}, "0,8"),
        ("1x2x4x2", 8, 12, {}, "0-5,8-13"),  # beyond its NUMA node, where nothing forbids it
        ("1x2x4x2", 4, 1, {}, "0"),
        ("1x1x8x2", 2, 6, {"reservations": Reservations(reserved=frozenset({1, 9}))}, "0,2-3,8,10-11"),
        ("1x2x4x2", 2, 8, {"numa_policy": NumaPolicy.SINGLE_NUMA_NODE}, "0-3,8-11"),
    ],
)
def test_a_resize_is_carried_out(shape, before, after, given_node, cpus):
    """By the same allocator as at binding, from what the pod has."""
    node = node_topology(shape, **given_node)
    found = adjusted(claim(cpus=after), node, given_to(node, claim(cpus=before)))
    assert (format_cpulist(found.entry.cpus), found.problem) == (cpus, "")
    assert found.why == f"it was resized from {before} CPUs to {after}"


@pytest.mark.parametrize(
    ("before", "after", "request_", "given_node", "others", "said"),
    [
        (2, 16, {}, {}, (), "14 of its other CPUs are free"),  # one stays in the share pool
        (2, 10, {}, {"numa_policy": NumaPolicy.SINGLE_NUMA_NODE}, (), "no such set under SingleNUMANode"),
        (2, 3, {"required": True}, {}, (), "no such set FullPCPUs"),
        (4, 3, {"required": True}, {}, (), "needs 3 CPUs of its CPU set 0-1,8-9"),
        (2, 6, {}, {}, (12,), "1 of its other CPUs are free"),
        (2, 4, {}, {"max_bindable": 3}, (), "Insufficient amplified cpu"),
    ],
)
def test_a_resize_that_cannot_be_is_refused_with_the_reason(
    before, after, request_, given_node, others, said
):
    """The pod keeps what it has."""
    node = node_topology(**given_node)
    neighbours = [claim(f"o{i}", cpus) for i, cpus in enumerate(others)]
    if others:
        reservations = Reservations(reserved=frozenset({15}))
        node = dataclasses.replace(node, reservations=reservations)
    books = given_to(node, claim(cpus=before), *neighbours)
    found = adjusted(claim(cpus=after, **request_), node, books)
    assert found.entry == books.entries["p"]
    assert said in found.problem


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sets(st.integers(0, 15), max_size=9),
    st.sampled_from(("reserved", "kubelet_pinned", "kubelet_reserved", "system", "offline")),
)
def test_who_loses_cpus_is_moved_if_there_is_room(shape, sizes, lost, how):
    """By kubelet, administrator or kernel: what is left is kept, or the pod goes elsewhere whole."""
    node = node_topology(shape)
    books = given_to(node, *(claim(f"p{i}", cpus) for i, cpus in enumerate(sizes)))
    if how == "offline":
        there = [place for place in parse_shape(shape, "linux").places if place.cpu not in lost]
        if not there:
            return
        topology = Topology([Cpu(p.cpu, p.core, p.node, p.socket) for p in there])
        node = dataclasses.replace(node, cpu_topology=topology)
    else:
        known = frozenset(lost & node.cpu_topology.position.keys())
        node = dataclasses.replace(node, reservations=Reservations(**{how: known}))
    for uid, held in books.entries.items():
        asked = claim(uid, len(held.cpus))
        found = adjusted(asked, node, books)
        sound = held.cpus & node.cpu_topology.position.keys() - not_for_pods(node)
        if sound == held.cpus:
            assert found == (held, "", "")
        elif found.problem:
            assert found.entry == held
            anew = grant(asked, node, books.without([uid]), now=NOW)
            assert not isinstance(anew, Grant)
        else:
            assert len(found.entry.cpus) == len(held.cpus)
            assert found.entry.cpus <= node.cpu_topology.position.keys() - not_for_pods(node)
            assert found.why
        books = books.with_entries(found.entry)


@pytest.mark.parametrize(
    ("stated", "given_node", "cpus"),
    [
        ({2, 10}, {}, "2,10"),  # the rules give it
        ({7, 15}, {"reservations": Reservations(reserved=frozenset({7, 15}))}, "0,8"),
        ({7, 15}, {"reservations": Reservations(kubelet_pinned=frozenset({7}))}, "0,8"),
        ({3, 4}, {"numa_policy": NumaPolicy.SINGLE_NUMA_NODE}, "0,8"),
        ({2, 3}, {"bind_policy": BindPolicy.FULL_PCPUS}, "0,8"),
        ({2, 10}, {"bind_policy": BindPolicy.FULL_PCPUS}, "2,10"),
        ({1, 9}, {}, "0,8"),  # another pod's
        ({40, 41}, {}, "0,8"),  # no such CPUs
        ({2, 3, 10}, {}, "0,8"),  # more than it asks for
    ],
)
def test_an_edited_annotation_is_followed_only_where_the_rules_give_that_set(stated, given_node, cpus):
    """Else it is written back from the entry."""
    before = node_topology()
    books = given_to(before, claim(), claim("q"))
    found = adjusted(claim(), node_topology(**given_node), books, stated)
    assert (format_cpulist(found.entry.cpus), found.problem) == (cpus, "")


@pytest.mark.parametrize(
    ("cpus", "bind_policy", "held", "problem"),
    [
        ({0, 1}, BindPolicy.FULL_PCPUS, "0,8", ""),  # from a machine of which half of the threads were off
        ({0, 8}, BindPolicy.SPREAD_BY_PCPUS, "0-1", ""),
        ({0}, BindPolicy.FULL_PCPUS, "0", "its CPUs 0 are not FullPCPUs on node-1 as it is now: "),
        ({0, 1}, BindPolicy.NONE, "0-1", ""),
    ],
)
def test_what_a_node_demands_holds_for_an_entry_that_does_not_say_so(cpus, bind_policy, held, problem):
    """One that was rebuilt from its pod, which asks for no policy: it is moved, or held with the reason."""
    asked = claim(cpus=len(cpus), policy=BindPolicy.NONE)
    bare = given_to(node_topology(), asked).entries["p"]
    books = ledger(bare._replace(cpus=frozenset(cpus), policy=BindPolicy.NONE, required=False))
    found = adjusted(asked, node_topology(bind_policy=bind_policy), books)
    assert format_cpulist(found.entry.cpus) == held
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)
