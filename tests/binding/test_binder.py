"""One pod to one node: whatever a replica knows, the stored ledger decides."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.binding.builders import Replica, held, known, node, pod, store
from webhook.binding.ledgers import LEDGERS
from webhook.cpuset.cpulist import format_cpulist
from webhook.kube.paths import NODES, PODS


def test_another_replica_gives_the_same(fake, replica):
    """One that was killed after writing leaves its promise in the ledger."""
    made = known(replica, pod())
    assert replica.cpuset(made) == "0,8"
    other = Replica(fake)
    assert other.cpuset(made) == "0,8"
    stale = Replica(fake)
    stale.state.ledgers.store.values.clear()
    assert stale.cpuset(made) == "0,8"


def test_two_replicas_never_give_a_cpu_twice(fake):
    """However old what they know is, and however they mix."""
    pods = [store(fake, PODS, pod(f"p{i}", cpu="1")) for i in range(15)]
    replicas = [Replica(fake) for _ in range(3)]
    with ThreadPoolExecutor(9) as pool:
        sets = list(pool.map(lambda item: replicas[item[0] % 3].cpuset(item[1]), enumerate(pods)))
    assert sorted(map(int, sets)) == sorted(set(map(int, sets)))
    assert held(fake) == {made["metadata"]["name"]: cpus for made, cpus in zip(pods, sets, strict=True)}
    assert sum(replica.metric("cpuset_conflicts_total") for replica in replicas) > 0


def test_a_denial_is_made_by_the_stored_ledger(fake, replica):
    """What this replica knows may be old: another one's pod has gone meanwhile."""
    first, second = known(replica, pod("first", cpu="15")), known(replica, pod("second", cpu="15"))
    assert replica.cpuset(first)
    del fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"][0]
    assert replica.cpuset(second)


def test_a_ledger_begins_with_what_pods_hold(fake, replica):
    """Sets of koord-scheduler, of any class and any namespace, known or not."""
    store(fake, PODS, pod("foreign", qos="LS", node="node-1", cpuset="0,8"))
    assert replica.cpuset(known(replica, pod())) == "1,9"
    assert held(fake) == {"foreign": "0,8", "p": "1,9"}


def test_a_set_of_which_a_watch_tells_later_is_respected(fake, replica):
    """koord-scheduler binds a pod while the ledger exists."""
    assert replica.cpuset(known(replica, pod("one"))) == "0,8"
    store(fake, PODS, pod("foreign", node="node-1", cpuset="1,9"))
    assert replica.cpuset(known(replica, pod("two"))) == "2,10"
    assert held(fake) == {"foreign": "1,9", "one": "0,8", "two": "2,10"}


def test_a_ledger_of_an_earlier_node_is_void(fake, replica):
    """The machine is another one: what pods hold there counts, and what was promised a moment ago."""
    assert replica.cpuset(known(replica, pod("old"))) == "0,8"
    replica.clock.seconds += 50
    assert replica.cpuset(known(replica, pod("young"))) == "1,9"
    replica.clock.seconds += 20
    store(fake, NODES, node(uid="another"))
    replica.hear()
    assert replica.cpuset(known(replica, pod("new"))) == "0,8"
    assert held(fake) == {"young": "1,9", "new": "0,8"}
    owner = fake.objects[LEDGERS]["", "node-1"]["metadata"]["ownerReferences"][0]
    assert owner["uid"] == "another"


def test_a_deleted_ledger_does_not_free_what_was_promised(fake, replica):
    """Its last entries are known; those whose pods are not bound yet are kept for the grace."""
    assert replica.cpuset(known(replica, pod("one"))) == "0,8"
    del fake.objects[LEDGERS]["", "node-1"]
    assert replica.cpuset(known(replica, pod("two"))) == "1,9"
    assert held(fake) == {"one": "0,8", "two": "1,9"}


