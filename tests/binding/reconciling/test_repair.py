"""Bound pods whose annotation and ledger entry differ are repaired."""

import copy
import json

import pytest

from tests.binding.builders import (
    STATUS,
    Replica,
    annotation,
    bind,
    held,
    known,
    node,
    nrt,
    pod,
    ready,
    recorded,
    resized,
    settle,
    store,
)
from webhook.binding.caches import TOPOLOGIES
from webhook.binding.ledgers import LEDGERS
from webhook.cpuset.cpulist import parse_cpulist
from webhook.kube.client import ApiError
from webhook.kube.paths import NODES, PODS

SPEC = "scheduling.koordinator.sh/resource-spec"
ALLOCS = "node.koordinator.sh/pod-cpu-allocs"
MANAGER = "kubelet.koordinator.sh/cpu-manager-policy"


def test_a_pod_bound_without_a_set_gets_one(fake, replica):
    """The webhook was away: ledger first, then the annotation, and an Event."""
    bind(replica, pod("before"))
    store(fake, PODS, pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert held(fake) == {"before": "0,8", "p": "1,9"}
    assert annotation(fake) == "1,9"
    assert recorded(replica) == [("CPUSetRepaired", "got CPUs 1,9 of node-1 after it was bound")]


def test_an_answer_that_came_too_late_is_carried_out(fake, replica):
    """The ledger has the entry, the pod was bound without: it gets the set that it was given."""
    made = store(fake, PODS, pod())
    replica.hear()
    replica.cpuset(made)
    fake.store(PODS, ("d", "p"), pod(node="node-1"))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "0,8"}, "0,8")


@pytest.mark.parametrize("cpuset", [None, "0,8", "7"])
def test_a_static_pod_gets_and_holds_nothing(fake, replica, cpuset):
    """What is written to its mirror does not reach it; an entry of before goes, and the CPUs are free."""
    bind(replica, pod("static"))
    assert held(fake) == {"static": "0,8"}
    mirror = {"kubernetes.io/config.mirror": "abc"}
    store(fake, PODS, pod("static", node="node-1", cpuset=cpuset, annotations=mirror))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake, "static")) == ({}, cpuset)
    assert recorded(replica) == []
    assert replica.cpuset(known(replica, pod())) == "0,8"


def test_a_set_of_more_cpus_than_the_pod_may_hold_is_put_right(fake, replica):
    """In a namespace that opted in, by the rules: it keeps a core."""
    bind(replica, pod(), cpuset="1-9")
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "1,9"}, "1,9")


def test_elsewhere_it_is_said_what_such_a_pod_holds(fake):
    """By the condition: the annotation is its author's."""
    replica = Replica(fake, opted_in=lambda _: False)
    store(fake, PODS, pod(node="node-1", cpuset="1-9"))
    replica.hear()
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "1-2"}, "1-9")
    said = "d/p: its annotation names 9 CPUs, its request and limit come to 2"
    assert ready(fake) == ("False", "Unrepaired", said)
    replica.endpoint.close()


def test_what_a_pod_had_is_held_where_nobody_makes_it_smaller(fake):
    """It was resized, and its namespace opted out: its annotation names what it had, and it runs on that."""
    opted_in = True
    replica = Replica(fake, opted_in=lambda _: opted_in)
    bind(replica, pod(cpu="4"))
    settle(replica)
    opted_in = False
    resized(fake, replica, "2")
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "0-1,8-9"}, "0-1,8-9")
    assert ready(fake)[2] == "d/p: its annotation names 4 CPUs, its request and limit come to 2"
    opted_in = True
    settle(replica)
    assert (held(fake), annotation(fake)) == ({"p": "0,8"}, "0,8")
    replica.endpoint.close()


def test_other_namespaces_are_left_alone(fake):
    """A pod without a set, bound where nobody opted in, stays as it is; a set it has is entered."""
    replica = Replica(fake, opted_in=lambda _: False)
    store(fake, PODS, pod(node="node-1"))
    store(fake, PODS, pod("foreign", node="node-1", cpuset="3,11"))
    replica.hear()
    settle(replica)
    assert annotation(fake) is None
    assert held(fake) == {"foreign": "3,11"}


