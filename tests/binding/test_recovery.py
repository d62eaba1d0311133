"""What the pods of a node hold, by their annotations."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.binding.builders import (
    NOW,
    STATUS,
    Replica,
    annotation,
    bind,
    held,
    known,
    nrt,
    pod,
    resized,
    settle,
    store,
)
from webhook.binding.caches import TOPOLOGIES, trim_pod
from webhook.binding.ledgers import LEDGERS
from webhook.binding.recovery import Recovered, recover
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.kube.paths import PODS

TOPOLOGY = "node.koordinator.sh/cpu-topology"


def test_sets_of_bound_pods_are_found_whatever_their_class():
    """Finished pods, pods of other nodes and pods without a set have no entry."""
    found = recover(
        [
            pod("lsr", node="node-1", cpuset="0,8"),
            pod("ls", qos="LS", node="node-1", cpuset="1,9"),
            pod("none", qos="", node="node-1", cpuset="2,10"),
            pod("bare", node="node-1"),
            pod("done", node="node-1", cpuset="3,11", phase="Succeeded"),
            pod("other", node="node-2", cpuset="4,12"),
        ],
        "node-1",
        now=NOW,
    )
    assert [(entry.name, entry.qos, entry.cpus) for entry in found.entries] == [
        ("lsr", "LSR", {0, 8}),
        ("ls", "LS", {1, 9}),
        ("none", "", {2, 10}),
    ]
    assert found.problems == ()


def resources(made, sidecar="", **sections):
    """The pod with other resources, and with a native sidecar that requests ``sidecar``."""
    (container,) = made["spec"]["containers"]
    container["resources"] = {name: {"cpu": cpu} for name, cpu in sections.items()}
    if sidecar:
        helper = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": sidecar}}}
        made["spec"]["initContainers"] = [helper]
    return made


@pytest.mark.parametrize(
    ("made", "cpuset"),
    [
        (resources(pod(), requests="4"), "0,8"),  # resized, and not moved yet
        (resources(pod(), requests="1", limits="4"), "0-1,8-9"),
        (resources(pod(), "500m", requests="2"), "0,8"),  # Koordinator does not count sidecars
        (resources(pod(), "1500m", requests="2"), "0-1,8-9"),
        (resources(pod(qos="LS"), requests="1500m"), "3,11"),
        (resources(pod(qos="LS"), requests="300m", limits="3"), "5-7"),
        (resources(pod(), requests="6"), "0-4"),  # smaller by design
        (resources(pod(cpu="2"), requests="2"), "500-501"),  # not of this machine: no matter of its size
    ],
)
def test_what_a_pod_runs_on_is_held_whatever_its_size(made, cpuset):
    """Listed or watched, a doubt about the size never makes CPUs free."""
    annotations = pod(cpuset=cpuset)["metadata"]["annotations"]
    made = {**made, "metadata": {**made["metadata"], "annotations": annotations}}
    made["spec"] = {**made["spec"], "nodeName": "node-1"}
    for each in (made, trim_pod(made)):
        found = recover([each], "node-1", now=NOW)
        assert [entry.cpus for entry in found.entries] == [parse_cpulist(cpuset)]
        assert found.problems == ()


@given(st.integers(0, 12), st.integers(0, 12), st.sets(st.integers(0, 40), min_size=1))
def test_a_pod_cannot_claim_more_than_its_request_and_limit(request, limit, claimed):
    """Anybody may write an annotation: the first CPUs of it are believed, as many as may be; it is told."""
    made = pod("greedy", node="node-1", cpuset=format_cpulist(claimed))
    resources(made, requests=str(request), limits=str(limit))
    found = recover([made], "node-1", now=NOW)
    most = max(request, limit)
    assert [entry.cpus for entry in found.entries] == ([set(sorted(claimed)[:most])] if most else [])
    said = f"d/greedy: its annotation names {len(claimed)} CPUs, its request and limit come to {most}"
    assert found.problems == ((said,) if len(claimed) > most else ())


def test_a_mirror_pod_holds_nothing():
    """Its static pod never hears of the annotation."""
    mirrored = {"kubernetes.io/config.mirror": "abc"}
    found = recover([pod(node="node-1", cpuset="0,8", annotations=mirrored)], "node-1", now=NOW)
    assert found == Recovered()


@pytest.mark.parametrize("text", ["{", "[]", '"0"', '{"cpuset": 3}', '{"cpuset": "3-1"}', '{"cpuset": "a"}'])
def test_a_foreign_annotation_is_read_with_care(text):
    """It is named, and costs nobody anything."""
    assert len(recover([pod(node="node-1", annotations={STATUS: text})], "node-1", now=NOW).problems) == 1


LOST = pytest.mark.parametrize("refused", [False, True], ids=["patched", "the patch is refused"])


@LOST
def test_a_pod_that_became_smaller_before_its_ledger_was_lost(fake, refused):
    """While no replica runs, so nobody remembers: what its annotation names is held until that is another."""
    first = Replica(fake)
    bind(first, pod(cpu="4"))
    resized(fake, first, "2")
    fake.delete(LEDGERS, "node-1")
    replica = Replica(fake)
    assert replica.cpuset(known(replica, pod("q", cpu="2"))) == "2,10"
    assert held(fake) == {"p": "0-1,8-9", "q": "2,10"}
    if refused:
        fake.failures["PATCH", "/api/v1/namespaces/d/pods/p"] = [(422, {"message": "no"})] * 99
    settle(replica, 2)
    cpus = "0-1,8-9" if refused else "0,8"
    assert (held(fake)["p"], annotation(fake)) == (cpus, cpus)
    first.endpoint.close()
    replica.endpoint.close()


@LOST
@pytest.mark.parametrize("by", ["another binding", "a look through"])
def test_a_pod_that_became_smaller_before_its_ledger_heard_of_it(fake, replica, by, refused):
    """Its ledger was lost before it was bound, and made again without it: it is entered as it is."""
    store(fake, PODS, pod("early", cpu="1", node="node-1", cpuset="7"))
    replica.hear()
    replica.round()
    store(fake, PODS, pod(cpu="2", node="node-1", cpuset="0-1,8-9"))
    if refused:
        fake.failures["PATCH", "/api/v1/namespaces/d/pods/p"] = [(422, {"message": "no"})] * 99
    if by == "another binding":
        replica.hear()
        assert replica.cpuset(known(replica, pod("q", cpu="2"))) == "2,10"
        assert held(fake) == {"early": "7", "p": "0-1,8-9", "q": "2,10"}
    else:
        replica.reconciler._look_through("node-1")
        assert held(fake) == {"early": "7", "p": "0-1,8-9"}
    settle(replica, 2)
    cpus = "0-1,8-9" if refused else "0,8"
    assert (held(fake)["p"], annotation(fake)) == (cpus, cpus)


def test_a_cpu_that_is_offline_is_held_until_the_annotation_names_it_no_more(fake):
    """It may be back before the set of a pod that became smaller is put right."""
    store(fake, PODS, pod("p", cpu="1", node="node-1", cpuset="0,8"))
    without_8 = nrt()
    detail = json.loads(without_8["metadata"]["annotations"][TOPOLOGY])["detail"]
    rows = [row for row in detail if row["id"] != 8]
    without_8["metadata"]["annotations"][TOPOLOGY] = json.dumps({"detail": rows})
    store(fake, TOPOLOGIES, without_8)
    replica = Replica(fake)
    assert replica.cpuset(known(replica, pod("q", cpu="2"))) == "1,9"
    assert held(fake)["p"] == "0,8"
    store(fake, TOPOLOGIES, nrt())
    replica.hear()
    assert 8 not in parse_cpulist(replica.cpuset(known(replica, pod("r", cpu="3"))))
    replica.endpoint.close()


def test_whose_ledger_is_lost_has_what_it_asks_for_before_what_others_claim(fake, replica):
    """Of what annotations name beyond requests only CPUs of this machine that nobody else has are held."""
    for name, cpuset in (("a", "0-7,500"), ("b", "2,9-10"), ("c", "4,12")):
        store(fake, PODS, pod(name, node="node-1", cpuset=cpuset))
    replica.hear()
    assert replica.cpuset(known(replica, pod("q", cpu="2"))) == "8,11"
    assert held(fake) == {"a": "0-1,3,5-7", "b": "2,9-10", "c": "4,12", "q": "8,11"}


@pytest.mark.parametrize("text", ['{"preferredCPUBindPolicy": "ConstrainedBurst"}', "{"])
@pytest.mark.parametrize("by", ["another binding", "a look through"])
def test_a_claim_of_a_pod_whose_set_nobody_puts_right(fake, replica, by, text):
    """It asks for none, or nobody can read for what: it would keep what it claims for good."""
    replica.cpuset(known(replica, pod("first", cpu="1")))
    made = pod("greedy", cpu="1", node="node-1", cpuset="2-7,10-15")
    made["metadata"]["annotations"]["scheduling.koordinator.sh/resource-spec"] = text
    store(fake, PODS, made)
    if by == "another binding":
        assert replica.cpuset(known(replica, pod("q", cpu="8")))
    else:
        replica.reconciler._look_through("node-1")
    assert held(fake)["greedy"] == "2"


@pytest.mark.parametrize("opted_in", [True, False])
def test_a_claim_beyond_a_request_lasts_a_round(fake, opted_in):
    """And no time at all in a namespace where nobody puts it right."""
    replica = Replica(fake, opted_in=lambda namespace: opted_in or namespace != "d")
    store(fake, PODS, pod("greedy", cpu="1", node="node-1", cpuset="0-15"))
    replica.hear()
    replica.round()
    replica.hear()
    assert held(fake) == {"greedy": "0"}
    assert annotation(fake, "greedy") == ("0" if opted_in else "0-15")
    replica.endpoint.close()