@pytest.mark.parametrize(
    ("late", "entered"),
    [("it is gone", False), ("it has ended", False), ("another one has its name", False), ("it runs", True)],
)
@pytest.mark.parametrize("by", ["another binding", "a look through"])
def test_a_pod_that_a_watch_is_late_to_tell_of_the_end_of(fake, replica, late, entered, by):
    """Its CPUs are another one's by now: it is entered only if it is still there."""
    store(fake, PODS, pod("first", node="node-1", cpuset="0,8"))
    other = Replica(fake)
    old = fake.objects[PODS]["d", "first"]
    fake.delete(PODS, "first", "d")
    replica.hear()
    assert replica.cpuset(known(replica, pod("second"))) == "0,8"
    if late == "it has ended":
        store(fake, PODS, old | {"status": {"phase": "Succeeded"}})
    elif late == "another one has its name":
        store(fake, PODS, pod("first", uid="another", node="node-1", cpuset="1,9"))
    elif late == "it runs":
        store(fake, PODS, old)
    if by == "another binding":
        assert other.cpuset(store(fake, PODS, pod("third"))) == "1,9"
        third = {"third": "1,9"}
    else:
        other.reconciler._change("node-1", {}, [old])
        third = {}
    assert held(fake) == {"second": "0,8", **third, **({"first": "0,8"} if entered else {})}
    other.endpoint.close()


@pytest.mark.parametrize("status", [403, 500])
def test_a_pod_that_cannot_be_looked_up_costs_no_other(fake, replica, status):
    """It is entered: what is not known to be gone holds its CPUs."""
    store(fake, PODS, pod("first", node="node-1", cpuset="0,8"))
    other = Replica(fake)
    fake.delete(PODS, "first", "d")
    replica.hear()
    assert replica.cpuset(known(replica, pod("second"))) == "0,8"
    fake.failures["GET", "/api/v1/namespaces/d/pods/first"] = [(status, {"message": "no"})] * 9
    assert other.cpuset(store(fake, PODS, pod("third"))) == "1,9"
    assert held(fake) == {"first": "0,8", "second": "0,8", "third": "1,9"}
    other.endpoint.close()


def test_what_a_pod_claims_is_not_kept_from_it_by_one_that_is_gone(fake, replica):
    """Of a pod that became smaller all CPUs are held that its annotation names: nobody else has them."""
    gone = pod("first", node="node-1", cpuset="3,11")
    replica.cpuset(known(replica, pod("zero", cpu="1")))
    store(fake, PODS, smaller := pod("smaller", node="node-1", cpuset="2-3,10-11"))
    deadline = replica.state.deadline(9.0)
    ledger, topology = replica.state.ledgers.known("node-1"), replica.state.node_topology("node-1", deadline)
    found = replica.binder.with_pods(topology, ledger, iter([gone, smaller]), deadline=deadline)
    assert {each.name: format_cpulist(each.cpus) for each in found.entries.values()} == {
        "zero": "0",
        "smaller": "2-3,10-11",
    }


def test_a_promise_that_a_replica_is_late_to_hear_the_end_of(fake, replica):
    """It rebuilds the ledger from what pods have, which is newer than what it knows of the ledger."""
    assert replica.cpuset(known(replica, pod("first"))) == "0,8"
    other = Replica(fake)
    fake.delete(PODS, "first", "d")
    fake.delete(LEDGERS, "node-1")
    store(fake, PODS, pod("second", node="node-1", cpuset="0,8"))
    assert other.cpuset(store(fake, PODS, pod("third"))) == "1,9"
    assert held(fake) == {"second": "0,8", "third": "1,9"}
    other.endpoint.close()


def test_a_set_that_a_replica_is_late_to_hear_became_smaller(fake, replica):
    """What the pod had then is another one's by now."""
    store(fake, PODS, pod("first", cpu="4", node="node-1", cpuset="0-1,8-9"))
    replica.hear()
    replica.cpuset(known(replica, pod("zero", cpu="1")))
    other = Replica(fake)
    fake.delete(LEDGERS, "node-1")
    store(fake, PODS, pod("first", cpu="2", node="node-1", cpuset="0,8"))
    store(fake, PODS, pod("second", cpu="1", node="node-1", cpuset="1"))
    assert other.cpuset(store(fake, PODS, pod("third")))
    assert {name: held(fake)[name] for name in ("first", "second")} == {"first": "0,8-9", "second": "1"}
    other.endpoint.close()


def test_an_answer_that_is_lost_promises_nothing_twice(fake, replica):
    """The ledger was written and nobody heard: the retry finds the entry and gives the same CPUs."""
    made = known(replica, pod())
    replica.cpuset(known(replica, pod("first")))
    stored = fake.store

    def lost(path, key, value):
        stored(path, key, value)
        if path == LEDGERS:
            fake.store = stored
            raise ConnectionResetError

    fake.store = lost
    status, _ = replica.ask(made)
    first = held(fake)["p"]
    assert status in {200, 503}
    assert replica.cpuset(made) == first