def test_a_set_that_two_hold_is_taken_from_the_later(fake, replica):
    """Somebody gave CPUs that were given: in a namespace that opted in the later pod gets others."""
    bind(replica, pod())
    replica.clock.seconds += 5
    bind(replica, pod("late"), cpuset="0,8")
    settle(replica, 4)
    assert held(fake) == {"late": "1,9", "p": "0,8"}
    assert (annotation(fake), annotation(fake, "late")) == ("0,8", "1,9")
    assert ready(fake)[:2] == ("True", "Consistent")


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
    assert recorded(replica) == [("CPUSetMissing", "its CPUs 0 are held by d/p, too")]


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
    assert ready(fake)[:2] == ("True", "Consistent")


def test_an_annotation_that_cannot_be_read_is_replaced(fake, replica):
    """In a namespace that opted in."""
    store(fake, PODS, pod(node="node-1", annotations={STATUS: "{"}))
    replica.hear()
    settle(replica)
    assert annotation(fake) == "0,8"


@pytest.mark.parametrize("qos", ["LSE", "LSR"])
@pytest.mark.parametrize(
    ("before", "after", "cpus"),
    [
        ("2", "4", "0-1,8-9"),
        ("4", "2", "0,8"),
        ("8", "1", "0"),
        ("1", "7", "0-3,8-10"),
        ("3", "5", "0-2,8-9"),
    ],
)
def test_a_resize_is_carried_out_within_two_rounds(fake, replica, qos, before, after, cpus):
    """Ledger, annotation and condition agree; an Event says what the pod has now."""
    was = bind(replica, pod(cpu=before, qos=qos))
    settle(replica)
    resized(fake, replica, after)
    settle(replica, 2)
    assert (held(fake), annotation(fake)) == ({"p": cpus}, cpus)
    assert ready(fake)[:2] == ("True", "Consistent")
    said = f"has CPUs {cpus} of node-1 instead of {was}: it was resized from {before} CPUs to {after}"
    assert recorded(replica) == [("CPUSetRepaired", said)]
    assert replica.metric("cpuset_repairs_total", what="resized") == 1
    other = store(fake, PODS, pod("q", cpu=str(15 - int(after))))
    replica.hear()
    assert replica.cpuset(other) is not None


def test_a_resize_that_finds_no_room_is_said_until_there_is_some(fake, replica):
    """It was made all the same: the pod keeps its set, condition and Event say which numbers differ."""
    bind(replica, pod(cpu="4"))
    bind(replica, pod("q", cpu="8"))
    resized(fake, replica, "8")
    settle(replica, 2)
    assert annotation(fake) == "0-1,8-9"
    said = (
        "needs 8 CPUs that contain its CPU set 0-1,8-9; node-1 has no such set: 4 of its other CPUs are "
        "free, the share pool's last ones included"
    )
    assert ready(fake) == ("False", "Unrepaired", f"d/p: {said}")
    assert recorded(replica) == [("CPUSetMissing", said)]
    fake.delete(PODS, "q", "d")
    replica.hear()
    replica.clock.seconds += 30
    settle(replica, 2)
    assert annotation(fake) == held(fake)["p"] == "0-3,8-11"
    assert ready(fake)[:2] == ("True", "Consistent")


@pytest.mark.parametrize(("before", "after"), [("2", "4"), ("4", "2")])
def test_what_a_pod_runs_on_is_held_until_it_runs_on_something_else(fake, replica, before, after):
    """At the moment of the patch the ledger has the old CPUs and the new ones."""
    was = parse_cpulist(bind(replica, pod(cpu=before)))
    resized(fake, replica, after)
    seen = []
    call = replica.state.api.call

    def between(method, path, **given):
        if method == "PATCH":
            seen.append(parse_cpulist(held(fake)["p"]))
        return call(method, path, **given)

    replica.state.api.call = between
    replica.round()
    (during,) = seen
    assert during >= was | parse_cpulist(annotation(fake))
    assert held(fake)["p"] == annotation(fake)


