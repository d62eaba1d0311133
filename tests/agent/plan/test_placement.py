"""Each pod runs where class, annotation and node say, and a set that is not allowed counts for nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.plan.builders import a_node, a_pod
from webhook.agent.plan.placement import BE_POOL, OWN_CPUS, SHARE_POOL, SYSTEM_CPUS, cpu_sets
from webhook.agent.plan.settings import CPUManager
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist

SEED = [
    a_pod("lse", "LSE", cpus=2, set_="0-1"),
    a_pod("lsr", "LSR", cpus=2, set_="2-3"),
    a_pod("ls", "LS", cpus=1),
    a_pod("be", "BE"),
]


def placed(pods, node=None, **fields):
    """Rule and cpulist by the name of the pod, and the findings."""
    sets = cpu_sets(pods, node or a_node(), **fields)
    names = {pod.uid: pod.name.removeprefix("shop/") for pod in pods}
    found = {names[uid]: (each.rule, format_cpulist(each.cpus)) for uid, each in sets.placements.items()}
    return found, sets.findings


def test_the_four_classes_of_seed_004():
    """16 CPUs: LSE 0-1, LSR 2-3; LS has the rest, BE all but LSE's."""
    found, findings = placed(SEED)
    assert found == {
        "lse": (OWN_CPUS, "0-1"),
        "lsr": (OWN_CPUS, "2-3"),
        "ls": (SHARE_POOL, "4-15"),
        "be": (BE_POOL, "2-15"),
    }
    assert findings == ()


@pytest.mark.parametrize(
    ("kube", "policy", "expected"),
    [
        ("Guaranteed", "none", (SHARE_POOL, "4-15")),
        ("Burstable", "none", (SHARE_POOL, "4-15")),
        ("BestEffort", "none", (BE_POOL, "2-15")),
        ("Guaranteed", "static", None),
        ("Burstable", "static", None),
        ("BestEffort", "static", (BE_POOL, "2-15")),
        ("Guaranteed", "unknown", None),
        ("Burstable", "unknown", (SHARE_POOL, "4-15")),
        ("BestEffort", "unknown", (BE_POOL, "2-15")),
    ],
)
def test_pods_without_a_class_go_by_the_kubelets_policy(kube, policy, expected):
    """Under the policy static it places them, but for BestEffort ones; it may while nobody knows it."""
    cpus = None if kube == "BestEffort" else 2
    found, _ = placed([*SEED, a_pod("plain", kube=kube, cpus=cpus)], cpu_manager=CPUManager(policy))
    assert found.get("plain") == expected


def of_cpu(**amounts):
    """Containers that request and are limited to so much."""
    return [
        {"name": name, "resources": {kind: {"cpu": cpu} for kind in ("requests", "limits")}}
        for name, cpu in amounts.items()
    ]


@pytest.mark.parametrize(
    ("pod", "alone"),
    [
        (a_pod("x", kube="Guaranteed", containers=of_cpu(a="1500m", b="2")), True),
        (a_pod("x", kube="Guaranteed", containers=of_cpu(a="2000m")), True),
        (
            a_pod("x", kube="Guaranteed", containers=[{"name": "a", "resources": {"limits": {"cpu": 1}}}]),
            True,
        ),
        (a_pod("x", kube="Guaranteed", containers=of_cpu(a="1500m", b="500m")), False),
        (a_pod("x", kube="Guaranteed", containers=of_cpu(a="0")), False),
        (a_pod("x", kube="Guaranteed", containers=of_cpu(a="2x")), False),
        (a_pod("x", kube="Burstable", cpus=2), False),
        (a_pod("x", "LS", kube="Guaranteed", cpus=2), False),
    ],
    ids=["a container", "milli", "limits", "parts", "none", "unread", "burstable", "labelled"],
)
def test_while_the_kubelets_policy_is_unknown(pod, alone):
    """What it may have pinned is left alone, with one finding; what it pins under no policy is placed."""
    other = a_pod("other", kube="Guaranteed", cpus=1) if alone else a_pod("other")
    found, findings = placed([pod, other], cpu_manager=CPUManager.UNKNOWN)
    assert found.get("x") == (None if alone else (SHARE_POOL, "0-15"))
    said = [each for each in findings if "the kubelet's CPU policy is unknown" in each]
    assert len(said) == alone
    assert all("set agent.kubeletDir" in each for each in said)


def test_what_is_reserved_is_in_no_pool():
    """Reserved CPUs, exclusive system CPUs and the kubelet's pinned ones; its own reserved ones stay in."""
    node = a_node(reserved={15}, system={14}, kubelet_pinned={13}, kubelet_reserved={12})
    found, _ = placed([*SEED, a_pod("sys", "SYSTEM", kube="Burstable")], node)
    assert found["ls"] == (SHARE_POOL, "4-12")
    assert found["be"] == (BE_POOL, "2-12")
    assert found["sys"] == (SYSTEM_CPUS, "14")


def test_system_pods_are_untouched_where_nothing_is_theirs():
    """Without the annotation system-qos-resource nothing is planned for them."""
    assert "sys" not in placed([a_pod("sys", "SYSTEM", kube="Burstable")])[0]


