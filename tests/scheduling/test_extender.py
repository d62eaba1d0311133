"""The three verbs, beside binding that gives the sets and with load as it was told."""

import json
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.binding.builders import bind, node, nrt, pod, server, store
from tests.scheduling.builders import Told, args, evictions, sample, waiting
from tests.scheduling.test_nodeload import metric
from webhook.admission.response import Answer
from webhook.admission.review import ReviewError
from webhook.binding.caches import TOPOLOGIES
from webhook.kube.paths import NODES, PODS
from webhook.kube.reflector import KindStatus
from webhook.scheduling.loadaware.podload import read_pod
from webhook.scheduling.question import read_candidates
from webhook.scheduling.settings import (
    SchedulingSettings,
    SchedulingSettingsError,
    read_settings,
    read_settings_file,
)

CORES = "too few whole CPU cores for FullPCPUs"
REQUIRED = {"scheduling.koordinator.sh/resource-spec": '{"requiredCPUBindPolicy": "FullPCPUs"}'}
HOT = "node(s) cpu usage exceed threshold"


def with_node(told, name, shape="1x2x4x2"):
    """Another node with a topology, or with none where ``shape`` is empty."""
    store(told.replica.fake, NODES, node(name, uid=f"uid-{name}"))
    if shape:
        store(told.replica.fake, TOPOLOGIES, nrt(shape, name))
    told.replica.hear()


def loaded(name, cpu="16"):
    """A Node as load awareness knows it."""
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "64Gi"}}}


def measured(told, name, usage, age=10):
    """A NodeMetric: milli-cores in use, so many seconds before the clock of the test."""
    made = metric(usage, 0)
    moment = told.clock.now().timestamp() - age
    stamp = f"{told.clock.now().fromtimestamp(moment, told.clock.now().tzinfo).isoformat()[:19]}Z"
    return {"metadata": {"name": name}, "status": {**made["status"], "updateTime": stamp}}


def test_reasons_are_those_of_the_cause(told):
    """Each node that is out has a reason, without figures and names, and the same for the same cause."""
    with_node(told, "node-2", "1x1x1x2")
    with_node(told, "node-3", "1x1x1x2")
    with_node(told, "node-4", "")
    passed, reasons = told.filter(
        waiting(cpu="4", annotations=REQUIRED), "node-1", "node-2", "node-3", "node-4", "node-5"
    )
    assert passed == ["node-1"]
    assert reasons == {
        "node-2": CORES,
        "node-3": CORES,
        "node-4": "no NodeResourceTopology",
        "node-5": "no NodeResourceTopology",
    }


@pytest.mark.parametrize("qos", ["LS", "BE", ""])
def test_pods_without_sets_go_anywhere(told, qos):
    """Who gets no CPU set at binding needs no topology."""
    assert told.filter(waiting(qos=qos), "node-1", "node-9") == (["node-1", "node-9"], {})


def test_namespaces_that_have_not_opted_in_are_not_looked_at(fake):
    """Binding gives their pods no CPU set, so none is looked for."""
    told = Told(fake, opted_in=lambda _: False)
    assert told.filter(waiting(), "node-9") == (["node-9"], {})


def test_unknown_namespace_is_not_answered(fake):
    """Whether a pod gets a CPU set is not guessed."""
    told = synced(Told(fake, opted_in=lambda _: None))
    status, body = call(told, "filter", args(waiting(), "node-1"))
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "namespace d has not been listed" in json.loads(body)["message"]


def test_pod_whose_request_cannot_be_read_is_told(told):
    """A broken annotation is a reason on every node, not a fault."""
    broken = waiting(annotations={"scheduling.koordinator.sh/resource-spec": "{"})
    assert told.filter(broken, "node-1")[1] == {"node-1": "CPU set request of the pod cannot be read"}


def test_hot_nodes_are_out_and_cool_ones_are_better(told):
    """Load keeps every class from a hot node, and the score prefers the node with more left."""
    names = ["hot", "warm", "cool", "unknown"]
    told.tell(
        nodes=[loaded(name) for name in names],
        metrics=[measured(told, "hot", 15_000), measured(told, "warm", 8_000), measured(told, "cool", 800)],
    )
    for qos in ("LS", "BE", ""):
        of = waiting(qos=qos)
        assert told.filter(of, *names) == (["warm", "cool", "unknown"], {"hot": HOT})
        scores = told.scores(of, "warm", "cool", "unknown")
        assert scores["cool"] > scores["warm"] > scores["unknown"]