@pytest.mark.parametrize("status", [400, 403, 413, 422, 500])
@pytest.mark.parametrize("what", ["without a set", "resized", "twice", "pinned", "outdated", "lost"])
def test_a_pod_whose_patch_is_refused_costs_no_other(fake, replica, status, what):
    """By a policy, say: condition and Event name it, its CPUs stay its own, others are repaired at once."""
    had = bind(replica, pod(cpu="1" if what == "outdated" else "2")) if what != "without a set" else None
    if what == "without a set":
        store(fake, PODS, pod(node="node-1"))
    elif what == "resized":
        resized(fake, replica, "4")
    elif what == "twice":
        bind(replica, pod("a"), cpuset=had)
        replica.clock.seconds += 5
    elif what in {"outdated", "lost"}:  # bound by an answer to the pod as it was before it became smaller
        had = "0,8"
        if what == "lost":
            ledger = copy.deepcopy(fake.objects[LEDGERS]["", "node-1"])
            ledger["spec"]["allocations"] = []
            store(fake, LEDGERS, ledger)
        store(fake, PODS, pod(cpu="1", node="node-1", cpuset=had))
    else:
        cpus = [{"uid": "g", "cpuset": had, "managedByKubelet": True}]
        fake.store(TOPOLOGIES, ("", "node-1"), nrt(annotations={ALLOCS: json.dumps(cpus)}))
    for name in ("q", "r"):
        store(fake, PODS, pod(name, node="node-1"))
    replica.hear()
    path = "/api/v1/namespaces/d/pods/p"
    fake.failures["PATCH", path] = [(status, {"message": "denied the request: no owner"})] * 99
    settle(replica, 20)
    assert annotation(fake) == had
    assert annotation(fake, "q") == held(fake)["q"]
    assert annotation(fake, "r") == held(fake)["r"]
    if had is not None:
        assert parse_cpulist(held(fake)["p"]) >= parse_cpulist(had)
    else:
        assert fake.requests["PATCH", path] <= 2  # it waits, and longer each time
    if fake.requests["PATCH", path]:
        said = f"PATCH {path}: {status}: denied the request: no owner"
        assert f"d/p: {said}" in ready(fake)[2]
        assert ("CPUSetMissing", said) in recorded(replica)
    fake.failures.clear()
    replica.clock.seconds += 300
    settle(replica, 3)
    assert annotation(fake) == held(fake)["p"]
    assert ready(fake)[:2] == ("True", "Consistent")


@pytest.mark.parametrize("status", [0, 401, 429, 502, 503, 504])
def test_an_api_server_that_does_not_answer_ends_the_round(fake, replica, status):
    """There is no sense in asking it about the next pod."""
    for name in "abc":
        store(fake, PODS, pod(name, node="node-1"))
        path = f"/api/v1/namespaces/d/pods/{name}"
        fake.failures["PATCH", path] = [(status, {"message": "away"})]
    replica.hear()
    with pytest.raises(ApiError):
        replica.round()
    assert sum(fake.requests["PATCH", f"/api/v1/namespaces/d/pods/{name}"] for name in "abc") == 1


TAKEN = {
    "the kubelet pins": nrt(
        annotations={ALLOCS: '[{"uid": "g", "cpuset": "0,8", "managedByKubelet": true}]'}
    ),
    "the kubelet pins one": nrt(
        annotations={ALLOCS: '[{"uid": "g", "cpuset": "8", "managedByKubelet": true}]'}
    ),
    "the kubelet reserves": nrt(annotations={MANAGER: '{"policy": "static", "reservedCPUs": "0"}'}),
    "an administrator reserves": nrt(
        annotations={"node.koordinator.sh/reservation": '{"reservedCPUs": "0,8"}'}
    ),
    "system CPUs": nrt(annotations={"node.koordinator.sh/system-qos-resource": '{"cpuset": "8"}'}),
    "no SMT": nrt("1x2x4x1"),
}


@pytest.mark.parametrize("how", TAKEN)
def test_who_loses_cpus_gets_others(fake, replica, how):
    """In a namespace that opted in: ledger, annotation and machine agree, and an Event says why."""
    was = bind(replica, pod(qos="LSE"))
    fake.store(TOPOLOGIES, ("", "node-1"), TAKEN[how])
    replica.hear()
    settle(replica, 2)
    cpus = annotation(fake)
    assert held(fake)["p"] == cpus != was
    assert ready(fake)[:2] == ("True", "Consistent")
    ((reason, message),) = recorded(replica)
    assert reason == "CPUSetRepaired"
    assert message.startswith(f"has CPUs {cpus} of node-1 instead of {was}: its CPUs ")