@pytest.mark.parametrize(
    ("pod", "node", "says"),
    [
        (a_pod("x", "LS", cpus=2, set_="4-5"), {}, "a pod of class LS"),
        (a_pod("x", "", cpus=2, set_="4-5"), {}, "a pod of no class"),
        (a_pod("x", "LSE", cpus=2, set_="4-5", priority=5500), {}, "this priority"),
        (a_pod("x", "LSE", cpus=2, set_="4-5"), {"reserved": {4}}, "CPUs 4 of its set are reserved"),
        (a_pod("x", "LSE", cpus=2, set_="4-5"), {"kubelet_pinned": {5}}, "CPUs 5 of its set are reserved"),
        (a_pod("x", "LSE", cpus=2, set_="4-5"), {"system": {5}}, "CPUs 5 of its set are reserved"),
        (a_pod("x", "LSR", cpus=2, set_="1,4", created="2026-02-01"), {}, "CPUs 1 of its set are shop/lse's"),
        (
            a_pod("x", "LSR", cpus=2, set_="nonsense"),
            {},
            "annotation scheduling.koordinator.sh/resource-status",
        ),
    ],
)
def test_a_set_that_is_not_allowed_counts_for_nobody(pod, node, says):
    """Its pod runs on the share pool, which still has those CPUs; the finding names the reason."""
    found, findings = placed([*SEED, pod], a_node(**node))
    others, _ = placed(SEED, a_node(**node))
    assert found == others | {"x": others["ls"]}
    assert [each for each in findings if says in each]


def test_a_nodes_policy_gives_every_pod_with_cpu_a_set():
    """Koordinator's node rule: an LS pod gets a set, which is shared with BE only."""
    pods = [a_pod("x", "LS", cpus=2, set_="4-5"), a_pod("ls", "LS"), a_pod("be", "BE")]
    found, findings = placed(pods, a_node(bind_policy=BindPolicy.FULL_PCPUS))
    assert found == {"x": (OWN_CPUS, "4-5"), "ls": (SHARE_POOL, "0-3,6-15"), "be": (BE_POOL, "0-15")}
    assert findings == ()


def test_no_more_cpus_than_requested():
    """Anybody may write annotations: of more CPUs than the pod pays for, it holds the first ones."""
    found, findings = placed([a_pod("x", "LSE", cpus=2, set_="0-7"), a_pod("ls", "LS")])
    assert found == {"x": (OWN_CPUS, "0-1"), "ls": (SHARE_POOL, "2-15")}
    assert "names 8 CPUs, its request and limit come to 2" in findings[0]


def test_cpus_that_went_offline():
    """The pod runs on what is left of its set; on the share pool where nothing is."""
    found, findings = placed([a_pod("x", "LSE", cpus=2, set_="15-16"), a_pod("y", "LSE", cpus=1, set_="40")])
    assert found == {"x": (OWN_CPUS, "15"), "y": (SHARE_POOL, "0-14")}
    assert findings[0] == "shop/x: CPUs 16 of its set are not online: it runs on 15"


def test_an_empty_pool_leaves_pods_as_they_are():
    """A cpuset cannot be empty: nothing is planned, and a finding says so."""
    found, findings = placed([a_pod("x", "LSE", cpus=16, set_="0-15"), a_pod("ls", "LS"), a_pod("be", "BE")])
    assert set(found) == {"x"}
    assert [each.split(":")[0] for each in findings] == ["shop/ls", "shop/be"]


def test_ls_pods_stay_on_their_numa_nodes():
    """By numaNodeResources; where the pool has nothing there, on all of it, and a finding says so."""
    status = '{"numaNodeResources":[{"node":1,"resources":{"cpu":"2"}}]}'
    near = a_pod("near", "LS", annotations={"scheduling.koordinator.sh/resource-status": status})
    node = a_node("2x1x4x1", "adjacent")
    assert placed([near], node)[0] == {"near": (SHARE_POOL, "4-7")}
    found, findings = placed([a_pod("x", "LSE", cpus=4, set_="4-7"), near], node)
    assert found["near"] == (SHARE_POOL, "0-3")
    assert "has no CPU on NUMA nodes 1" in findings[0]


SETS = st.sets(st.integers(0, 17), min_size=1, max_size=6).map(format_cpulist)
PODS = st.lists(
    st.tuples(st.sampled_from(["LSE", "LSR", "LS", "BE", "SYSTEM", ""]), st.none() | SETS), max_size=8
)
FEW = st.frozensets(st.integers(0, 15), max_size=3)


@given(PODS, FEW, FEW, FEW, st.sampled_from(CPUManager))
def test_nobody_runs_on_an_lse_pods_cpus(pods, reserved, system, pinned, policy):
    """Whatever annotations say; LSR CPUs are shared with BE only; no other CPUs than the machine's."""
    read = [
        a_pod(f"p{i}", qos, cpus=len(parse_cpulist(text)) if text else 1, set_=text, kube="Burstable")
        for i, (qos, text) in enumerate(pods)
    ]
    node = a_node(reserved=reserved, system=system, kubelet_pinned=pinned)
    sets = cpu_sets(read, node, cpu_manager=policy)
    own = {"LSE": frozenset(), "LSR": frozenset()}
    for pod in read:
        placement = sets.placements.get(pod.uid)
        if placement is None:
            continue
        assert placement.cpus
        assert placement.cpus <= node.cpu_topology.position.keys()
        if placement.rule == OWN_CPUS:
            assert pod.qos in own
            assert not placement.cpus & (own["LSE"] | own["LSR"] | reserved | system | pinned)
            own[pod.qos] |= placement.cpus
    for pod in read:
        placement = sets.placements.get(pod.uid)
        if placement is not None and placement.rule in (SHARE_POOL, BE_POOL):
            assert not placement.cpus & (own["LSE"] | reserved | system | pinned)
            assert placement.rule == BE_POOL or not placement.cpus & own["LSR"]
