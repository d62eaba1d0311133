"""The three verbs, beside binding that gives the sets and with load as it was told."""

import gc
import json
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.binding.builders import bind, node, nrt, pod, server, store
from tests.scheduling.builders import Told, args, call, evictions, loaded, sample, synced, waiting
from tests.scheduling.test_nodeload import metric
from webhook.binding.caches import TOPOLOGIES
from webhook.kube.paths import NODES, PODS
from webhook.scheduling.settings import (
    read_settings,
)

CORES = "too few whole CPU cores for FullPCPUs"
REQUIRED = {"scheduling.koordinator.sh/resource-spec": '{"requiredCPUBindPolicy": "FullPCPUs"}'}
DAEMONSET = [{"kind": "DaemonSet", "name": "d"}]
HOT = "node(s) cpu usage exceed threshold"


def with_node(told, name, shape="1x2x4x2"):
    """Another node with a topology, or with none where ``shape`` is empty."""
    store(told.replica.fake, NODES, node(name, uid=f"uid-{name}"))
    if shape:
        store(told.replica.fake, TOPOLOGIES, nrt(shape, name))
    told.replica.hear()


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


def test_a_namespace_that_opts_in_or_out_is_seen_at_once(fake):
    """Where sets are put right, CPUs that an annotation names beyond its request are nobody's until then."""
    opted_in = {"d": True, "other": False}
    told = Told(fake, opted_in=opted_in.get)
    greedy = pod("greedy", cpu="1", node="node-1", cpuset="0-15")
    greedy["metadata"]["namespace"] = "other"
    store(fake, PODS, greedy)
    told.replica.hear()
    of = waiting(cpu="8")
    for now in (False, True, True, False, True):
        opted_in["other"] = now
        assert told.filter(of, "node-1")[0] == ([] if now else ["node-1"])
    opted_in["other"] = False
    while told.cluster.look_again():
        pass
    assert told.cluster.visit(of).fit("node-1").reason == ""


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
    of = waiting(qos="LS", ownerReferences=DAEMONSET)
    assert told.filter(of, "node-1") == (["node-1"], {})
    assert told.filter(waiting("other", qos="LS"), "node-1") == ([], {"node-1": HOT})


def test_daemonset_pods_are_scored_and_held(told):
    """Load counts for them as for others, but that it keeps them from no node."""
    names = ["node-1", "node-2"]
    told.tell(
        nodes=[loaded(name) for name in names],
        metrics=[measured(told, "node-1", 15_000), measured(told, "node-2", 4_000)],
    )
    first = told.scores(waiting("a", "8", "LS", ownerReferences=DAEMONSET), *names)
    assert first["node-2"] > first["node-1"] > 0
    assert told.filter(waiting("b", "4", "LS"), "node-2")[1] == {"node-2": HOT}
    told.clock.seconds += 2.5
    assert told.filter(waiting("b", "4", "LS"), "node-2")[0] == ["node-2"]


def test_sets_that_fit_best_are_preferred(told):
    """A set on one NUMA node of a node that is in use already is better than breaking an empty one."""
    with_node(told, "node-2")
    bind(told.replica, pod("a", "4"), name="node-2")
    told.replica.hear()
    scores = told.scores(waiting(cpu="4"), "node-1", "node-2")
    assert scores["node-2"] > scores["node-1"]


def test_each_part_of_the_score_has_its_weight(fake):
    """Load and CPU set have 0 to 10 points each, times what an administrator chose."""
    of, names = waiting(cpu="4"), ["node-1", "node-2"]

    def scored(load, sets):
        told = Told(fake, read_settings({"weights": {"loadAware": load, "cpuSets": sets}}))
        with_node(told, "node-2", "1x1x1x8")
        told.tell(nodes=[loaded(name) for name in names], metrics=[measured(told, "node-1", 8_000)])
        found = told.scores(of, *names)
        told.replica.endpoint.close()
        return found

    by_load, by_set, both = scored(1, 0), scored(0, 1), scored(3, 5)
    assert by_load["node-1"] > by_load["node-2"] == 0
    assert by_set["node-1"] > by_set["node-2"] > 0
    assert both == {name: 3 * by_load[name] + 5 * by_set[name] for name in names}


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


