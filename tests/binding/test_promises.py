"""A pod that is not bound has one promise, on one node."""

import random

import pytest

from tests.binding.builders import (
    Replica,
    annotation,
    bind,
    held,
    known,
    node,
    nrt,
    pod,
    resized,
    settle,
    store,
)
from tests.binding.reconciling.test_repair import TAKEN
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.cpuset.cpulist import parse_cpulist
from webhook.kube.paths import NODES, PODS

OTHERS = [f"node-{number}" for number in range(2, 8)]


@pytest.fixture
def replica(fake):
    """A replica, and six nodes more."""
    for name in OTHERS:
        store(fake, NODES, node(name, uid=name))
        store(fake, TOPOLOGIES, nrt(name=name))
    made = Replica(fake)
    yield made
    made.endpoint.close()


def holders(fake):
    """The nodes whose ledgers have entries, with them."""
    return {name: found for _, name in fake.objects[LEDGERS] if (found := held(fake, name))}


def later(replica, seconds):
    """Let time pass, and what is due be done."""
    replica.clock.seconds += seconds
    replica.promises.step()


def test_the_older_promise_goes_when_a_new_one_is_made(fake, replica):
    """At once where its bind cannot be under way any more."""
    made = known(replica, pod())
    assert replica.cpuset(made) == "0,8"
    replica.clock.seconds += 10
    assert replica.cpuset(made, to="node-2") == "0,8"
    assert holders(fake) == {"node-2": {"p": "0,8"}}


def test_a_promise_stays_while_its_bind_may_be_under_way(fake, replica):
    """Its CPUs are given to nobody else before it is known what became of it; then it goes."""
    made = known(replica, pod())
    assert replica.cpuset(made)
    assert replica.cpuset(made, to="node-2")
    assert set(holders(fake)) == {"node-1", "node-2"}
    assert replica.cpuset(known(replica, pod("q"))) == "1,9"
    later(replica, 3)
    assert holders(fake) == {"node-1": {"q": "1,9"}, "node-2": {"p": "0,8"}}


def test_a_bind_that_was_under_way_keeps_its_cpus(fake, replica):
    """The pod is bound where the older promise was, before a watch tells of it."""
    made = known(replica, pod())
    assert replica.cpuset(made)
    assert replica.cpuset(made, to="node-2")
    fake.objects[PODS]["d", "p"] = pod(node="node-1", cpuset="0,8")
    later(replica, 3)
    assert held(fake) == {"p": "0,8"}
    replica.hear()
    replica.round()
    assert holders(fake) == {"node-1": {"p": "0,8"}}


@pytest.mark.parametrize("seed", range(6))
def test_however_often_and_wherever_it_is_asked_for_a_pod_has_one_promise(fake, replica, seed):
    """Two at most at any moment, through two replicas, and one as soon as nothing is asked any more."""
    dice, other = random.Random(seed), Replica(fake)
    made = known(replica, pod(cpu="15"))
    for _ in range(12):
        for each in (replica, other):
            each.hear()
        asked = dice.choice((replica, other))
        assert asked.cpuset(made, to=dice.choice(["node-1", *OTHERS]))
        assert len(holders(fake)) <= 2
        for each in (replica, other):
            each.hear(LEDGERS)
        asked.clock.seconds += dice.choice((0, 0, 1, 5))
    for each in (replica, other):
        each.clock.seconds = 2000
        each.promises.step()
    assert len(holders(fake)) == 1
    other.endpoint.close()


def test_a_pod_that_is_bound_is_no_matter_of_promises(fake, replica):
    """Its entry stays, whatever is asked for."""
    made = pod()
    bind(replica, made)
    replica.clock.seconds += 10
    assert replica.cpuset(made, to="node-2") is None
    later(replica, 10)
    assert holders(fake) == {"node-1": {"p": "0,8"}}


def test_a_dry_run_withdraws_nothing(fake, replica):
    """Nor does a denial."""
    made = known(replica, pod(cpu="15"))
    assert replica.cpuset(made)
    replica.clock.seconds += 10
    assert replica.cpuset(made, to="node-2", dry_run=True)
    assert not replica.ask(known(replica, pod("large", cpu="2")))[1]["allowed"]
    later(replica, 10)
    assert holders(fake) == {"node-1": {"p": "0-14"}}


def test_a_promise_that_cannot_be_withdrawn_costs_nobody_anything(fake, replica):
    """The new one is given all the same; the reconciler drops the old one after the grace."""
    made = known(replica, pod())
    assert replica.cpuset(made)
    replica.clock.seconds += 10
    fake.failures["PUT", f"{LEDGERS}/node-1"] = [(500, {"message": "no"})]
    assert replica.cpuset(made, to="node-2")
    assert set(holders(fake)) == {"node-1", "node-2"}


@pytest.mark.parametrize("after", ["1", "2", "6", "8"])
@pytest.mark.parametrize("lands", [True, False])
def test_a_pod_that_is_resized_while_its_bind_may_be_under_way(fake, replica, after, lands):
    """It is promised nothing else until that is known: bound with its first CPUs, it keeps them."""
    made = known(replica, pod(cpu="4"))
    assert replica.cpuset(made) == "0-1,8-9"
    resized(fake, replica, after)
    status, denied = replica.ask(fake.objects[PODS]["d", "p"])
    assert (status, denied["allowed"]) == (200, False)
    assert "promised the CPUs 0-1,8-9 of node-1" in denied["status"]["message"]
    other = replica.cpuset(known(replica, pod("q", cpu="4")))
    assert other == "2-3,10-11"
    if lands:
        bind(replica, fake.objects[PODS]["d", "p"], cpuset="0-1,8-9")
        settle(replica, 2)
        cpus = parse_cpulist(annotation(fake))
        assert cpus <= {0, 1, 8, 9} or cpus >= {0, 1, 8, 9}
    else:
        replica.round()  # a replica measures the grace from when it has first seen the entries
        replica.clock.seconds += 61
        settle(replica, 1)
        assert held(fake) == {}  # as the other pod was not bound either
        cpus = parse_cpulist(replica.cpuset(fake.objects[PODS]["d", "p"]))
    assert len(cpus) == int(after)
    assert parse_cpulist(held(fake)["p"]) == cpus


@pytest.mark.parametrize("how", TAKEN)
def test_a_promise_whose_cpus_are_taken_is_over_after_the_grace(fake, replica, how):
    """It is not renewed, and others are given then."""
    made = known(replica, pod(qos="LSE"))
    assert replica.cpuset(made) == "0,8"
    fake.store(TOPOLOGIES, ("", "node-1"), TAKEN[how])
    replica.hear()
    for _ in range(70):
        replica.clock.seconds += 1
        replica.round()
        _, answer = replica.ask(made)
        if answer["allowed"]:
            break
    assert replica.clock.seconds > 1060
    assert parse_cpulist(held(fake)["p"]).isdisjoint({0, 8}) or how == "no SMT"
