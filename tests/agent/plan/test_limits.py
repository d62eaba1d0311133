"""Batch and mid resources come to what a real koordlet wrote for the same pods, but for what is said here."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.plan.builders import a_pod, batch, one, plan_of, raw_pod, values
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.plan.limits import quota_of, shares_of
from webhook.agent.plan.target import UNLIMITED, Knob
from webhook.pods.quantities import NANO

FIELDS = (Knob.SHARES, Knob.QUOTA, Knob.MEMORY)


def three(targets):
    """Shares, quota and memory."""
    found = values(targets)
    return tuple(found[knob] for knob in FIELDS)


def limits_of(*containers, qos="BE", at=None, init=(), **fields):
    """What stands at the pod, or at a container."""
    raw = raw_pod("spark", qos, containers=list(containers), kube="BestEffort", **fields)
    raw["spec"]["initContainers"] = list(init)
    pod = read_agent_pod(raw)
    plan = one(pod, idle=False)
    return three(plan.at_pod if at is None else plan.at_containers[at])


@pytest.mark.parametrize(
    ("milli", "shares", "quota"),
    [(1000, 1024, 100000), (2500, 2560, 250000), (4000, 4096, 400000), (1, 2, 1000), (500, 512, 50000)],
)
def test_the_table_of_the_protocol(milli, shares, quota):
    """Shares and quota of some amounts; 500 is what was read from a node under koordlet."""
    assert (shares_of(milli), quota_of(milli)) == (shares, quota)


@pytest.mark.parametrize("kind", ["batch", "mid"])
def test_pod_and_container_of_what_koordlet_limited(kind):
    """batch-cpu 500 and batch-memory 64Mi; mid resources by the same rules."""
    assert limits_of(batch(kind=kind)) == (512, 50000, 67108864)
    assert limits_of(batch(kind=kind), at="main") == (512, 50000, 67108864)


def test_a_pod_is_the_sum_of_its_containers():
    """And has no limit where one of them has none; a container without request has the least shares."""
    pair = batch("500", "1Mi"), batch("1500", "2Mi", "side")
    assert limits_of(*pair) == (2048, 200000, 3 * 2**20)
    pair = batch("500", None), {"name": "side"}
    assert limits_of(*pair) == (512, UNLIMITED, UNLIMITED)
    assert limits_of(*pair, at="side") == (2, UNLIMITED, UNLIMITED)


def test_init_containers_run_before_and_sidecars_next_to_the_others():
    """As the kubelet counts cpu and memory. koordlet counts neither."""
    init = [batch("700", "1Mi", "sidecar", restartPolicy="Always"), batch("2000", "1Mi", "init")]
    assert limits_of(batch("1000", "1Mi"), init=init) == (shares_of(2700), 270000, 2 * 2**20)
    assert limits_of(batch("1000", "1Mi"), init=[{"name": "init"}]) == (1024, 100000, 2**20)
    open_ended = [{"name": "sidecar", "restartPolicy": "Always"}]
    assert limits_of(batch("1000", "1Mi"), init=open_ended) == (1024, UNLIMITED, UNLIMITED)


def test_the_annotation_where_the_spec_has_nothing():
    """Where both are there, the spec counts."""
    text = json.dumps({"containers": {"main": batch("250", "1Mi")["resources"]}})
    marks = {"node.koordinator.sh/extended-resource-spec": text}
    assert limits_of({"name": "main"}, annotations=marks) == (256, 25000, 2**20)
    assert limits_of(batch(), annotations=marks) == (512, 50000, 67108864)


def test_memory_is_kept_in_pages():
    """What the kernel would round down is rounded down before, so that it can be compared."""
    assert limits_of(batch(memory="100M"))[2] == 100_000_000 // 4096 * 4096
    assert limits_of(batch(memory="1"))[2] == 4096


def test_faster_cpus_give_less_time():
    """CPU normalization divides the quota of batch pods, rounded up, and no others'."""
    pod = a_pod("x", "BE", containers=[batch("1000")])
    assert values(one(pod, ratio=NANO * 12 // 10).at_pod)[Knob.QUOTA] == 83334
    pod = a_pod("x", "LS", containers=[batch("1000", kind="mid")])
    assert values(one(pod, ratio=NANO * 12 // 10).at_pod)[Knob.QUOTA] == 100000


@pytest.mark.parametrize(
    ("pod", "says"),
    [
        (a_pod("x", "LS", containers=[batch()]), "has batch resources but not class BE"),
        (a_pod("x", "BE", containers=[batch("2x")]), "is not a quantity"),
        (a_pod("x", "BE", containers=[batch("-1")]), "is negative"),
        (
            a_pod("x", "BE", annotations={"node.koordinator.sh/extended-resource-spec": "[]"}),
            "extended-resource-spec cannot be read",
        ),
    ],
)
def test_what_cannot_be_read_is_not_limited(pod, says):
    """The finding names pod and field; the rest of the plan stands."""
    plan = plan_of(pod, a_pod("y", "BE", containers=[batch()]))
    limited = {each.pod.name for each in plan.pods if Knob.QUOTA in values(each.at_pod)}
    assert limited == {"shop/y"}
    assert [each for each in plan.findings if says in each]


def test_pods_without_such_resources_are_left_alone():
    """Of requests of cpu and memory the kubelet takes care."""
    assert set(values(one(a_pod("x", "LS", cpus=1)).at_pod)) == {Knob.CPUS}
    assert set(values(one(a_pod("x", "BE"), idle=False).at_pod)) == {Knob.CPUS}


@given(
    st.lists(st.tuples(st.integers(1, 64000), st.none() | st.integers(4096, 2**40)), min_size=1, max_size=5)
)
def test_a_pod_contains_its_containers(amounts):
    """No container may use more than its pod; shares of the kernel's range."""
    listed = [
        batch(str(cpu), None if memory is None else str(memory), f"c{i}")
        for i, (cpu, memory) in enumerate(amounts)
    ]
    pod = a_pod("x", "BE", containers=listed)
    plan = one(pod, idle=False)
    _, quota, memory = three(plan.at_pod)
    for each in plan.at_containers.values():
        shares, its_quota, its_memory = three(each)
        assert 2 <= shares <= 262144
        assert quota == UNLIMITED or its_quota <= quota
        assert memory == UNLIMITED or its_memory <= memory
