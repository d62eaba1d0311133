"""/bind: reviews in, answers out, against an API server that fails in the ways a real one does."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.binding.builders import (
    NODES,
    STATUS,
    Replica,
    annotation,
    held,
    known,
    node,
    nrt,
    pod,
    recorded,
    review,
    server,
    settle,
    store,
)
from webhook.admission.response import Answer
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledger import Ledger, write_ledger
from webhook.binding.ledgers import LEDGERS
from webhook.cpuset.cpulist import parse_cpulist
from webhook.kube.paths import PODS

LEDGER = f"{LEDGERS}/node-1"
FIELDS = (
    "cpuset", "reservedCPUs", "resources", "cpu", "policy", "options", "uid", "managedByKubelet", "detail",
    "preferredCPUBindPolicy", "requiredCPUBindPolicy", "numaTopologyPolicy", "preferredCPUExclusivePolicy",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=30),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(json.dumps),
)
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


@pytest.mark.parametrize("path", ["pods/binding", "bindings"])
def test_a_known_pod_costs_one_call(replica, path):
    """The write of the ledger, by either path of a Binding, and with a pod that says where it may go."""
    store(replica.fake, NODES, node(labels={"zone": "a"}, taints=[{"key": "t", "effect": "NoExecute"}]))
    where = {"tolerations": [{"operator": "Exists"}]}
    assert replica.cpuset(known(replica, pod("first", placement=where))) == "0,8"
    made = known(replica, pod(placement={**where, "nodeSelector": {"zone": "a"}}))
    replica.fake.requests.clear()
    assert replica.cpuset(made, path=path) == "1,9"
    assert replica.fake.requests == {("PUT", LEDGER): 1}


def test_the_older_path_of_a_binding_is_asked_about(replica):
    """``POST …/bindings``: a pod for which there is no room is denied there, too."""
    status, response = replica.ask(known(replica, pod(cpu="64", qos="LSE")), path="bindings")
    assert (status, response["allowed"]) == (200, False)
    assert "needs 64 CPUs" in response["status"]["message"]


NOT_BOUND = {
    "another namespace": (pod(), {}),
    "finished": (pod(phase="Failed"), {}),
    "being deleted": (pod(deletionTimestamp="2026-11-23T07:00:00Z"), {}),
    "held back": (pod(placement={"schedulingGates": [{"name": "quota"}]}), {}),
    "bound elsewhere": (pod(node="node-2"), {}),
    "mirror": (pod(annotations={"kubernetes.io/config.mirror": "abc"}), {}),
    "uid of nobody": (pod(), {"uid": "nobody"}),
}


@pytest.mark.parametrize("what", NOT_BOUND)
@pytest.mark.parametrize("watched", [True, False])
def test_what_the_api_server_would_not_bind_or_not_ask_about_gets_nothing(fake, what, watched):
    """The review is allowed, for the API server itself refuses or binds it; nothing is written."""
    made, also = NOT_BOUND[what]
    replica = Replica(fake, opted_in=lambda _: what != "another namespace")
    store(fake, PODS, made)
    if watched:
        replica.hear()
    assert replica.cpuset(made, **also) is None
    assert held(fake) is None
    replica.endpoint.close()


def _required(**requirement):
    terms = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    ("placement", "on", "said"),
    [
        ({"nodeSelector": {"no": "where"}}, {}, "the pod's nodeSelector asks for no=where"),
        (_required(key="zone", operator="In", values=["b"]), {"labels": {"zone": "a"}}, "node affinity"),
        ({}, {"taints": [{"key": "t", "value": "v", "effect": "NoSchedule"}]}, "the taint t=v:NoSchedule"),
        ({}, {"taints": [{"key": "t", "effect": "NoExecute"}]}, "the taint t:NoExecute"),
        ({}, {"unschedulable": True}, "the taint node.kubernetes.io/unschedulable:NoSchedule"),
    ],
)
@pytest.mark.parametrize("watched", [True, False])
def test_a_pod_is_not_given_cpus_of_a_node_that_it_does_not_fit(fake, replica, placement, on, said, watched):
    """Denied with the reason; the CPUs are there for others. A pod that fits gets them."""
    store(fake, NODES, node(**on))
    made = store(fake, PODS, pod("attacker", cpu="15", placement=placement))
    replica.hear(*(() if watched else (NODES,)))
    status, response = replica.ask(made)
    assert (status, response["allowed"]) == (200, False)
    assert said in response["status"]["message"]
    assert held(fake) is None
    store(fake, NODES, node())
    assert replica.cpuset(known(replica, pod("victim", cpu="4")))


def test_a_pod_fits_the_node_as_it_is_stored(fake, replica):
    """A label, or a taint taken away, of which no watch has told yet: the scheduler knew it."""
    store(fake, NODES, node(taints=[{"key": "t", "effect": "NoSchedule"}]))
    made = known(replica, pod(placement={"nodeSelector": {"zone": "a"}}))
    store(fake, NODES, node(labels={"zone": "a"}))
    assert replica.cpuset(made) == "0,8"
    assert fake.requests["GET", f"{NODES}/node-1"] == 1


def test_a_namespace_that_is_not_known_yet_is_a_503(fake):
    """Whether it has opted in cannot be said."""
    replica = Replica(fake, opted_in=lambda _: None)
    status, body = replica.ask(known(replica, pod()))
    assert (status, "the namespace has not been listed yet" in body["message"]) == (503, True)
    assert held(fake) is None


def test_a_pod_that_changes_while_it_waits_is_answered_as_it_is_then(fake, replica):
    """Resized, deleted, or bound by another scheduler, while a write for the node is not answered."""
    assert replica.cpuset(known(replica, pod("first")))
    waiting = [store(fake, PODS, pod(name)) for name in ("busy", "resized", "deleted", "bound")]
    replica.hear()
    answered = threading.Event()
    fake.late["PUT", LEDGER] = lambda: answered.wait(10)
    begun = [replica.endpoint.begin(review(made), 30.0) for made in waiting]
    store(fake, PODS, pod("resized", cpu="4"))
    store(fake, PODS, pod("bound", node="node-2"))
    fake.delete(PODS, "deleted", "d")
    replica.hear(PODS)
    answered.set()
    assert {each.result(10).status for each in begun} == {200}
    assert held(fake) == {"first": "0,8", "busy": "1,9", "resized": "2-3,10-11"}


def test_bindings_that_wait_for_one_node_hold_up_no_other(fake, replica):
    """Sixty of them, while a write for their node is not answered: as many other nodes are served."""
    others = [f"node-{number}" for number in range(2, 32)]
    for name in others:
        store(fake, NODES, node(name, uid=name))
        store(fake, TOPOLOGIES, nrt(name=name))
    first, *more = (store(fake, PODS, pod(f"p{number}", cpu="1")) for number in range(15 + 45 + len(others)))
    replica.hear()
    assert replica.cpuset(first)
    answered = threading.Event()
    fake.late["PUT", LEDGER] = lambda: answered.wait(10)
    busy = [replica.endpoint.begin(review(each), 30.0) for each in more[:59]]
    for name, made in zip(others, more[59:], strict=False):
        assert replica.cpuset(made, to=name)
    assert not any(each.done() for each in busy)
    answered.set()
    assert {each.result(10).status for each in busy} == {200}
    assert len(held(fake)) == 15


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


SCATTERED = ",".join(map(str, range(0, 11000, 2)))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", '{"cpuset": 7}', '{"cpuset": "500-501"}', '{"cpuset": "3-1"}', '{"cpuset": ""}',
     "[" * 100_000],
)  # fmt: skip
def test_an_annotation_that_cannot_be_the_pods_set_is_replaced(fake, replica, text):
    """On the pod, and on another one that runs there: both cost nobody anything."""
    replica.cpuset(known(replica, pod("first")))
    store(fake, PODS, pod("other", cpu="1", node="node-1", annotations={STATUS: text}))
    assert replica.cpuset(known(replica, pod(annotations={STATUS: text}))) in {"1,9", "2,10"}
    assert replica.cpuset(known(replica, pod("next")))


@pytest.mark.parametrize("cpuset", ["0-15", SCATTERED])
def test_what_a_pod_claims_beyond_its_request_is_given_to_nobody_until_it_is_put_right(fake, replica, cpuset):
    """It may have become smaller a moment ago, and run there; a round later it has what it asks for."""
    replica.cpuset(known(replica, pod("first")))
    store(fake, PODS, pod("greedy", cpu="1", node="node-1", cpuset=cpuset))
    replica.hear()
    assert replica.ask(known(replica, pod("next", cpu="8")))[1]["status"]["code"] == 403
    settle(replica, 1)
    assert len(parse_cpulist(annotation(fake, "greedy"))) == 1
    assert replica.cpuset(known(replica, pod("next", cpu="8")))


@pytest.mark.parametrize(
    "allocations",
    [
        ["nonsense"],
        [7, None, {"a": 1}],
        ["d/a LSR 0,8 FullPCPUs 2026-13-31T07:00:00Z a"],
        ["d/a LSR 8-0 FullPCPUs 2026-11-23T07:00:00Z a"],
        [f"d/a LSR {SCATTERED} FullPCPUs 2026-11-23T07:00:00Z a"],
        ["d/a LSR 500-501 FullPCPUs 2026-11-23T07:00:00Z a"],
        ["d/a LSR 0,8 FullPCPUs 2026-11-23T07:00:00Z a"] * 2,
        "0-15",
        {"d/a": "0,8"},
        None,
    ],
)
def test_a_ledger_that_was_edited_by_hand_is_put_right(fake, replica, allocations):
    """Whoever asks next gets a set; what a pod runs on is given to nobody."""
    store(fake, PODS, pod("runs", node="node-1", cpuset="1,9"))
    raw = write_ledger(Ledger("node-1", "node-uid"), None)
    raw["metadata"] |= {"resourceVersion": "5", "uid": "ledger"}
    raw["spec"] = {"allocations": allocations} if allocations is not None else None
    store(fake, LEDGERS, raw)
    cpus = parse_cpulist(replica.cpuset(known(replica, pod())))
    assert len(cpus) == 2
    assert not cpus & {1, 9}
    assert held(fake)["runs"] == "1,9"


POD_TEXTS = (
    STATUS,
    "scheduling.koordinator.sh/resource-spec",
    "scheduling.koordinator.sh/numa-topology-spec",
)
NODE_TEXTS = (
    "node.koordinator.sh/reservation",
    "node.koordinator.sh/pod-cpu-allocs",
    "node.koordinator.sh/cpu-topology",
    "node.koordinator.sh/system-qos-resource",
    "node.koordinator.sh/resource-amplification-ratio",
    "kubelet.koordinator.sh/cpu-manager-policy",
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(POD_TEXTS), TEXTS),
    st.dictionaries(st.sampled_from(NODE_TEXTS), TEXTS),
    st.dictionaries(st.sampled_from(NODE_TEXTS), TEXTS),
    st.lists(TEXTS, max_size=2),
)
def test_whatever_stands_in_annotations_and_ledgers_is_no_fault_of_ours(of_pod, of_node, of_nrt, lines):
    """A set or a denial that says what is wrong; never a 500, and others are served."""
    with server() as fake:
        store(fake, NODES, node(annotations=of_node))
        store(fake, TOPOLOGIES, nrt(annotations=of_nrt))
        store(fake, NODES, node("node-2", uid="two"))
        store(fake, TOPOLOGIES, nrt(name="node-2"))
        raw = write_ledger(Ledger("node-1", "node-uid"), None)
        raw["metadata"] |= {"resourceVersion": "5", "uid": "ledger"}
        raw["spec"] = {"allocations": lines}
        store(fake, LEDGERS, raw)
        replica = Replica(fake)
        status, response = replica.ask(known(replica, pod(annotations=of_pod)))
        assert status == 200, response
        assert response["allowed"] or response["status"]["message"]
        assert replica.cpuset(known(replica, pod("other")), to="node-2") == "0,8"
        replica.endpoint.close()
