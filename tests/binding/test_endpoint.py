"""/bind: reviews in, answers out, against an API server that fails in the ways a real one does."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.binding.builders import EVENTS, NODES, Replica, held, node, nrt, pod, review, store
from webhook.binding.caches import PODS, TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.binding.metrics import BindingMetrics

LEDGER = f"{LEDGERS}/node-1"
POD = "/api/v1/namespaces/d/pods/p"


def known(replica, made):
    """A pod that exists and is known."""
    store(replica.fake, PODS, made)
    replica.hear()
    return made


def told(replica):
    """The Events that are written."""
    stop = threading.Event()
    thread = threading.Thread(target=replica.events.watch, args=(stop, 0.01))
    thread.start()
    for _ in range(500):
        if replica.fake.objects[EVENTS] or not thread.is_alive():
            break
        stop.wait(0.01)
    stop.set()
    thread.join(10)
    return [(e["reason"], e["message"]) for e in replica.fake.objects[EVENTS].values()]


def test_a_pod_gets_cpus_and_the_ledger_says_so_first(replica):
    """The entry, the owner and the summary are stored before the answer is there."""
    assert replica.cpuset(known(replica, pod())) == "0,8"
    stored = replica.fake.objects[LEDGERS]["", "node-1"]
    assert held(replica.fake) == {"p": "0,8"}
    assert stored["metadata"]["ownerReferences"][0]["uid"] == "node-uid"
    assert stored["status"]["free"] == 14


def test_annotations_that_a_binding_has_stay(replica):
    """Only ours is added."""
    made = known(replica, pod())
    assert replica.cpuset(made, annotations={"other": "kept"}) == "0,8"


@pytest.mark.parametrize("other", [pod(qos="LS"), pod(qos=""), pod(cpu="0"), pod(node="node-1")])
def test_what_needs_no_set_costs_no_call(replica, other):
    """It is answered at once, from what is watched."""
    known(replica, other)
    replica.fake.requests.clear()
    if other["spec"].get("nodeName"):
        assert replica.cpuset(other) is None  # bound already: the API server will refuse it
    else:
        assert isinstance(replica.reviews.begin(review(other), 10), tuple)
    assert not replica.fake.requests


def test_an_unknown_pod_costs_one_call(replica):
    """Whatever it is."""
    made = store(replica.fake, PODS, pod(qos="LS"))
    assert replica.cpuset(made) is None
    assert replica.fake.requests == {("GET", POD): 1}


def test_the_same_again(replica):
    """A retry gets the same set, and the entry's time is that of the retry."""
    made = known(replica, pod())
    assert replica.cpuset(made) == "0,8"
    replica.clock.seconds += 30
    assert replica.cpuset(made) == "0,8"
    (line,) = replica.fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"]
    assert "2026-11-23T07:00:30Z" in line.split(" ")


def test_another_replica_gives_the_same(fake, replica):
    """One that was killed after writing leaves its promise in the ledger."""
    made = known(replica, pod())
    assert replica.cpuset(made) == "0,8"
    other = Replica(fake)
    assert other.cpuset(made) == "0,8"
    stale = Replica(fake)
    stale.cluster.ledgers.store.values.clear()
    assert stale.cpuset(made) == "0,8"


def test_two_replicas_never_give_a_cpu_twice(fake):
    """However old what they know is, and however they mix."""
    pods = [store(fake, PODS, pod(f"p{i}", cpu="1")) for i in range(15)]
    replicas = [Replica(fake) for _ in range(3)]
    with ThreadPoolExecutor(9) as pool:
        sets = list(pool.map(lambda item: replicas[item[0] % 3].cpuset(item[1]), enumerate(pods)))
    assert sorted(map(int, sets)) == sorted(set(map(int, sets)))
    assert held(fake) == {made["metadata"]["name"]: cpus for made, cpus in zip(pods, sets, strict=True)}
    assert sum(replica.conflicts for replica in replicas) > 0


def test_a_denial_says_what_is_free_and_leaves_nothing(replica):
    """Told by an Event, too, once."""
    made = known(replica, pod(cpu="40"))
    for _ in range(2):
        status, response = replica.ask(made)
        assert (status, response["allowed"]) == (200, False)
        message = "needs 40 CPUs; node-1 has 16 free (8 and 8 on its NUMA nodes)"
        failure = {"status": "Failure", "code": 403, "reason": "Forbidden", "message": message}
        assert response["status"] == failure
    assert held(replica.fake) is None
    assert told(replica) == [("CPUSetDenied", message)]


def test_a_denial_is_made_by_the_stored_ledger(fake, replica):
    """What this replica knows may be old: another one's pod has gone meanwhile."""
    first, second = known(replica, pod("first", cpu="15")), known(replica, pod("second", cpu="15"))
    assert replica.cpuset(first)
    del fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"][0]
    assert replica.cpuset(second)


def test_a_pod_that_asks_for_nonsense_is_denied(replica):
    """With the field and the remedy; nothing is looked up for it."""
    made = known(replica, pod(cpu="1500m"))
    status, response = replica.ask(made)
    assert (status, response["allowed"]) == (200, False)
    assert "cpu 1500m is no whole number of CPUs" in response["status"]["message"]


def test_a_dry_run_writes_nothing(replica):
    """No ledger, no Event; the answer is what it would be."""
    made, large = known(replica, pod()), known(replica, pod("large", cpu="40"))
    assert replica.cpuset(made, dry_run=True) == "0,8"
    assert not replica.ask(large, dry_run=True)[1]["allowed"]
    written = {method for method, _ in replica.fake.requests} - {"GET"}
    assert written == set()
    assert replica.events._waiting.empty()