@pytest.mark.parametrize("how", TAKEN)
def test_who_loses_cpus_elsewhere_is_reported(fake, how):
    """Where nobody opted in, an Event and the condition say so, once, and nothing is asked again."""
    replica = Replica(fake, opted_in=lambda _: False)
    bind(replica, pod(qos="LSE"), cpuset="0,8")
    settle(replica)
    fake.store(TOPOLOGIES, ("", "node-1"), TAKEN[how])
    replica.hear()
    settle(replica)
    assert (annotation(fake), held(fake)) == ("0,8", {"p": "0,8"})
    assert ready(fake)[0] == "False"
    assert [reason for reason, _ in recorded(replica)] == ["CPUSetMissing"]
    fake.requests.clear()
    for _ in range(40):
        replica.clock.seconds += 1
        replica.round()
    assert not any(path.endswith("/pods/p") for _, path in fake.requests)
    replica.endpoint.close()


@pytest.mark.parametrize("policy", ["FullPCPUs", "SpreadByPCPUs"])
def test_cpus_that_come_back_break_no_required_policy(fake, replica, policy):
    """Bound while half of the threads were off: the set keeps to the policy on the machine as it is now."""
    few = "1x2x4x1" if policy == "FullPCPUs" else "1x2x8x1"
    fake.store(TOPOLOGIES, ("", "node-1"), nrt(few))
    replica.hear()
    required = {SPEC: json.dumps({"requiredCPUBindPolicy": policy})}
    made = pod(annotations=required)
    was = "0-1" if policy == "FullPCPUs" else "0,8"
    store(fake, PODS, {**made, "spec": {**made["spec"], "nodeName": "node-1"}})
    replica.hear()
    settle(replica)
    if policy == "SpreadByPCPUs":
        edited = copy.deepcopy(fake.objects[PODS]["d", "p"])
        edited["metadata"]["annotations"][STATUS] = json.dumps({"cpuset": was})
        fake.store(PODS, ("d", "p"), edited)
        replica.hear()
        settle(replica)
    assert annotation(fake) == held(fake)["p"] == was
    fake.store(TOPOLOGIES, ("", "node-1"), nrt())
    replica.hear()
    settle(replica)
    assert annotation(fake) == held(fake)["p"]
    cores = {cpu % 8 for cpu in parse_cpulist(annotation(fake))}
    assert len(cores) == (1 if policy == "FullPCPUs" else 2)
    assert ready(fake)[:2] == ("True", "Consistent")


def test_an_entry_of_cpus_that_are_gone_is_not_kept_for_ever(fake, replica):
    """It was promised, the machine changed, and the pod was bound without: it gets CPUs that exist."""
    made = store(fake, PODS, pod(cpu="4"))
    replica.hear()
    assert replica.cpuset(made) == "0-1,8-9"
    fake.store(TOPOLOGIES, ("", "node-1"), nrt("1x2x4x1"))
    fake.store(PODS, ("d", "p"), pod(cpu="4", node="node-1"))
    replica.hear()
    settle(replica, 2)
    assert annotation(fake) == held(fake)["p"] == "0-3"


@pytest.mark.parametrize("cpuset", ["7,15", "3-4", "0-15", "40-41", "1,9", "2-3,10"])
def test_an_edit_against_the_rules_is_written_back(fake, replica, cpuset):
    """Reserved, on two NUMA nodes, too many, none of this machine, another pod's, not as many as asked."""
    node_ = node(
        labels={"node.koordinator.sh/numa-topology-policy": "SingleNUMANode"},
        annotations={"node.koordinator.sh/reservation": '{"reservedCPUs": "7,15"}'},
    )
    fake.store(NODES, ("", "node-1"), node_)
    replica.hear()
    given = bind(replica, pod())
    bind(replica, pod("q"), cpuset="1,9")
    settle(replica)
    edited = copy.deepcopy(fake.objects[PODS]["d", "p"])
    edited["metadata"]["annotations"][STATUS] = json.dumps({"cpuset": cpuset})
    fake.store(PODS, ("d", "p"), edited)
    replica.hear()
    settle(replica, 2)
    assert annotation(fake) == held(fake)["p"] == given
    assert ready(fake)[:2] == ("True", "Consistent")
    assert recorded(replica)[-1][1].startswith(f"has CPUs {given} of node-1 instead of ")


def test_of_two_pods_on_one_cpu_the_one_moves_that_can_be_moved(fake):
    """Also where it was there first."""
    replica = Replica(fake, opted_in=lambda _: True)
    bind(replica, pod())
    settle(replica)
    store(fake, PODS, pod("ls", qos="LS", node="node-1", cpuset="0,8"))
    replica.clock.seconds += 301
    settle(replica, 4)
    assert held(fake) == {"ls": "0,8", "p": "1,9"}
    assert annotation(fake) == "1,9"
    replica.endpoint.close()
