"""Quotas in cgroups of both versions: raised while a pod is throttled, and the kubelet's again."""

import errno

import pytest

from tests.agent.bursting.world import container
from tests.agent.plan.builders import batch
from webhook.agent.measuring.throttling import Throttled
from webhook.agent.plan.burst import QUOTA_BURST
from webhook.protocol import ANNOTATION_AGENT, ANNOTATION_CPU_BURST

HALF, WHOLE = 50_000, 100_000


def test_while_it_is_throttled(node):
    """By a fifth each second, up to three times the limit; the pod by as much, so that it contains both."""
    node.throttle("web")
    found = []
    for _ in range(8):
        node.rounds(1)
        found.append(node.quotas("web"))
    mains = [60_000, 72_000, 86_400, 103_680, 124_416, 149_299, 150_000, 150_000]
    assert found == [[WHOLE + each, each, WHOLE] for each in mains]
    lines = [line for line in node.lines() if line["why"]["rule"] == QUOTA_BURST]
    assert [line["file"] for line in lines] == [lines[0]["file"]] * 14
    main = next(line for line in lines if line["path"].endswith(node.group("web", "main")))
    assert main["why"]["inputs"] == {
        "limit": "50000",
        "most": "150000",
        "from": "50000",
        "pool": "400 of 16000",
        "threshold": "50%",
        "throttled": "5 periods",
    }
    pods = next(line for line in lines if line["path"].endswith(node.group("web")))
    assert pods["why"]["inputs"]["raised"] == "main"
    assert pods["why"]["inputs"]["limit"] == "150000"


def test_what_stays(node):
    """Not throttled any more, or with the pool nearly in use; nothing is written then."""
    node.throttle("web")
    node.rounds(2)
    tried = len(node.kernel.writes)
    node.throttle("web", periods=0)
    node.rounds(20)
    node.throttle("web")
    node.used.system = 7.5
    node.rounds(20)
    assert node.quotas("web") == [WHOLE + 72_000, 72_000, WHOLE]
    assert len(node.kernel.writes) == tried


def test_when_others_need_the_cpus(node):
    """It falls by a fifth each second to what it was, whether it is throttled or not, and is forgotten."""
    before = node.kernel.snapshot()
    node.throttle("web")
    node.throttle("web", "side")
    node.rounds(3)
    node.used.system = 8.0
    found = []
    for _ in range(4):
        node.rounds(1)
        found.append(node.quota("web", "main"))
    assert found == [69_120, 55_296, HALF, HALF]
    assert node.kernel.snapshot() == before
    assert not [each for each in node.ledger.originals if each.endswith(("quota_us", "cpu.max"))]
    assert node.burster.state.raised == {}


@pytest.mark.parametrize("unknown", ["node", "group"])
def test_without_figures(node, unknown):
    """It never rises, and falls."""
    node.throttle("web")
    node.rounds(3)
    if unknown == "node":
        node.used.known = False
    else:
        node.throttle("web", periods=None)
    node.rounds(1)
    assert node.quota("web", "main") == 69_120
    node.rounds(5)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]
    node.used.known = True
    node.throttle("web")
    node.rounds(1)
    assert node.quota("web", "main") == 60_000


def test_long_without_figures(node, caplog):
    """A finding says so."""
    node.used.known = False
    node.rounds(9)
    assert not caplog.messages
    node.rounds(3)
    (message,) = caplog.messages
    assert message.startswith("no figures of CPU use for 10 seconds: no quota is raised")


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"qos": "LS"}, True),
        ({"qos": ""}, True),
        ({"qos": "SYSTEM", "kube": "Burstable"}, True),
        ({"qos": "BE", "kube": "Burstable"}, False),
        ({"qos": "LSR", "kube": "Guaranteed"}, False),
        ({"qos": "LSE", "kube": "Guaranteed"}, False),
        ({"annotations": {ANNOTATION_CPU_BURST: '{"policy": "none"}'}}, False),
        ({"annotations": {ANNOTATION_CPU_BURST: '{"policy": "cpuBurstOnly"}'}}, False),
        ({"annotations": {ANNOTATION_CPU_BURST: '{"policy": "auto"}'}}, True),
        ({"annotations": {ANNOTATION_AGENT: "observe"}}, False),
        ({"annotations": {ANNOTATION_AGENT: "ignore"}}, False),
        ({"containers": [batch("500", None, kind="mid")]}, False),
    ],
)
def test_whose(node, fields, raised):
    """Not LSE, LSR, BE, and by the pod's annotation; of mid resources the limit is another rule's."""
    node.add("x", **{"containers": [container("1")], **fields})
    node.throttle("x")
    before = node.quotas("x")
    node.rounds(12)
    mid = before == [-1, -1]
    assert (node.quotas("x") != before) is (raised or mid)
    if mid:
        assert node.quotas("x") == [HALF, HALF]


