"""The plan of a pod: at its own cgroup, its containers, its sandbox."""

from tests.agent.plan.builders import a_node, a_pod, batch, one, plan_of, values
from webhook.agent.plan.plan import changed
from webhook.agent.plan.settings import CPUManager
from webhook.agent.plan.target import UNLIMITED, Knob

LSE = a_pod("lse", "LSE", cpus=2, set_="0-1")


def test_a_pinned_pod_has_its_set_everywhere_and_no_quota():
    """Sandboxes, too, and containers that are not known yet."""
    plan = one(LSE)
    assert values(plan.at_pod) == {Knob.CPUS: {0, 1}, Knob.QUOTA: UNLIMITED}
    assert values(plan.of_container("lse-main")) == {Knob.CPUS: {0, 1}, Knob.QUOTA: UNLIMITED}
    assert values(plan.of_container("a-sandbox")) == {Knob.CPUS: {0, 1}}


def test_under_the_policy_static_no_pods_cgroup_is_narrowed():
    """The kubelet starts containers on CPUs that the pod's cgroup has to contain."""
    for pod in (LSE, a_pod("ls", "LS"), a_pod("be", "BE")):
        plan = one(pod, cpu_manager=CPUManager.STATIC)
        assert Knob.CPUS not in values(plan.at_pod)
        assert Knob.CPUS in values(plan.at_others)


def test_best_effort_pods_become_idle():
    """Their pod's cgroup does, and then has no shares of its own; containers keep theirs."""
    pod = a_pod("be", "BE", containers=[batch()])
    plan = one(pod)
    assert values(plan.at_pod)[Knob.IDLE] == 1
    assert Knob.SHARES not in values(plan.at_pod)
    assert values(plan.at_containers["main"])[Knob.SHARES] == 512
    assert Knob.IDLE not in values(plan.at_containers["main"])
    assert Knob.SHARES in values(one(pod, idle=False).at_pod)


def test_shares_that_would_count_as_requested_are_left_to_the_kubelet():
    """Those of the pod's own cgroup; it has none to leave while it is idle."""
    pod = a_pod("be", "BE", containers=[batch()])
    plan = plan_of(pod, idle=False, shares_counted=True)
    (each,) = plan.pods
    assert Knob.SHARES not in values(each.at_pod)
    assert Knob.QUOTA in values(each.at_pod)
    assert values(each.at_containers["main"])[Knob.SHARES] == 512
    assert "shop/be: its cgroup keeps the shares that the kubelet gave it" in plan.findings[0]
    assert not plan_of(pod, shares_counted=True).findings


def test_a_pod_that_the_kubelet_may_resize_does_not_become_idle():
    """The kubelet could not write its shares; a finding says so."""
    plan = plan_of(a_pod("be", "BE", kube="Burstable"))
    assert Knob.IDLE not in values(plan.pods[0].at_pod)
    assert "could not resize" in plan.findings[0]


def test_pods_that_are_ignored_or_have_finished():
    """An ignored pod has no plan, but its CPUs are its own; a finished one holds nothing."""
    ignored = a_pod("lse", "LSE", cpus=2, set_="0-1", annotations={"colocation-webhook.io/agent": "ignore"})
    gone = a_pod("lsr", "LSR", cpus=2, set_="2-3", phase="Succeeded")
    plan = plan_of(ignored, gone, a_pod("ls", "LS"))
    assert [each.pod.name for each in plan.pods] == ["shop/ls"]
    assert values(plan.pods[0].at_pod)[Knob.CPUS] == set(range(2, 16))


def test_what_is_switched_off_is_not_planned():
    """CPU sets, limits and idle, each alone."""
    pod = a_pod("be", "BE", containers=[batch()])
    assert set(values(one(pod, limits=False, idle=False).at_pod)) == {Knob.CPUS}
    assert Knob.CPUS not in values(one(pod, cpusets=False).at_pod)
    assert not one(pod, cpusets=False, limits=False, idle=False).at_pod


def test_every_value_says_why():
    """Rule, pod, and what the rule was given."""
    plan = plan_of(LSE, a_pod("be", "BE", containers=[batch()]))
    found = {
        (target.why.rule, target.why.pod): dict(target.why.inputs)
        for each in plan.pods
        for target in each.at_pod
    }
    assert found["own-cpus", "shop/lse"] == {"annotation": "0-1", "class": "LSE"}
    assert found["be-pool", "shop/be"] == {"class": "BE"}
    assert found["limits", "shop/be"] == {"kubernetes.io/batch-memory": str(64 * 2**20)}


def test_which_pods_another_plan_holds_for():
    """An LSE pod that comes changes the plan of those that share its CPUs, and of no others."""
    far = a_pod("lsr", "LSR", cpus=2, set_="4-5")
    before = plan_of(far, a_pod("ls", "LS"), a_pod("be", "BE"))
    after = plan_of(LSE, far, a_pod("ls", "LS"), a_pod("be", "BE"))
    assert changed(None, before) == {"uid-lsr", "uid-ls", "uid-be"}
    assert changed(before, after) == {"uid-lse", "uid-ls", "uid-be"}
    assert changed(after, plan_of(LSE, far, a_pod("ls", "LS"), a_pod("be", "BE"))) == frozenset()


def test_problems_of_the_node_are_findings():
    """What could not be read of its annotations."""
    assert plan_of(node=a_node(problems=("annotation x: cannot be read",))).findings == (
        "annotation x: cannot be read",
    )