def test_a_new_pod_of_that_name_is_another_one(fake, replica):
    """What is cached is the old pod: the live one is asked for, with a uid in the Binding and without."""
    known(replica, pod(uid="old"))
    fake.objects[PODS]["d", "p"] = pod(cpu="4", uid="new")
    for uid in ("same", ""):
        assert replica.cpuset(pod(uid="new"), uid=uid) == "0-1,8-9"
    (line,) = fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"]
    assert line.endswith(" new")
    # A uid that no pod has is the API server's to refuse.
    assert replica.cpuset(pod(uid="never")) is None


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


def test_a_node_that_is_not_known_yet_is_asked_for(fake, replica):
    """Node and topology, once each."""
    made = known(replica, pod())
    store(fake, NODES, node("node-2", uid="two"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    assert replica.cpuset(made, to="node-2")
    for path in (NODES, TOPOLOGIES):
        assert fake.requests["GET", f"{path}/node-2"] == 1
    made = pod("q")
    status, response = replica.ask(known(replica, made), to="nowhere")
    assert (status, response["status"]["message"]) == (200, "node nowhere does not exist")


def test_an_answer_does_not_take_back_what_was_heard_since(fake, replica):
    """A node that changes while it is asked for is the one that was told last."""

    def replaced_meanwhile():
        store(fake, NODES, node("node-2", uid="newer"))
        replica.hear(NODES)

    made = known(replica, pod())
    store(fake, NODES, node("node-2", uid="older"))
    store(fake, TOPOLOGIES, nrt(name="node-2"))
    fake.late["GET", f"{NODES}/node-2"] = replaced_meanwhile
    assert replica.cpuset(made, to="node-2")
    assert fake.objects[LEDGERS]["", "node-2"]["metadata"]["ownerReferences"][0]["uid"] == "newer"


def test_without_a_topology_nothing_is_bound(fake, replica):
    """As Koordinator says it."""
    del fake.objects[TOPOLOGIES]["", "node-1"]
    replica.hear()
    message = replica.ask(known(replica, pod()))[1]["status"]["message"]
    assert message.startswith("node(s) invalid CPU Topology: node-1: it has no NodeResourceTopology")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_api_server_that_fails_is_a_503(fake, replica, method):
    """FailurePolicy decides; the message says what failed."""
    made = known(replica, pod())
    path = {"POST": LEDGERS, "GET": PODS}[method]
    fake.failures[method, path] = [(500, {"message": "etcd is away"})]
    status, body = replica.ask(made)
    assert status == 503
    assert "etcd is away" in body["message"]
    assert replica.cpuset(made) == "0,8"


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


def test_no_time_left_is_a_503(replica):
    """Nothing is begun that cannot be finished."""
    status, body = replica.ask(known(replica, pod()), seconds=0.1)
    assert status == 503
    assert "no time is left" in body["message"]
    assert held(replica.fake) is None


def test_before_everything_is_read_nothing_is_given(fake):
    """And what is known to need nothing is answered all the same."""
    replica = Replica(fake)
    replica.cluster.ledgers.store.synced = False
    made, other = known(replica, pod()), known(replica, pod("ls", qos="LS"))
    replica.cluster.ledgers.store.synced = False
    assert replica.ask(made)[0] == 503
    assert replica.cpuset(other) is None


def test_what_is_no_review_is_a_400(replica):
    """And what is not ours is allowed."""
    status, body = replica.reviews.begin(b"{", 10)
    assert status == 400
    assert json.loads(body)["kind"] == "Status"
    odd = json.loads(review(pod()))
    for field, value in (
        ("operation", "DELETE"),
        ("subResource", ""),
        ("object", {"target": {"kind": "Moon"}}),
    ):
        asked = {**odd, "request": {**odd["request"], field: value}}
        status, body = replica.reviews.begin(json.dumps(asked).encode(), 10)
        assert (status, json.loads(body)["response"]) == (200, {"uid": "r", "allowed": True})


def test_a_fault_of_ours_is_a_500_with_the_uid(replica, monkeypatch, caplog):
    """The log has the traceback, the client has none."""
    monkeypatch.setattr(replica.binder, "bind", lambda *_, **__: 1 / 0)
    status, body = replica.ask(known(replica, pod()))
    assert (status, body["code"]) == (500, 500)
    assert "internal fault at review r" in body["message"]
    assert "ZeroDivisionError" in caplog.text


def test_what_is_counted(replica):
    """Sets, denials by reason, bindings by outcome."""
    registry = CollectorRegistry()
    replica.reviews.metrics = BindingMetrics(registry)
    replica.cpuset(known(replica, pod()))
    replica.cpuset(known(replica, pod("ls", qos="LS")))
    replica.ask(known(replica, pod("large", cpu="40")))
    text = generate_latest(registry).decode()
    for line in (
        'colocation_webhook_bindings_total{outcome="set"} 1.0',
        'colocation_webhook_bindings_total{outcome="none"} 1.0',
        'colocation_webhook_bindings_total{outcome="denied"} 1.0',
        'colocation_webhook_cpuset_allocations_total{again="false",qos="LSR"} 1.0',
        'colocation_webhook_cpuset_denials_total{reason="NoSuchSet"} 1.0',
        'colocation_webhook_binding_duration_seconds_count{outcome="set"} 1.0',
    ):
        assert line in text