def test_expired_metrics_close_a_node(told):
    """A node of which nothing was heard for too long takes no pod."""
    told.tell(nodes=[loaded("node-1")], metrics=[measured(told, "node-1", 0, age=200)])
    assert told.filter(waiting(qos="LS"), "node-1")[1] == {"node-1": "node(s) nodeMetric expired"}


def test_daemonset_pods_are_not_kept_out(told):
    """They have one node to go to."""
    told.tell(nodes=[loaded("node-1")], metrics=[measured(told, "node-1", 16_000)])
    of = waiting(qos="LS", ownerReferences=[{"kind": "DaemonSet", "name": "d"}])
    assert told.filter(of, "node-1") == (["node-1"], {})


def test_sets_that_fit_best_are_preferred(told):
    """A set on one NUMA node of a node that is in use already is better than breaking an empty one."""
    with_node(told, "node-2")
    bind(told.replica, pod("a", "4"), name="node-2")
    told.replica.hear()
    scores = told.scores(waiting(cpu="4"), "node-1", "node-2")
    assert scores["node-2"] > scores["node-1"]


def test_a_burst_does_not_go_to_one_node(told):
    """What was scored highest counts as held: the next pod finds it taken, and a moment later free again."""
    with_node(told, "node-2")
    names = ["node-1", "node-2"]
    first = max((scores := told.scores(waiting("a", "14", "LSE"), *names)), key=scores.get)
    passed, reasons = told.filter(waiting("b", "14", "LSE"), *names)
    assert passed == [name for name in names if name != first]
    assert list(reasons) == [first]
    # b has the other one; nothing is left for c, until both are over.
    assert told.filter(waiting("c", "2"), *names)[0] == []
    told.clock.seconds += 2.5
    assert told.filter(waiting("c", "2"), *names)[0] == names


def test_a_pod_that_is_asked_about_again_holds_nothing(told):
    """A pod does not stand in its own way."""
    of = waiting("a", "15", "LSR")
    for _ in range(3):
        assert told.filter(of, "node-1")[0] == ["node-1"]


def test_what_is_bound_is_not_held_twice(told):
    """Once the ledger has a pod's CPUs, its reservation is over."""
    of = waiting("a", "8")
    assert told.filter(of, "node-1")[0] == ["node-1"]
    bind(told.replica, of)
    told.replica.hear()
    told.tell(pods=[{**of, "spec": {**of["spec"], "nodeName": "node-1"}}])
    assert told.filter(waiting("b", "6"), "node-1")[0] == ["node-1"]


def test_load_of_a_burst_is_held_too(told):
    """The estimate of a pod that is about to be bound counts, and is not lost when a CPU set is known."""
    told.tell(nodes=[loaded("node-1"), loaded("node-2")], metrics=[
        measured(told, "node-1", 5_000), measured(told, "node-2", 5_100),
    ])  # fmt: skip
    first = told.scores(waiting("a", "6", "LS"), "node-1", "node-2")
    second = told.scores(waiting("b", "6", "LS"), "node-1", "node-2")
    assert first["node-1"] >= first["node-2"]
    assert second["node-1"] < second["node-2"]


def test_preempt_keeps_nodes_where_eviction_helps(told):
    """Candidates stay whose victims hold CPUs that the pod needs; the others are left alone."""
    with_node(told, "node-2")
    for name in ("node-1", "node-2"):
        bind(told.replica, pod(f"old-{name}", "12"), name=name)
        told.replica.hear()
    of = waiting("new", "12")
    assert told.filter(of, "node-1", "node-2")[0] == []
    assert told.preempt(of, node_1=["old-node-1"], node_2=["somebody"]) == ["node-1"]
    assert told.preempt(of, node_2=[]) == []


def test_preempt_looks_at_load(told):
    """A node over its threshold is no candidate: what victims use is still in use when the pod comes back."""
    told.tell(nodes=[loaded("node-1")], metrics=[measured(told, "node-1", 15_000)])
    bind(told.replica, pod("old", "12"))
    told.replica.hear()
    assert told.preempt(waiting("new", "12"), node_1=["old"]) == []


