"""How far pods may exceed their quota, by limits, NodeSLO and annotation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.plan.builders import a_node, a_pod, batch, one, plan_of, values
from webhook.agent.plan.target import Knob
from webhook.cpuset.allocation import BindPolicy
from webhook.protocol import ANNOTATION_CPU_BURST
from webhook.slo.nodeslo import read_nodeslo


def slo(policy="cpuBurstOnly", percent=1000):
    """A NodeSLO with this strategy."""
    return read_nodeslo({"cpuBurstStrategy": {"policy": policy, "cpuBurstPercent": percent}})


def container(limit=None, name="main"):
    """One with this limit of cpu."""
    return {"name": name, "resources": {"limits": {"cpu": limit}} if limit else {}}


def bursts(plan):
    """What is planned for the pod, and for each container."""
    of = lambda targets: values(targets).get(Knob.BURST)  # noqa: E731
    return of(plan.at_pod), {name: of(targets) for name, targets in plan.at_containers.items()}


def quotas(pod, policy="cfsQuotaBurstOnly", **fields):
    """What may be raised of a pod: its own quota, those of its containers, and whether it has a limit."""
    found = one(pod, slo=slo(policy), **fields).quotas
    return found and (found.pod, dict(found.containers), found.whole)


def test_as_much_as_the_quota():
    """Ten times the limit is Koordinator's default, and the kernel takes no more than the quota."""
    pod = a_pod("x", "LS", containers=[container("500m"), container("2", "side"), container(None, "free")])
    assert bursts(one(pod, slo=slo())) == (250_000, {"main": 50_000, "side": 200_000, "free": None})


@given(milli=st.integers(1, 200_000), percent=st.integers(1, 10_000))
def test_never_more_than_the_quota(milli, percent):
    """At pod and container, in whole microseconds, and as much of it as the percentage says."""
    pod = a_pod("x", "LS", containers=[container(f"{milli}m")])
    of_pod, of_containers = bursts(one(pod, slo=slo(percent=percent)))
    quota = max(1000, milli * 100)
    assert of_pod == of_containers["main"] == quota * min(percent, 100) // 100


@pytest.mark.parametrize("policy", ["none", "cfsQuotaBurstOnly"])
def test_where_it_is_off(policy):
    """Nothing is planned; nor by a kernel that cannot, with a finding then."""
    pod = a_pod("x", "LS", containers=[container("1")])
    assert bursts(one(pod, slo=slo(policy))) == (None, {"main": None})
    plan = plan_of(pod, slo=slo("auto"), burst=False)
    assert bursts(plan.pods[0]) == (None, {"main": None})
    assert [each for each in plan.findings if "cpuBurstStrategy" in each]
    assert not plan_of(pod, slo=slo(policy), burst=False).findings


@pytest.mark.parametrize(
    ("qos", "kube", "bursting"),
    [
        ("LS", "Burstable", True),
        ("", "Guaranteed", True),
        ("SYSTEM", "Burstable", True),
        ("LSE", "Guaranteed", False),
        ("LSR", "Guaranteed", False),
        ("BE", "Burstable", False),
    ],
)
def test_classes(qos, kube, bursting):
    """As koordlet has it: not LSE, LSR and BE."""
    pod = a_pod("x", qos, containers=[container("1")], kube=kube)
    assert (bursts(one(pod, slo=slo()))[0] is not None) is bursting


def test_pods_without_a_quota():
    """One that has CPUs of its own by the node's policy, and one without limits of cpu."""
    bound = a_node(bind_policy=BindPolicy.FULL_PCPUS)
    own = a_pod("own", "LS", cpus=2, set_="0-1")
    assert bursts(one(own, slo=slo()))[0] == 200_000
    assert bursts(one(own, node=bound, slo=slo())) == (None, {"main": None})
    mid = a_pod("mid", "LS", containers=[batch("500", None, kind="mid")])
    assert bursts(one(mid, slo=slo())) == (None, {"main": None})


@pytest.mark.parametrize(
    ("text", "burst"),
    [
        (json.dumps({"policy": "none"}), None),
        (json.dumps({"cpuBurstPercent": 20}), 20_000),
        (json.dumps({"policy": "auto"}), 50_000),
        ("null", 50_000),
    ],
)
def test_a_pod_s_own_strategy(text, burst):
    """Each field of its annotation counts, where the node has bursts at all."""
    pod = a_pod("x", "LS", containers=[container("1")], annotations={ANNOTATION_CPU_BURST: text})
    plan = plan_of(pod, slo=slo(percent=50))
    assert bursts(plan.pods[0])[0] == burst
    assert not plan.findings
    assert bursts(one(pod, slo=slo("none")))[0] is None


