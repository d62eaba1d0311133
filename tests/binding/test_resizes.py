"""A resize is refused before it is stored where the CPU set cannot follow, and only there."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.binding.builders import (
    Replica,
    annotation,
    bind,
    held,
    node,
    nrt,
    pod,
    ready,
    resized,
    server,
    settle,
    store,
)
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.kube.paths import NODES, PODS


def asked(replica, fake, cpu, name="p"):
    """Why a resize of a stored pod is refused, "" where it is not."""
    old = fake.objects[PODS]["d", name]
    new = copy.deepcopy(old)
    new["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return replica.resizes.why_not(new, old)


@pytest.mark.parametrize(
    ("cpu", "why"),
    [
        ("1", ""),
        ("2", ""),
        ("4", ""),
        ("7", ""),
        ("8", "needs 8 CPUs that contain its CPU set 0-1,8-9; node-1 has no such set: 4 of its other CPUs"),
        ("9", "needs 9 CPUs that contain its CPU set 0-1,8-9; node-1 has no such set: 4 of its other CPUs"),
        ("16", "needs 16 CPUs that contain its CPU set 0-1,8-9; node-1 has no such set: 4 of its other CPUs"),
        ("1500m", "cpu 1500m is no whole number of CPUs"),
        ("0", "the pod holds the CPU set 0-1,8-9 of 4 CPUs, which a resize cannot change"),
    ],
)
def test_the_ledger_decides(fake, replica, cpu, why):
    """What is free on the node now; the reason names what is asked for and what there is."""
    bind(replica, pod(cpu="4"))
    bind(replica, pod("q", cpu="8"))
    replica.hear()
    said = asked(replica, fake, cpu)
    assert said.startswith(why)
    assert bool(said) == bool(why)


@pytest.mark.parametrize("where", ["pending", "no set", "unknown", "ledger deleted", "promised"])
def test_what_no_set_hinders_is_allowed(fake, replica, where):
    """A pod that waits for a node gets what it asks for then; a ledger that is gone comes back."""
    if where in {"pending", "promised"}:
        made = store(fake, PODS, pod())
        replica.hear()
        if where == "promised":
            replica.cpuset(made)
    elif where == "no set":
        store(fake, PODS, pod(node="node-1"))
    else:
        bind(replica, pod())
        if where == "ledger deleted":
            fake.delete(LEDGERS, "node-1")
        else:
            replica.state.ledgers.store.synced = False
    replica.hear(*(() if where != "unknown" else (PODS,)))
    assert asked(replica, fake, "4") == ""


@pytest.mark.parametrize("why", ["not opted in", "no topology", "no node"])
def test_where_nobody_would_carry_it_out_it_is_refused(fake, why):
    """Another scheduler gave the set, or the node's CPUs are not known."""
    opted_in = why != "not opted in"
    replica = Replica(fake, opted_in=lambda _: opted_in)
    bind(replica, pod(), cpuset="0,8")
    settle(replica)
    if why == "no topology":
        fake.delete(TOPOLOGIES, "node-1")
    elif why == "no node":
        fake.delete(NODES, "node-1")
    replica.hear()
    said = asked(replica, fake, "4")
    texts = {"not opted in": "which a resize cannot change", "no node": "does not exist"}
    assert texts.get(why, "invalid CPU Topology") in said
    replica.endpoint.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(("1x1x8x2", "1x2x4x2", "2x2x4x1")),
    st.sampled_from(("", "SingleNUMANode", "Restricted", "BestEffort")),
    st.sampled_from(("", "FullPCPUsOnly", "SpreadByPCPUs")),
    st.lists(st.integers(1, 4).map(lambda n: 2 * n), min_size=1, max_size=3),
    st.integers(1, 12),
)
def test_what_is_allowed_is_carried_out_and_what_is_refused_is_not(shape, numa, policy, sizes, cpu):
    """The answer before and the reconciler's afterwards are one."""
    with server() as fake:
        labels = {"node.koordinator.sh/numa-topology-policy": numa} if numa else {}
        labels |= {"node.koordinator.sh/cpu-bind-policy": policy} if policy else {}
        fake.store(NODES, ("", "node-1"), node(labels=labels))
        fake.store(TOPOLOGIES, ("", "node-1"), nrt(shape))
        replica = Replica(fake)
        for number, size in enumerate(sizes):
            made = store(fake, PODS, pod(f"p{number}", cpu=str(size)))
            replica.hear()
            if replica.ask(made)[1]["allowed"]:
                bind(replica, made)
        if "p0" in (held(fake) or {}):
            before = annotation(fake, "p0")
            settle(replica)
            why = asked(replica, fake, str(cpu), "p0")
            resized(fake, replica, str(cpu), "p0")
            settle(replica, 2)
            assert annotation(fake, "p0") == held(fake)["p0"]
            if why:
                assert annotation(fake, "p0") == before
                assert ready(fake)[1:] == ("Unrepaired", f"d/p0: {why}")
            else:
                assert ready(fake)[:2] == ("True", "Consistent")
        replica.endpoint.close()
