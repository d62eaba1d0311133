"""Memory is protected and throttled as the NodeSLO says, in pods, containers and the groups above them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.plan.builders import a_pod, batch, one, plan_of, values
from webhook.agent.plan.target import UNLIMITED, Knob
from webhook.protocol import KubeQoS
from webhook.slo.nodeslo import read_nodeslo

MI, GI = 2**20, 2**30
KNOBS = (Knob.MIN, Knob.LOW, Knob.HIGH)


def slo(**classes):
    """A NodeSLO with these percentages of min, low and throttling, by the class's name."""
    names = ("minLimitPercent", "lowLimitPercent", "throttlingPercent")
    strategies = {
        f"{name}Class": {"memoryQOS": {"enable": True, **dict(zip(names, percents, strict=True))}}
        for name, percents in classes.items()
    }
    return read_nodeslo({"resourceQOSStrategy": strategies})


def container(request=None, limit=None, name="main"):
    """One with these amounts of memory."""
    resources = {
        "requests": {"memory": request} if request else {},
        "limits": {"memory": limit} if limit else {},
    }
    return {"name": name, "resources": resources}


def of(targets):
    """Values of min, low and high, as far as they are planned."""
    found = values(targets)
    return tuple(found[knob] for knob in KNOBS if knob in found)


def above(plan):
    """The same of the groups above pods."""
    return {each.qos: of(each.targets) for each in plan.classes}


