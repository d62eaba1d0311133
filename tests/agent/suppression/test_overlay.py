"""A decision in the plan: pods of class BE only, at their own groups and below."""

import pytest

from tests.agent.plan.builders import a_node, a_pod, batch, plan_of, values
from tests.agent.suppression.builders import cpus, on
from webhook.agent.plan.settings import CPUManager
from webhook.agent.plan.target import Knob
from webhook.agent.suppression.decision import Decision
from webhook.agent.suppression.overlay import SUPPRESSION, suppressed, suppressible
from webhook.protocol import ANNOTATION_AGENT
from webhook.slo.keys import CFS_QUOTA, CPUSET

HALF = [batch("500", "64Mi")]
QUOTA = Decision(CFS_QUOTA, quota=60_000, inputs={"quota": "60000 of 1600000"})


def be(name="be", **fields):
    """A BE pod with half a core."""
    return a_pod(name, "BE", containers=fields.pop("containers", HALF), **fields)


OTHERS = {
    "without a class": a_pod("plain", "", kube="BestEffort"),
    "LS": a_pod("ls", "LS"),
    "LSE": a_pod("lse", "LSE", cpus=2, set_="0-1"),
    "mid": a_pod("mid", "BE", priority=7500, containers=[batch("500", "64Mi", kind="mid")]),
    "SYSTEM": a_pod("system", "SYSTEM", kube="Burstable"),
    "observed": be("observed", annotations={ANNOTATION_AGENT: "observe"}),
    "without a group": be("odd", uid="../odd"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("decision", [on("4-5"), QUOTA])
def test_no_other_pod_is_suppressed(kind, decision):
    """Its plan is the same object as before, beside a BE pod's that changes."""
    plan = plan_of(OTHERS[kind], be())
    after = suppressed(plan, decision)
    before = {each.pod.name: each for each in plan.pods}
    changed = {each.pod.name for each in after.pods if each is not before[each.pod.name]}
    assert changed == {"shop/be"}
    assert suppressible(plan, decision.policy) == {"uid-be"}


def test_cpus_at_pod_container_and_sandbox():
    """With the rule and the reasons; the limits stay."""
    (after,) = suppressed(plan_of(be()), on("4-5")).pods
    for targets in (after.at_pod, after.at_containers["main"], after.at_others):
        (here,) = [each for each in targets if each.knob is Knob.CPUS]
        assert here.value == cpus("4-5")
        assert here.why == (SUPPRESSION, "shop/be", {"budget": "0"})
    assert values(after.at_pod)[Knob.QUOTA] == 50_000


def test_the_kubelets_static_policy():
    """The pod's group has to contain what the kubelet gives its containers."""
    (after,) = suppressed(plan_of(be(), cpu_manager=CPUManager.STATIC), on("4-5"), kubelet_static=True).pods
    assert Knob.CPUS not in values(after.at_pod)
    assert values(after.at_containers["main"])[Knob.CPUS] == cpus("4-5")


def test_no_cpu_is_left():
    """The plan stays, whose finding says so: no empty set is written."""
    plan = plan_of(be())
    assert suppressed(plan, on("")).pods == plan.pods


def test_nothing_is_suppressed():
    """Switched off: the plan is the one without."""
    plan = plan_of(be())
    assert suppressed(plan, None) is plan


def test_a_quota_by_weight():
    """A pod of 500 and one of 1000 milli-cores: a third and two; their own limits hold."""
    plan = plan_of(be(), be("two", containers=[batch("1000", "64Mi")]))
    small, large = suppressed(plan, QUOTA).pods
    assert [values(each.at_pod)[Knob.QUOTA] for each in (small, large)] == [20_000, 40_000]
    assert [values(each.at_containers["main"])[Knob.QUOTA] for each in (small, large)] == [20_000, 40_000]
    why = next(each.why for each in large.at_pod if each.knob is Knob.QUOTA)
    assert why.rule == SUPPRESSION
    assert why.inputs["weight"] == "1024 of 1536"
    wide = suppressed(plan, Decision(CFS_QUOTA, quota=900_000)).pods
    assert [values(each.at_pod)[Knob.QUOTA] for each in wide] == [50_000, 100_000]
    assert [values(each.at_containers["main"])[Knob.QUOTA] for each in wide] == [50_000, 100_000]


def test_a_pod_without_batch_resources_gets_what_others_leave():
    """Or the least, as the kernel would weigh it; its containers have no quota, and get none."""
    plan = plan_of(be(), a_pod("bare", "BE"))
    bare, _ = suppressed(plan, QUOTA).pods
    assert values(bare.at_pod)[Knob.QUOTA] == 10_000
    bare, half = suppressed(plan, Decision(CFS_QUOTA, quota=40_000)).pods
    assert [values(each.at_pod)[Knob.QUOTA] for each in (bare, half)] == [1000, 39_000]
    assert Knob.QUOTA not in values(bare.at_containers["main"])


def test_limits_of_cpu_are_the_runtimes():
    """A container with one could not start below a smaller quota: such a pod is kept to CPUs only."""
    plan = plan_of(a_pod("native", "BE", cpus=2, kube="Burstable"))
    assert suppressible(plan, CFS_QUOTA) == frozenset()
    assert suppressible(plan, CPUSET) == {"uid-native"}
    assert suppressed(plan, QUOTA).pods == plan.pods


def test_cpus_of_its_own():
    """By a node's policy a BE pod may have a set: it is no part of the pool."""
    node = a_node(bind_policy="FullPCPUs")
    plan = plan_of(a_pod("own", "BE", cpus=2, set_="4-5", kube="Guaranteed"), node=node)
    assert suppressible(plan, CPUSET) == frozenset()
