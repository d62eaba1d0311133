"""What went wrong meanwhile is put right, by what is stored and never by what is merely known."""

import pytest

from tests.binding.builders import Clock, Replica, bind, held, node, nrt, pod, settle, store
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.binding.reconciler import FOREIGN_SECONDS
from webhook.kube.paths import NODES, PODS

GRACE = 60.0


@pytest.mark.parametrize("end", ["gone", "finished", "another", "elsewhere"])
def test_an_entry_goes_with_its_pod(fake, replica, end):
    """Deleted, finished, made again under its name, or bound elsewhere: at once."""
    bind(replica, pod())
    bind(replica, pod("stays"))
    if end == "gone":
        fake.delete(PODS, "p", "d")
    else:
        change = {
            "finished": pod(node="node-1", cpuset="0,8", phase="Failed"),
            "another": pod(uid="another"),
            "elsewhere": pod(node="node-2", cpuset="0,8"),
        }
        fake.store(PODS, ("d", "p"), change[end])
    replica.hear()
    replica.round()
    assert held(fake) == {"stays": "1,9"}


def test_a_cache_that_is_wrong_drops_nothing(fake, replica):
    """The watch lost a pod, or shows it unbound: the live pod is asked, and it is there."""
    bind(replica, pod())
    replica.state.pods.deleted(pod())
    replica.round()
    replica.state.pods.changed(pod())
    replica.clock.seconds += 2 * GRACE
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_a_pod_that_is_not_bound_keeps_its_cpus_for_the_grace(fake, replica):
    """The bind may have failed after the answer; a retry begins the grace again."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE - 5
    replica.round()
    assert held(fake) == {"p": "0,8"}
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE - 5
    replica.round()
    assert held(fake) == {"p": "0,8"}
    replica.clock.seconds += 10
    replica.round()
    assert held(fake) == {}


def test_clocks_need_not_agree(fake, replica):
    """An entry whose time is long past, by whoever wrote it, has the whole grace from when it is seen."""
    made = store(fake, PODS, pod())
    slow = Replica(fake, clock=Clock())
    slow.clock.seconds -= 10 * GRACE
    assert slow.cpuset(made) == "0,8"
    replica.hear()
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_what_is_refused_for_one_node_stops_no_other(fake, replica):
    """A ledger that the API server does not take is logged, and the round goes on."""
    bind(replica, pod())
    store(fake, NODES, node("node-0", uid="zero"))
    store(fake, TOPOLOGIES, nrt(name="node-0"))
    replica.hear()
    bind(replica, pod("q"), name="node-0")
    fake.delete(PODS, "p", "d")
    fake.delete(PODS, "q", "d")
    replica.hear()
    fake.failures["PUT", f"{LEDGERS}/node-0"] = [(422, {"message": "no"})] * 2
    replica.round()
    assert held(fake) == {}


def test_an_entry_that_is_given_again_in_the_meantime_stays(fake, replica):
    """The reconciler has found it old; before it writes, a replica promises the CPUs once more."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    replica.round()
    replica.clock.seconds += GRACE + 5
    other = Replica(fake, clock=replica.clock)
    live = replica.state.api.get

    def between(path, **given):
        answer = live(path, **given)
        if path.endswith("/pods/p"):
            other.cpuset(made)
        return answer

    replica.state.api.get = between
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_a_deleted_ledger_is_restored(fake, replica):
    """From the pods' annotations."""
    bind(replica, pod())
    bind(replica, pod("q"))
    fake.delete(LEDGERS, "node-1")
    replica.hear()
    replica.clock.seconds += 2 * GRACE
    settle(replica)
    assert held(fake) == {"p": "0,8", "q": "1,9"}


def test_a_ledger_that_was_tampered_with_is_made_whole(fake, replica, caplog):
    """An entry that cannot be read comes back from its pod; the log says which it was."""
    bind(replica, pod())
    bind(replica, pod("q"))
    fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"][0] = "odd"
    replica.hear()
    settle(replica)
    assert held(fake) == {"p": "0,8", "q": "1,9"}
    assert "spec.allocations[0]: 'odd' is no line" in caplog.text


def test_a_void_ledger_is_begun_again(fake, replica):
    """The Node was replaced; pods that are bound to its name are still there."""
    bind(replica, pod())
    store(fake, NODES, node(uid="another"))
    replica.hear()
    settle(replica)
    assert held(fake) == {"p": "0,8"}
    owner = fake.objects[LEDGERS]["", "node-1"]["metadata"]["ownerReferences"][0]
    assert owner["uid"] == "another"


def test_sets_of_other_classes_are_looked_for(fake, replica):
    """No watch tells of them: the pods of a node with a ledger are listed now and then."""
    bind(replica, pod())
    settle(replica)
    store(fake, PODS, pod("ls", qos="LS", node="node-1", cpuset="3,11"))
    replica.clock.seconds += FOREIGN_SECONDS + 1
    settle(replica)
    assert held(fake) == {"ls": "3,11", "p": "0,8"}


def test_when_all_is_well_nothing_is_called(fake, replica):
    """A round over ledgers and pods that agree is made of look-ups."""
    for name in ("a", "b", "c"):
        bind(replica, pod(name))
    settle(replica)
    fake.requests.clear()
    replica.round()
    assert not fake.requests


def test_only_one_replica_reconciles(fake, replica):
    """The one that holds the Lease."""
    other = Replica(fake, clock=replica.clock)
    other.reconciler._lease.identity = "another"
    bind(replica, pod())
    replica.round()
    fake.delete(PODS, "p", "d")
    other.hear()
    other.round()
    assert held(fake) == {"p": "0,8"}
    replica.hear()
    replica.round()
    assert held(fake) == {}