@pytest.mark.parametrize("text", ["{", "[]", '{"policy": "x"}', '{"cpuBurstPercent": 0}', "[" * 10_000])
def test_an_annotation_that_cannot_be_meant(text):
    """The node's strategy holds, with a finding that names pod and annotation."""
    pod = a_pod("x", "LS", containers=[container("1")], annotations={ANNOTATION_CPU_BURST: text})
    plan = plan_of(pod, slo=slo(percent=50))
    assert bursts(plan.pods[0])[0] == 50_000
    assert any(each.startswith("shop/x: annotation koordinator.sh/cpuBurst") for each in plan.findings)


def test_a_limit_that_cannot_be_read():
    """Nothing is planned, with a finding."""
    plan = plan_of(a_pod("x", "LS", containers=[container("many")]), slo=slo())
    assert bursts(plan.pods[0]) == (None, {"main": None})
    assert any(each.startswith("shop/x: ") for each in plan.findings)


def test_quotas_that_may_be_raised():
    """As the kubelet writes them: at the pod only where all that stay have one; and not below a thousand."""
    pod = a_pod("x", "LS", containers=[container("500m"), container("1m", "side")])
    assert quotas(pod) == quotas(pod, "auto") == (50_100, {"main": 50_000, "side": 1000}, False)
    pod = a_pod("x", "LS", containers=[container("500m"), container(None, "free")])
    assert quotas(pod) == (None, {"main": 50_000}, False)
    assert quotas(a_pod("x", "LS", containers=[container(None)])) is None
    assert quotas(pod, burst=False) == (None, {"main": 50_000}, False), "the kernel need not have bursts"


def test_quotas_of_a_pod_that_starts():
    """What only has to end before the others needs no limit; its own counts where it is more."""
    pod = a_pod("x", "LS", containers=[container("500m")])
    pod.value["spec"]["initContainers"] = [container(None, "first")]
    assert quotas(pod) == (50_000, {"main": 50_000}, False)
    pod.value["spec"]["initContainers"] = [container("2", "first")]
    assert quotas(pod) == (200_000, {"first": 200_000, "main": 50_000}, False)
    pod.value["spec"]["initContainers"] = [container(None, "first") | {"restartPolicy": "Always"}]
    assert quotas(pod) == (None, {"main": 50_000}, False)


def test_quotas_below_a_limit_of_the_pod():
    """It is the pod's, and that of each container without one."""
    pod = a_pod("x", "LS", containers=[container("500m"), container(None, "free")])
    pod.value["spec"]["resources"] = {"limits": {"cpu": "1500m"}}
    assert quotas(pod) == (150_000, {"main": 50_000, "free": 150_000}, True)
    pod.value["spec"]["resources"] = {"limits": {"cpu": "many"}}
    plan = plan_of(pod, slo=slo("auto"))
    assert plan.pods[0].quotas is None
    assert any(each.startswith("shop/x: ") for each in plan.findings)


@pytest.mark.parametrize("policy", ["none", "cpuBurstOnly"])
def test_quotas_that_stay(policy):
    """By the policy; of LSE, LSR and BE; of pods with CPUs of their own; and where batch or mid decides."""
    assert quotas(a_pod("x", "LS", containers=[container("1")]), policy) is None
    for qos in ("LSE", "LSR", "BE"):
        assert quotas(a_pod("x", qos, containers=[container("1")])) is None
    own = a_pod("own", "LS", cpus=2, set_="0-1")
    assert quotas(own) is not None
    assert quotas(own, node=a_node(bind_policy=BindPolicy.FULL_PCPUS)) is None
    mid = a_pod("mid", "LS", containers=[batch("500", None, kind="mid"), container("1", "side")])
    assert quotas(mid) is None
    assert plan_of(mid, slo=slo("cfsQuotaBurstOnly")).findings == ()


def test_a_pod_s_own_policy_on_a_node_with_another():
    """It counts wherever the node has bursts: this one by what it did not use, in place of more quota."""
    text = json.dumps({"policy": "cpuBurstOnly", "cpuBurstPercent": 20})
    pod = a_pod("x", "LS", containers=[container("1")], annotations={ANNOTATION_CPU_BURST: text})
    assert quotas(pod) is None
    assert bursts(one(pod, slo=slo("cfsQuotaBurstOnly")))[0] == 20_000
