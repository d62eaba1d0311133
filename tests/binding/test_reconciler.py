"""What went wrong meanwhile is put right, by what is stored and never by what is merely known."""

import json
import threading

import pytest

from tests.binding.builders import EVENTS, STATUS, Clock, Replica, held, node, nrt, pod, store
from webhook.binding.caches import NODES, PODS, TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.binding.reconciler import FOREIGN_SECONDS

GRACE = 60.0


def bind(replica, made, cpuset=None, name="node-1"):
    """Give a pod CPUs and bind it, as the API server does; returns the set."""
    store(replica.fake, PODS, made)
    replica.hear(PODS)
    cpuset = cpuset or replica.cpuset(made, to=name)
    key = ("d", made["metadata"]["name"])
    metadata = {**made["metadata"], "annotations": {STATUS: json.dumps({"cpuset": cpuset})}}
    bound = {**made, "metadata": metadata, "spec": {**made["spec"], "nodeName": name}}
    replica.fake.store(PODS, key, bound)
    replica.hear(PODS)
    return cpuset


def told(replica):
    """Reasons and messages of Events."""
    stop = threading.Event()
    thread = threading.Thread(target=replica.events.watch, args=(stop, 0.01))
    thread.start()
    while not replica.events._waiting.empty():
        stop.wait(0.01)
    stop.wait(0.05)
    stop.set()
    thread.join(10)
    return [(e["reason"], e["message"]) for e in replica.fake.objects[EVENTS].values()]


def ready(fake):
    """The condition Ready of the ledger."""
    (found,) = fake.objects[LEDGERS]["", "node-1"]["status"]["conditions"]
    return found["status"], found["reason"], found["message"]


def annotation(fake, name="p"):
    """The CPU set that a stored pod names."""
    text = fake.objects[PODS]["d", name]["metadata"]["annotations"].get(STATUS)
    return json.loads(text)["cpuset"] if text else None


def settle(replica, rounds=3):
    """A few rounds, the watches telling in between."""
    for _ in range(rounds):
        replica.round()
        replica.hear()
        replica.clock.seconds += 1


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
    replica.cluster.pods.deleted(pod())
    replica.round()
    replica.cluster.pods.changed(pod())
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
    live = replica.cluster.api.get

    def between(path, **given):
        answer = live(path, **given)
        if path.endswith("/pods/p"):
            other.cpuset(made)
        return answer

    replica.cluster.api.get = between
    replica.round()
    assert held(fake) == {"p": "0,8"}


def test_a_pod_bound_without_a_set_gets_one(fake, replica):
    """The webhook was away: ledger first, then the annotation, and an Event."""
    bind(replica, pod("before"))
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert held(fake) == {"before": "0,8", "p": "1,9"}
    assert annotation(fake) == "1,9"
    assert told(replica) == [("CPUSetRepaired", "got CPUs 1,9 of node-1 after it was bound")]


def test_an_answer_that_came_too_late_is_carried_out(fake, replica):
    """The ledger has the entry, the pod was bound without: it gets the set that it was given."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    fake.store(PODS, ("d", "p"), pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "0,8"}, "0,8")


def test_other_namespaces_are_left_alone(fake):
    """A pod without a set, bound where nobody opted in, stays as it is; a set it has is entered."""
    replica = Replica(fake, opted_in=lambda _: False)
    store(fake, PODS, pod(node="node-1"))
    store(fake, PODS, pod("foreign", node="node-1", cpuset="3,11"))
    replica.hear()
    settle(replica)
    assert annotation(fake) is None
    assert held(fake) == {"foreign": "3,11"}


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


def test_a_set_that_two_hold_is_taken_from_the_later(fake, replica):
    """Somebody gave CPUs that were given: in a namespace that opted in the later pod gets others."""
    bind(replica, pod())
    replica.clock.seconds += 5
    bind(replica, pod("late"), cpuset="0,8")
    settle(replica, 4)
    assert held(fake) == {"late": "1,9", "p": "0,8"}
    assert (annotation(fake), annotation(fake, "late")) == ("0,8", "1,9")
    assert ready(fake)[:2] == ("True", "AsItShouldBe")


def test_what_cannot_be_repaired_is_said(fake):
    """Held twice where nobody opted in: an Event on the pod, a condition on the ledger, and both stay."""
    replica = Replica(fake, opted_in=lambda _: False)
    bind(replica, pod(), cpuset="0,8")
    settle(replica)
    bind(replica, pod("late"), cpuset="0,9")
    settle(replica)
    assert held(fake) == {"late": "0,9", "p": "0,8"}
    status, reason, message = ready(fake)
    assert (status, reason) == ("False", "HeldTwice")
    assert "both hold 0" in message
    assert told(replica) == [("CPUSetMissing", "its CPUs 0 are d/p's, too")]


def test_a_pod_that_finds_no_room_is_told_and_tried_again(fake, replica):
    """Bound while the webhook was away, onto a node that is full."""
    bind(replica, pod("large", cpu="15"), cpuset="0-14")
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert annotation(fake) is None
    assert ready(fake) == (
        "False", "Unrepaired", "d/p: needs 2 CPUs; node-1 has 1 free (0 and 1 on its NUMA nodes)",
    )  # fmt: skip
    fake.delete(PODS, "large", "d")
    replica.hear()
    replica.clock.seconds += 30
    settle(replica, 4)
    assert annotation(fake) is not None
    assert ready(fake)[:2] == ("True", "AsItShouldBe")


def test_an_annotation_that_cannot_be_read_is_replaced(fake, replica):
    """In a namespace that opted in."""
    store(fake, PODS, pod(node="node-1", annotations={STATUS: "{"}))
    replica.hear()
    settle(replica)
    assert annotation(fake) == "0,8"


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
    other.reconciler._lease._given = "another"
    bind(replica, pod())
    replica.round()
    fake.delete(PODS, "p", "d")
    other.hear()
    other.round()
    assert held(fake) == {"p": "0,8"}
    replica.hear()
    replica.round()
    assert held(fake) == {}
