"""/bind: reviews in, answers out, against an API server that fails in the ways a real one does."""

import json

import pytest

from tests.binding.builders import Replica, held, known, pod, recorded, review, store
from webhook.admission.response import Answer
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.kube.paths import PODS

LEDGER = f"{LEDGERS}/node-1"
POD = "/api/v1/namespaces/d/pods/p"


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
        assert isinstance(replica.endpoint.begin(review(other), 10), tuple)
    assert not replica.fake.requests


def test_an_unknown_pod_costs_one_call(replica):
    """Whatever it is."""
    made = store(replica.fake, PODS, pod(qos="LS"))
    assert replica.cpuset(made) is None
    assert replica.fake.requests == {("GET", POD): 1}


@pytest.mark.parametrize("namespace", ["zz/0", "A", "a.b", "..", "a" * 64, ""])
def test_a_pod_of_a_namespace_that_cannot_be_costs_no_call(replica, namespace):
    """It is a 400 at once."""
    body = json.loads(review(pod()))
    body["request"]["namespace"] = namespace
    assert replica.endpoint.begin(json.dumps(body).encode(), 10).status == 400
    assert not replica.fake.requests


def test_the_same_again(replica):
    """A retry gets the same set, and the entry's time is that of the retry."""
    made = known(replica, pod())
    assert replica.cpuset(made) == "0,8"
    replica.clock.seconds += 30
    assert replica.cpuset(made) == "0,8"
    (line,) = replica.fake.objects[LEDGERS]["", "node-1"]["spec"]["allocations"]
    assert "2026-11-23T07:00:30Z" in line.split(" ")


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
    assert recorded(replica) == [("CPUSetDenied", message)]


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


def test_no_time_left_is_a_503(replica):
    """Nothing is begun that cannot be finished."""
    status, body = replica.ask(known(replica, pod()), seconds=0.1)
    assert status == 503
    assert "no time is left" in body["message"]
    assert held(replica.fake) is None


def test_before_everything_is_read_nothing_is_given(fake):
    """And what is known to need nothing is answered all the same."""
    replica = Replica(fake)
    replica.state.ledgers.store.synced = False
    made, other = known(replica, pod()), known(replica, pod("ls", qos="LS"))
    replica.state.ledgers.store.synced = False
    assert replica.ask(made)[0] == 503
    assert replica.cpuset(other) is None


def test_what_is_no_review_is_a_400(replica):
    """And what is not ours is allowed."""
    status, body = replica.endpoint.begin(b"{", 10)
    assert status == 400
    assert json.loads(body)["kind"] == "Status"
    odd = json.loads(review(pod()))
    for field, value in (
        ("operation", "DELETE"),
        ("subResource", ""),
        ("object", {"target": {"kind": "Moon"}}),
        ("object", {"target": {"kind": ["Node"]}}),
    ):
        asked = {**odd, "request": {**odd["request"], field: value}}
        status, body = replica.endpoint.begin(json.dumps(asked).encode(), 10)
        assert (status, json.loads(body)["response"]) == (200, {"uid": "r", "allowed": True})


@pytest.mark.parametrize("annotations", ["text", 12, [], [None]])
def test_a_binding_whose_annotations_are_none_is_refused_before_cpus_are_given(replica, annotations):
    """With the field and the value; nothing is left in a ledger."""
    made = json.loads(review(known(replica, pod())))
    made["request"]["object"]["metadata"]["annotations"] = annotations
    begun = replica.endpoint.begin(json.dumps(made).encode(), 10)
    status, body = begun if isinstance(begun, Answer) else begun.result(10)
    assert (status, "metadata.annotations: must be an object" in json.loads(body)["message"]) == (400, True)
    assert held(replica.fake) is None


def test_a_fault_of_ours_is_a_500_with_the_uid(replica, monkeypatch, caplog):
    """The log has the traceback, the client has none."""
    monkeypatch.setattr(replica.binder, "bind", lambda *_, **__: 1 / 0)
    status, body = replica.ask(known(replica, pod()))
    assert (status, body["code"]) == (500, 500)
    assert "internal fault at review r" in body["message"]
    assert "ZeroDivisionError" in caplog.text