def test_pod_waits_for_victims_that_are_ending(told):
    """On its nominated node, where victims still hold its CPUs, the pod only has to wait."""
    bind(told.replica, pod("old", "12"))
    stored = dict(told.replica.fake.objects[PODS]["d", "old"])
    stored["metadata"] = {**stored["metadata"], "deletionTimestamp": "2026-11-23T07:00:00Z"}
    told.replica.fake.store(PODS, ("d", "old"), stored)
    told.replica.hear()
    of = waiting("new", "12")
    of["status"]["nominatedNodeName"] = "node-1"
    found = told.extender.filter(args(of, "node-1"))
    assert set(found["FailedNodes"]) == {"node-1"}
    assert found["FailedAndUnresolvableNodes"] == {}
    of["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "64"
    assert told.extender.filter(args(of, "node-1"))["FailedNodes"] == {}, "the victims would not help"


def test_cpus_of_nominated_pods_are_held_from_pods_that_come_after(told):
    """What victims made room for is not taken by a pod of lower priority, but by one of higher."""
    first = waiting("first", "12", placement={"priority": 9500})
    first["status"]["nominatedNodeName"] = "node-1"
    store(told.replica.fake, PODS, first)
    told.replica.hear()
    assert told.filter(waiting("later", "12", placement={"priority": 9000}), "node-1")[0] == []
    assert told.filter(waiting("above", "12", placement={"priority": 9900}), "node-1")[0] == ["node-1"]


@given(
    held=st.lists(st.sampled_from(["1", "2", "3", "4", "6"]), max_size=6),
    cpu=st.sampled_from(["1", "2", "3", "4", "7", "8", "12", "15", "16"]),
    required=st.booleans(),
    qos=st.sampled_from(["LSE", "LSR"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_filter_says_what_binding_does(held, cpu, required, qos):
    """A node passes where the binding that follows is given a set, and only there."""
    with server() as fake:
        told = Told(fake)
        for number, amount in enumerate(held):
            made = pod(f"old-{number}", amount)
            store(fake, PODS, made)
            told.replica.hear()
            _, response = told.replica.ask(made)
            if response["allowed"]:
                told.replica.hear()
        of = waiting("new", cpu, qos, annotations=REQUIRED if required else {})
        passed, reasons = told.filter(of, "node-1")
        store(fake, PODS, of)
        told.replica.hear()
        _, response = told.replica.ask(of)
        assert response["allowed"] == (passed == ["node-1"])
        assert bool(reasons) != response["allowed"]
        told.replica.endpoint.close()


def test_switched_off_checks_say_nothing(fake):
    """Each check can be switched off: load, and CPU sets."""
    off = Told(fake, read_settings({"loadAware": False, "cpuSets": False}))
    assert off.filter(waiting(), "node-9") == (["node-9"], {})
    assert off.scores(waiting(), "node-1", "node-9") == {"node-1": 0, "node-9": 0}


def synced(told):
    """The extender, once all kinds have been listed."""
    for reflector in told.scheduling._reflectors.values():
        reflector.contact = KindStatus(synced=True)
    return told


def call(told, verb, body):
    """Status and body of a call over the endpoint."""
    endpoint = told.scheduling.endpoints[f"/scheduler/{verb}"]
    begun = endpoint.begin(body, 5.0)
    return begun if isinstance(begun, Answer) else begun.result(5)


def test_nothing_is_answered_while_caches_fill(told):
    """Not knowing is a 503, for which the scheduler tries again, and never "no node"."""
    status, body = call(told, "filter", args(waiting(), "node-1"))
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "not synced yet" in json.loads(body)["message"]
    synced(told)
    assert call(told, "filter", args(waiting(), "node-1")).status == HTTPStatus.OK


SAMPLED = ("filter", "filter-again", "filter-nominated", "filter-not-node-cache-capable")


@pytest.mark.parametrize("name", SAMPLED)
def test_recorded_filter_calls(told, name):
    """What a real scheduler sent is answered in the form that it took: each node is in or has a reason."""
    recorded = sample(name)
    with_node(told, "node-2", "")
    found = told.extender.filter(json.dumps(recorded["request"]).encode())
    assert set(recorded["answer"]) <= set(found)
    request = recorded["request"]
    names = request["NodeNames"] or [each["metadata"]["name"] for each in request["Nodes"]["items"]]
    given_names = found["NodeNames"]
    if given_names is None:
        given_names = [each["metadata"]["name"] for each in found["Nodes"]["items"]]
    out = {**found["FailedNodes"], **found["FailedAndUnresolvableNodes"]}
    assert sorted([*given_names, *out]) == sorted(names)
    assert all(out.values())


def test_recorded_prioritize_call(told):
    """Each node has a whole number of points."""
    recorded = sample("prioritize")
    found = told.extender.prioritize(json.dumps(recorded["request"]).encode())
    assert [each["Host"] for each in found] == recorded["request"]["NodeNames"]
    assert all(type(each["Score"]) is int for each in found)


@pytest.mark.parametrize("name", ["preempt", "preempt-not-node-cache-capable"])
def test_recorded_preempt_calls(fake, name):
    """Where nothing is looked at all candidates stay, by the uids of their victims."""
    told = Told(fake, read_settings({"loadAware": False, "cpuSets": False}))
    recorded = sample(name)
    found = told.extender.preempt(json.dumps(recorded["request"]).encode())["NodeNameToMetaVictims"]
    request = recorded["request"]
    assert set(found) == set(request.get("NodeNameToMetaVictims") or request["NodeNameToVictims"])
    for kept, victims in recorded["answer"]["NodeNameToMetaVictims"].items():
        assert found[kept] == victims


UIDLESS = waiting()
UIDLESS["metadata"].pop("uid")

WRONG = {
    "no JSON": ("filter", b"{", "no JSON"),
    "a list": ("filter", b"[]", "must be an object"),
    "no pod": ("filter", b'{"NodeNames": []}', "Pod: must be an object"),
    "a pod without uid": ("filter", args(UIDLESS, "node-1"), "Pod.metadata.uid"),
    "spec is a text": ("filter", args({**waiting(), "spec": "x"}, "node-1"), "Pod.spec"),
    "status is a list": ("filter", args({**waiting(), "status": []}, "node-1"), "Pod.status"),
    "names are numbers": ("filter", args(waiting(), NodeNames=[1]), "NodeNames"),
    "neither names nor nodes": ("prioritize", args(waiting(), NodeNames=None), "Nodes, NodeNames"),
    "nodes without names": ("prioritize", args(waiting(), NodeNames=None, Nodes={"items": [3]}), "items"),
    "no victims": ("preempt", args(waiting()), "NodeNameToVictims"),
    "victims are a list": (
        "preempt",
        json.dumps({"Pod": waiting(), "NodeNameToMetaVictims": []}).encode(),
        "NodeNameToMetaVictims",
    ),
    "a victim without uid": ("preempt", evictions(waiting(), n=[""]), "UID"),
}


@pytest.mark.parametrize(("verb", "body", "message"), WRONG.values(), ids=WRONG)
def test_bodies_of_the_wrong_shape_are_refused(told, verb, body, message):
    """A body that no scheduler sends is a 400 that names the field."""
    status, answer = call(told, verb, body)
    assert status == HTTPStatus.BAD_REQUEST
    assert message in json.loads(answer)["message"]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["Pod", "metadata", "spec", "status", "NodeNames", "Nodes", "items", "uid", "name",
                         "namespace", "containers", "resources", "requests", "cpu", "labels", "conditions"]),
        inner, max_size=6),
    max_leaves=25,
))  # fmt: skip
def test_no_body_is_a_fault(document):
    """Whatever JSON comes, the answer is a refusal or a result, and never a 500."""
    with_pod = {"Pod": waiting(), "NodeNames": ["node-1"]}
    merged = {**with_pod, **document} if isinstance(document, dict) else document
    if isinstance(document, dict):
        merged["Pod"] = {**waiting(), **document}
    try:
        found = read_candidates(json.dumps(merged).encode())
    except ReviewError:
        return
    read_pod(found.pod, SchedulingSettings().load, 0.0)


