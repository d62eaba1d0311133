"""How much of the share pool is in use."""

from tests.agent.plan.builders import a_node, a_pod, batch, plan_of
from webhook.agent.bursting.pool import Pool, members_of, pool_of
from webhook.agent.measuring.usage import Loads
from webhook.agent.plan.settings import CPUManager

PODS = (
    a_pod("lse", "LSE", cpus=2, set_="0-1"),
    a_pod("lsr", "LSR", cpus=2, set_="2-3"),
    a_pod("late", "LSR", cpus=2),
    a_pod("ls", "LS"),
    a_pod("be", "BE", containers=[batch()]),
    a_pod("plain", "", kube="BestEffort"),
)
USED = {"lse": 2.0, "lsr": 1.0, "late": 1.5, "ls": 0.25, "be": 4.0, "plain": 0.125}


def loads(system=0.5, **used):
    """What pods use, and what is no pod's."""
    used = USED | used
    by_pod = {f"uid-{name}": cores for name, cores in used.items() if cores is not None}
    pods = sum(cores or 0.0 for cores in used.values())
    return Loads(pods + system, pods, by_pod)


def test_who_counts():
    """All that runs on the pool, and what is no pod's: not pods on CPUs of their own, and not BE pods."""
    plan = plan_of(*PODS)
    assert pool_of(loads(), members_of(plan), 50) == Pool(12_000, 1_500 + 250 + 125 + 500, 50)
    assert pool_of(loads(be=16.0, lse=0.0), members_of(plan), 50).used == 2_375


def test_what_was_not_measured_counts():
    """A BE pod without figures is in the node's use and nowhere else."""
    unknown = loads()
    by_pod = {uid: cores for uid, cores in unknown.by_pod.items() if uid != "uid-be"}
    assert pool_of(unknown._replace(by_pod=by_pod), members_of(plan_of(*PODS)), 50).used == 6_375


def test_what_the_kubelet_has_given_away():
    """Its CPUs are in no pool, and so what their pods use does not count; unless an agent places them."""
    node = a_node(kubelet_pinned=[8, 9])
    pinned = a_pod("pinned", "", cpus=2, kube="Guaranteed")
    uids = frozenset({"uid-pinned", "uid-ls"})
    plan = plan_of(*PODS, pinned, node=node, cpu_manager=CPUManager.STATIC)
    assert pool_of(loads(pinned=2.0), members_of(plan, uids), 50) == Pool(10_000, 2_375, 50)
    assert pool_of(loads(pinned=2.0), members_of(plan), 50).used == 4_375


def test_digits_that_counters_lose():
    """They are no milli-core more."""
    plan = plan_of(a_pod("be", "BE"))
    assert pool_of(Loads(0.3 + 0.1, 0.1, {"uid-be": 0.1}), members_of(plan), 50).used == 300