def test_on_a_node_without_bursts(node):
    """A pod's annotation switches nothing on; off again, what was raised is as before, though throttled."""
    node.throttle("web")
    node.rounds(3)
    node.pods["web"]["metadata"]["annotations"][ANNOTATION_CPU_BURST] = '{"policy": "cfsQuotaBurstOnly"}'
    node.slo("none")
    node.rounds(1)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]
    assert node.burster.state is None
    assert node.burster.report() == {"on": False}


def test_both_kinds_of_bursts(node):
    """The kernel keeps unused quota up to the limit, also while the quota is more."""
    node.slo("auto")
    node.throttle("web")
    node.rounds(20)
    burst = {1: "cpu.cfs_burst_us", 2: "cpu.max.burst"}[node.kernel.version]
    assert node.quota("web", "main") == 150_000
    assert node.kernel.text(node.group("web", "main"), burst) == "50000"
    node.used.system = 16.0
    node.rounds(20)
    assert node.quota("web", "main") == HALF
    assert node.kernel.text(node.group("web", "main"), burst) == "50000"


def test_how_far(node):
    """By the percentage of the node, or of the pod; less of it than stands there counts at once."""
    node.throttle("web")
    node.slo(cfsQuotaBurstPercent=130)
    node.rounds(4)
    assert node.quota("web", "main") == 65_000
    node.pods["web"]["metadata"]["annotations"][ANNOTATION_CPU_BURST] = '{"cfsQuotaBurstPercent": 110}'
    node.rounds(1)
    assert node.quota("web", "main") == 55_000
    node.slo(cfsQuotaBurstPercent=100)
    node.pods["web"]["metadata"]["annotations"].clear()
    node.rounds(12)
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


def test_no_longer_than_it_has_saved(node):
    """With a period: at twice its limit for twice as long; then it falls until it has used less again."""
    node.slo(cfsQuotaBurstPercent=300, cfsQuotaBurstPeriodSeconds=5)
    node.throttle("web", cores=1.0)
    node.rounds(9)
    assert node.quota("web", "main") > 2 * HALF
    node.rounds(1)
    high = node.quota("web", "main")
    assert high < 150_000, "the tenth second used up the rest"
    node.rounds(12)
    assert node.quota("web", "main") == HALF
    node.throttle("web", cores=0.1)
    node.rounds(30)
    node.throttle("web", cores=0.4)
    node.rounds(1)
    assert node.quota("web", "main") > HALF
    node.slo(cfsQuotaBurstPeriodSeconds=0)
    node.rounds(12)
    assert node.quota("web", "main") == HALF


def test_what_it_uses_is_not_known(node):
    """With a period that counts as no figures."""
    node.slo(cfsQuotaBurstPeriodSeconds=60)
    node.throttle("web", cores=None)
    node.rounds(5)
    assert node.quota("web", "main") == HALF


def test_a_limit_of_the_pod(node):
    """What throttles is the pod's own group, or a container's, whose quota the pod's limit is then."""
    node.add("both", containers=[container(), container("200m", "side")])
    node.pods["both"]["spec"]["resources"] = {"limits": {"cpu": "1"}}
    node.kubelet_resizes("both")
    assert node.quotas("both") == [WHOLE, WHOLE, 20_000]
    node.throttle("both", "side")
    node.rounds(2)
    assert node.quotas("both") == [WHOLE, WHOLE, 28_800], "there is room in the pod's"
    node.throttle("both", None)
    node.rounds(1)
    assert node.quotas("both") == [120_000, WHOLE, 34_560]
    node.throttle("both", "main")
    node.rounds(12)
    assert node.quotas("both") == [300_000, 300_000, 60_000]
    node.used.known = False
    node.rounds(12)
    assert node.quotas("both") == [WHOLE, WHOLE, 20_000]


