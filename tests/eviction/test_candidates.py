"""Which pods may be evicted."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eviction.builders import be_pod, candidate, cpu_ask, memory_ask
from webhook.eviction.candidates import Use, read_candidate
from webhook.eviction.thresholds import Form
from webhook.protocol import PRIORITY_BAND_NAMES, QOS_CLASSES

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-r", "controller": True}
QOS, CLASS = "koordinator.sh/qosClass", "koordinator.sh/priority-class"


def test_a_batch_pod() -> None:
    """It is known by its uid, with what it requests, and the workload that it belongs to."""
    found = candidate(metadata={"ownerReferences": [OWNER]}, labels={"koordinator.sh/priority": "5005"})
    assert (found.uid, found.node, found.workload) == ("uid-a", "n1", "u-r")
    assert found.requests == {"kubernetes.io/batch-cpu": 2000, "kubernetes.io/batch-memory": 2**30}
    assert (found.priority, found.order, found.sub_priority) == (5000, 0, 5005)
    assert candidate().workload == "uid-a"
    assert found.ended_at is None


@pytest.mark.parametrize(
    "over",
    [
        {"labels": {QOS: "LS"}},
        {"labels": {QOS: ""}},
        {"labels": {CLASS: "koord-prod"}},
        {"spec": {"priority": 9500, "nodeName": "n1"}},
        {"spec": {"priority": 2_000_001_000, "nodeName": "n1"}},
        {"spec": {"priority": "5000", "nodeName": "n1"}},
        {"spec": {"nodeName": ""}},
        {"status": {"phase": "Succeeded"}},
        {"annotations": {"kubernetes.io/config.mirror": "x"}},
        {"annotations": {"koordinator.sh/eviction-priority": "first"}},
        {"metadata": {"uid": ""}},
        {"metadata": {"ownerReferences": [{**OWNER, "kind": "DaemonSet"}]}},
        {"cpu": "many"},
    ],
)
def test_who_may_not(over: dict[str, Any]) -> None:
    """Online pods, system pods, static ones, those of DaemonSets, and what cannot be read."""
    assert read_candidate(be_pod(**over)) is None


def test_unlabelled_best_effort() -> None:
    """A pod that is merely BestEffort, as kube-proxy, is nobody's batch work."""
    assert read_candidate(be_pod(metadata={"labels": {}}, status={"qosClass": "BestEffort"})) is None


def test_mid_pods() -> None:
    """Only where they may, by their label, and up to the priority."""
    mid = candidate(
        labels={QOS: "LS", CLASS: "koord-mid", "koordinator.sh/eviction-enabled": "true"},
        spec={"nodeName": "n1", "priority": 7500},
    )
    usage = memory_ask(form=Form.MEMORY, priority=7999)
    assert mid.allows(usage, mid=True)
    assert not mid.allows(usage, mid=False)
    assert not mid.allows(usage._replace(priority=7499), mid=True)
    assert not mid.allows(memory_ask(), mid=True)  # it is no BE pod
    assert not mid._replace(enabled="").allows(usage, mid=True)
    assert mid._replace(be=True).allows(memory_ask(), mid=True)


def test_what_a_pod_says() -> None:
    """Its label forbids all forms, its annotation those that it does not name; none where it is malformed."""
    assert candidate().allows(memory_ask(), mid=False)
    assert not candidate(labels={"koordinator.sh/eviction-enabled": "false"}).allows(memory_ask(), mid=False)
    policy = "koordinator.sh/eviction-policy"
    assert candidate(annotations={policy: '["BEMemoryEvict"]'}).forms == {Form.BE_MEMORY}
    for text in ("", "[", "{}", "1", '["bememoryevict"]'):
        assert candidate(annotations={policy: text}).forms == frozenset()


def test_what_goes_with_it() -> None:
    """Its use, or its request of the resource; nothing where its use is not known."""
    pod, use = candidate(), Use(1500, 700)
    assert pod.releases(memory_ask(), use) == 700
    assert pod.releases(memory_ask(), None) == 0
    assert pod.releases(memory_ask(form=Form.CPU), use) == 1500
    assert pod.releases(cpu_ask(), None) == 2000
    odd = cpu_ask()._replace(form=Form.CPU, figures={"allocatable": 1})
    assert pod.releases(odd, use) == 1500, "the form says what counts, whatever figures stand there"


def test_when_it_was_asked_to_end() -> None:
    """Its deletionTimestamp lies in the future by the time that it may take."""
    ending = {"deletionTimestamp": "2026-01-31T08:00:30Z", "deletionGracePeriodSeconds": 30}
    assert candidate(metadata=ending).ended_at == dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
    assert candidate(metadata={"deletionTimestamp": "soon"}).ended_at is not None


@given(
    st.sampled_from([*sorted(QOS_CLASSES), "", "x"]),
    st.sampled_from([*sorted(PRIORITY_BAND_NAMES), "x", None]),
    st.one_of(st.none(), st.integers(-10, 10_100), st.sampled_from([3000, 5000, 7000, 9000, 2_000_000_000])),
)
def test_never_online_work(qos: str, priority_class: str | None, priority: int | None) -> None:
    """Whatever labels and priorities say: only BE or mid, never prod by either of them."""
    marks = {QOS: qos, **({CLASS: priority_class} if priority_class else {})}
    spec = {"nodeName": "n1", **({"priority": priority} if priority is not None else {})}
    pod = be_pod(metadata={"labels": marks})
    pod["spec"] = {**pod["spec"], **spec}
    if priority is None:
        del pod["spec"]["priority"]
    found = read_candidate(pod)
    if found is None:
        return
    assert found.priority <= 7999
    assert priority_class != "koord-prod"
    in_mid = priority_class == "koord-mid" or (priority_class is None and 7000 <= (priority or 0) <= 7999)
    assert qos == "BE" or in_mid