def test_ten_thousand_names_are_answered(told):
    """Each of them, known or not."""
    names = [f"node-{i}" for i in range(10_000)]
    passed, reasons = told.filter(waiting(), *names)
    assert passed == ["node-1"]
    assert len(reasons) == 9_999


def test_missing_definition_of_metrics_is_no_reason_to_wait(told):
    """Where NodeMetrics are not defined no node has one: load passes, and the call is answered."""
    synced(told)
    told.scheduling._reflectors["scheduler-nodemetrics"].contact = KindStatus(error="404", failures=1)
    told.tell(nodes=[loaded("node-1")])
    status, body = call(told, "filter", args(waiting(qos="LS"), "node-1"))
    assert (status, json.loads(body)["NodeNames"]) == (HTTPStatus.OK, ["node-1"])


def test_settings_file(tmp_path):
    """An empty file has all defaults; what cannot be meant is refused with file and field."""
    file = tmp_path / "scheduler.yaml"
    file.write_text("")
    assert read_settings_file(file) == SchedulingSettings()
    for text, message in (
        ("loadaware: {}", "loadaware: the field is unknown"),
        ("loadAware: {usageThresholds: {cpu: -5}}", r"usageThresholds\[cpu\]: -5"),
        ("weights: {cpuSets: 1000}", "weights.cpuSets: 1000"),
        ("weights: 3", "weights: 3"),
        ("cpuSets: 3", "cpuSets: 3"),
        ("[]", "must be an object"),
        ("{", "scheduler.yaml"),
    ):
        file.write_text(text)
        with pytest.raises(SchedulingSettingsError, match=message):
            read_settings_file(file)
    with pytest.raises(SchedulingSettingsError, match="absent"):
        read_settings_file(tmp_path / "absent")