def test_percentages_of_what_is_requested():
    """At pod and container; throttled from a part of the way to the limit on."""
    pod = a_pod("x", "LS", containers=[container("100Mi", "200Mi"), container("300Mi", None, "side")])
    plan = one(pod, slo=slo(ls=(50, 80, 90)), memory=8 * GI)
    assert of(plan.at_pod) == (200 * MI, 320 * MI)
    assert of(plan.at_containers["main"]) == (50 * MI, 80 * MI, 190 * MI)
    # Without a limit of its own: that of the node.
    high = (300 * MI + (8 * GI - 300 * MI) * 90 // 100) // 4096 * 4096
    assert of(plan.at_containers["side"]) == (150 * MI, 240 * MI, high)
    assert of(plan.at_others) == ()


def test_batch_pods_by_what_they_have_of_batch_memory():
    """Not by cpu and memory, of which they request none."""
    plan = one(a_pod("x", "BE", containers=[batch("500", "64Mi")]), slo=slo(be=(25, 0, 0)))
    assert of(plan.at_pod) == (16 * MI, 0)
    assert of(plan.at_containers["main"]) == (16 * MI, 0, UNLIMITED)


def test_low_is_not_below_min_and_high_neither():
    """Where it is above 0 at all."""
    pod = a_pod("x", "LS", containers=[container("100Mi", "100Mi")])
    assert of(one(pod, slo=slo(ls=(80, 50, 0))).at_pod) == (80 * MI, 80 * MI)
    assert of(one(pod, slo=slo(ls=(80, 0, 0))).at_pod) == (80 * MI, 0)
    assert of(one(pod, slo=slo(ls=(80, 0, 1))).at_containers["main"])[2] == 100 * MI


def test_no_limit_and_nothing_known_of_the_node():
    """Then a container is not throttled: 0 bytes would stop it."""
    plan = one(a_pod("x", "LS", containers=[container("1Gi")]), slo=slo(ls=(0, 0, 50)))
    assert of(plan.at_containers["main"]) == (0, 0, UNLIMITED)


@pytest.mark.parametrize(
    ("qos", "kube", "name"),
    [
        ("LSE", "Guaranteed", "lsr"),
        ("LSR", "Guaranteed", "lsr"),
        ("LS", "Burstable", "ls"),
        ("BE", "BestEffort", "be"),
        ("", "Guaranteed", "lsr"),
        ("", "Burstable", "ls"),
        ("", "BestEffort", "be"),
    ],
)
def test_which_strategy_holds_for_which_pod(qos, kube, name):
    """By its class, else by Kubernetes' own."""
    pod = a_pod("x", qos, kube=kube, containers=[container("1Gi", "1Gi")])
    assert of(one(pod, slo=slo(**{name: (10, 0, 0)})).at_pod)
    others = {each: (10, 0, 0) for each in ("lsr", "ls", "be") if each != name}
    assert not of(one(pod, slo=slo(**others)).at_pod)


def test_system_pods_have_none():
    """They are the node's own."""
    pod = a_pod("x", "SYSTEM", kube="Burstable", containers=[container("1Gi")])
    assert not of(one(pod, slo=slo(lsr=(10, 0, 0), ls=(10, 0, 0), be=(10, 0, 0))).at_pod)


def test_groups_above_have_the_sums():
    """Of the pods that may be written; all pods stand in the group of Guaranteed ones."""
    pods = [
        a_pod("a", "LS", containers=[container("100Mi")]),
        a_pod("b", "LS", containers=[container("300Mi")]),
        a_pod("c", "LSR", containers=[container("1000Mi", "1000Mi")], kube="Guaranteed"),
        a_pod("d", "BE", containers=[batch("1", "64Mi")]),
        a_pod(
            "e", "LS", containers=[container("1Gi")], annotations={"colocation-webhook.io/agent": "observe"}
        ),
    ]
    assert above(plan_of(*pods, slo=slo(lsr=(10, 0, 0), ls=(50, 100, 0)))) == {
        KubeQoS.GUARANTEED: (300 * MI, 400 * MI),
        KubeQoS.BURSTABLE: (200 * MI, 400 * MI),
        KubeQoS.BEST_EFFORT: (0, 0),
    }
    assert above(plan_of(*pods)) == dict.fromkeys(KubeQoS, ())


def test_a_kernel_without_these_files():
    """As cgroups of version 1 are: nothing is planned, and a finding says what was asked for."""
    pod = a_pod("x", "LS", containers=[container("1Gi")])
    plan = plan_of(pod, slo=slo(ls=(50, 0, 0)), memory_qos=False)
    assert not of(plan.pods[0].at_pod)
    assert above(plan) == dict.fromkeys(KubeQoS, ())
    (finding,) = plan.findings
    assert "memoryQOS of LS" in finding
    assert "memory.min" in finding
    assert not plan_of(pod, memory_qos=False).findings


def test_what_cannot_be_read_is_a_finding():
    """The rest of the plan stands."""
    plan = plan_of(a_pod("x", "LS", containers=[container("1Xi")]), slo=slo(ls=(50, 0, 0)))
    assert any("is not a quantity" in each for each in plan.findings)
    assert set(values(plan.pods[0].at_pod)) == {Knob.CPUS}


AMOUNTS = st.integers(1, 2**34)


@given(
    st.lists(st.tuples(AMOUNTS, st.none() | AMOUNTS), min_size=1, max_size=4),
    st.tuples(*[st.integers(0, 100)] * 3),
    st.none() | AMOUNTS,
)
def test_protection_holds_below_as_far_as_above(amounts, percents, memory):
    """Containers ask for no more than their pod has, and pods for no more than the groups above them."""
    listed = [container(str(r), None if x is None else str(x), f"c{i}") for i, (r, x) in enumerate(amounts)]
    pods = [a_pod(name, "LS", containers=listed) for name in ("a", "b")]
    plan = plan_of(*pods, slo=slo(ls=percents), memory=memory)
    pod = of(plan.pods[0].at_pod)
    containers = [of(each) for each in plan.pods[0].at_containers.values()]
    for which in (0, 1):
        assert sum(each[which] for each in containers) <= pod[which]
        assert (
            above(plan)[KubeQoS.GUARANTEED][which] == above(plan)[KubeQoS.BURSTABLE][which] == 2 * pod[which]
        )
    assert pod[1] == 0 or pod[0] <= pod[1]
    for least, _, high in containers:
        assert high == UNLIMITED or least <= high