def other_node(told, of):
    """The better one of two nodes is held for a pod; the name of that one, and of the other."""
    with_node(told, "node-2")
    names = ["node-1", "node-2"]
    told.tell(nodes=[loaded(name) for name in names], metrics=[measured(told, name, 100) for name in names])
    scores = told.scores(of, *names)
    held = max(names, key=scores.__getitem__)
    assert told.filter(waiting("b", "12", of["metadata"]["labels"]["koordinator.sh/qosClass"]), held)[0] == []
    return held, *(name for name in names if name != held)


@pytest.mark.parametrize("watch", ["load", "sets"])
def test_a_pod_that_is_bound_elsewhere_holds_nothing(told, watch):
    """Its scheduler decided otherwise: once either watch sees it there, the node that was held is free."""
    of = waiting("a", "8", "LSR")
    held, other = other_node(told, of)
    bound = {**of, "spec": {**of["spec"], "nodeName": other}}
    if watch == "load":
        told.tell(nodes=[loaded(held)], pods=[bound])
    else:
        store(told.replica.fake, PODS, bound)
        told.replica.hear()
    assert told.filter(waiting("b", "12"), held)[0] == [held]


def test_a_pod_without_a_set_that_is_bound_elsewhere_holds_no_load(told):
    """Its estimate counts where it is."""
    of = waiting("a", "8", "LS")
    held, other = other_node(told, of)
    told.tell(
        nodes=[loaded(held)],
        metrics=[measured(told, held, 100)],
        pods=[{**of, "spec": {**of["spec"], "nodeName": other}}],
    )
    assert told.filter(waiting("b", "12", "LS"), held)[0] == [held]


def test_a_pod_that_another_ledger_has_holds_nothing(told):
    """Binding comes before the watch of pods; what an earlier binding left in a ledger ends nothing."""
    of = waiting("a", "8", "LSR")
    held, other = other_node(told, of)
    store(told.replica.fake, PODS, of)
    told.replica.hear(PODS)
    assert told.replica.cpuset(of, to=other)
    assert told.filter(waiting("b", "12"), held)[0] == [held]
    told.clock.seconds += 2.5
    assert told.filter(of, held)[0] == [held]
    assert told.filter(waiting("b", "12"), held)[0] == [], "the entry is older than what is held"


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


def test_violations_of_budgets_come_back(told):
    """A scheduler takes the node where the fewest budgets are broken: the count is its own."""
    question = json.loads(evictions(waiting(), node_1=["a"]))
    question["NodeNameToMetaVictims"]["node-1"]["NumPDBViolations"] = 3
    found = told.extender.preempt(json.dumps(question).encode())["NodeNameToMetaVictims"]
    assert found == {"node-1": {"Pods": [{"UID": "a"}], "NumPDBViolations": 3}}


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


@pytest.mark.parametrize("verb", ["filter", "prioritize", "preempt"])
def test_nothing_is_answered_while_caches_fill(told, verb):
    """Not knowing is a 503, for which the scheduler tries again, and never "no node"."""
    question = evictions(waiting(), node_1=["a"]) if verb == "preempt" else args(waiting(), "node-1")
    status, body = call(told, verb, question)
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "not synced yet" in json.loads(body)["message"]
    synced(told)
    assert call(told, verb, question).status == HTTPStatus.OK


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


def test_what_is_known_is_not_collected_again(told):
    """Once all has been listed and looked at, Python's collector leaves it alone; before that it does not."""
    before = gc.get_freeze_count()
    told.scheduling.upkeep.step()
    assert gc.get_freeze_count() == before
    synced(told)
    told.scheduling.upkeep.step()
    assert gc.get_freeze_count() > before
    gc.unfreeze()