def test_a_pod_without_a_quota(node):
    """One of its containers has no limit: the other one's quota is raised, the pod stays without one."""
    node.add("part", containers=[container("500m"), container(None, "free")])
    node.throttle("part")
    node.throttle("part", "free")
    node.rounds(2)
    assert node.quotas("part") == [-1, 72_000, -1]


def test_an_init_container_without_a_limit(node):
    """Some kubelets write a quota of the pod all the same, which is raised, and others none, as there is."""
    node.add("starts", containers=[container("500m")])
    node.pods["starts"]["spec"]["initContainers"] = [container(None, "first")]
    node.throttle("starts")
    node.rounds(2)
    assert (node.quota("starts"), node.quota("starts", "main")) == (72_000, 72_000)
    node.kubelet_writes("starts", None, -1)
    node.rounds(1)
    assert (node.quota("starts"), node.quota("starts", "main")) == (-1, HALF), "that is somebody else's now"
    node.rounds(12)  # within ten rounds it is looked at again
    assert node.quota("starts") == -1
    assert node.quota("starts", "main") > HALF


def test_another_period_of_the_kubelet(node, caplog):
    """What stands there is not what the agent reckons with: it is left alone, and a finding says so."""
    for each in ("side", "main", None):
        group = node.group("web", each)
        if node.kernel.version == 1:
            node.kernel.foreign(group, "cpu.cfs_quota_us", "10000")
            node.kernel.foreign(group, "cpu.cfs_period_us", "20000")
        else:
            node.kernel.foreign(group, "cpu.max", "10000 20000")
    before = node.kernel.snapshot()
    node.throttle("web")
    node.rounds(9)
    assert not [each for each in caplog.messages if "quota" in each]
    node.rounds(12)
    assert node.kernel.snapshot() == before
    (message,) = [each for each in caplog.messages if "is not raised" in each]
    assert message.startswith("shop/web: is throttled")


@pytest.mark.parametrize("where", ["the pod", "main"])
def test_the_kernel_is_busy(node, where):
    """What did not come about is not made up for: from what stands by a fifth."""
    name = {1: "cpu.cfs_quota_us", 2: "cpu.max"}[node.kernel.version]
    group = node.group("web", None if where == "the pod" else where)
    node.throttle("web")
    node.kernel.fault(f"{group}/{name}", errno.EBUSY, times=3)
    before = node.quota("web", "main")
    for _ in range(8):
        node.rounds(1)
        after = node.quota("web", "main")
        assert after <= before * 6 // 5
        assert after <= node.quota("web")
        before = after
    assert before > 100_000


def test_a_pod_that_gets_cpus_of_its_own(node):
    """Its quota is lifted, and afterwards it is the kubelet's."""
    node.throttle("web")
    node.rounds(3)
    node.pods["web"]["metadata"]["labels"]["koordinator.sh/qosClass"] = "LSR"
    node.pods["web"]["metadata"]["annotations"]["scheduling.koordinator.sh/resource-status"] = (
        '{"cpuset": "2-3"}'
    )
    for each in node.pods["web"]["spec"]["containers"]:
        each["resources"]["requests"] = {"cpu": "1"}
    node.rounds(2)
    assert node.quotas("web") == [-1, -1, -1]
    node.agent.give_back()
    assert node.quotas("web") == [HALF + WHOLE, HALF, WHOLE]


def test_what_is_reported(node):
    """The pool, and each raised quota."""
    node.throttle("web", cores=None)
    node.throttle("web", "side")
    node.rounds(2)
    assert node.burster.report() == {
        "on": True,
        "pool": {"pool": "400 of 16000", "threshold": "50%"},
        "raised": {"shop/web": {"main": 72_000, "side": 144_000}},
    }
    assert node.burster.state.more == 660
    node.throttled.groups[node.group("web", "main")] = Throttled(0, 1.0)
