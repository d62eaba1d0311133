"""What is wrong with the ConfigMap."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capacity.cluster import ours
from webhook.pods.selectors import compile_selector
from webhook.slo.check import Reason, check_configmap

POOL = {"matchLabels": {"a": "b"}}
THRESHOLD, QOS, COLOCATION = "resource-threshold-config", "resource-qos-config", "colocation-config"
KEYS_OF_ENTRIES = {
    COLOCATION: "nodeConfigs",
    THRESHOLD: "nodeStrategies",
    QOS: "nodeStrategies",
    "cpu-burst-config": "nodeStrategies",
    "system-config": "nodeStrategies",
    "host-application-config": "nodeConfigs",
}


def problems(data: dict[str, Any], nodes: dict[str, dict[str, str]] | None = None) -> list[tuple[str, str]]:
    """Return reason and message of each problem; values are written as JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    return [tuple(each) for each in check_configmap(texts, nodes or {}).problems]


def cluster(name: str, **fields: Any) -> list[tuple[str, str]]:
    """Return what is wrong with a cluster's strategy."""
    return problems({name: {"clusterStrategy": fields}})


def qos(**classes: Any) -> list[tuple[str, str]]:
    """Return what is wrong with bandwidths of classes."""
    return cluster(QOS, **{name: {"networkQOS": fields} for name, fields in classes.items()})


def applications(*listed: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with applications of hosts."""
    return problems({"host-application-config": {"applications": listed}})


def test_a_whole_one_is_fine() -> None:
    """Koordinator's own example, and our settings in it."""
    data = {
        COLOCATION: {"enable": True, "cpuReclaimThresholdPercent": 70, **ours(policy="watermark")},
        THRESHOLD: {"clusterStrategy": {"enable": True, "cpuSuppressThresholdPercent": 65}},
        "system-config": {"clusterStrategy": {"totalNetworkBandwidth": "10000M"}},
        "cpu-normalization-config": {"enable": True},
    }
    assert problems(data) == []
    assert problems({}) == problems({THRESHOLD: ""}) == []


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        ({COLOCATION: "{"}, Reason.PARSE, "colocation-config: is not JSON"),
        ({THRESHOLD: "null"}, Reason.PARSE, "resource-threshold-config: null is no JSON object"),
        ({COLOCATION: {"enable": "yes"}}, Reason.PARAMETER, "colocation-config.enable: 'yes' is not true"),
        ({COLOCATION: {"degradeTimeMinutes": 0}}, Reason.PARAMETER, "degradeTimeMinutes: 0 is out of range"),
        ({COLOCATION: {"resourceDiffThreshold": 1.5}}, Reason.PARAMETER, "resourceDiffThreshold: 1.5"),
        ({COLOCATION: ours(policy="best")}, Reason.PARAMETER, "policy: 'best' is unknown"),
        (
            {COLOCATION: {"nodeConfigs": [{"nodeSelector": POOL, "degradeTimeMinutes": 0}]}},
            Reason.PARAMETER,
            "colocation-config.nodeConfigs[0].degradeTimeMinutes: 0 is out of range",
        ),
    ],
)  # fmt: skip
def test_values(data: dict[str, Any], reason: Reason, message: str) -> None:
    """A wrong one is named with its place."""
    ((found, said),) = problems(data)
    assert found == reason
    assert message in said


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (cluster(THRESHOLD, cpuSuppressThresholdPercent=101), "101 is out of range: write a number from 0"),
        (cluster(THRESHOLD, cpuEvictLowerPercent=70, cpuEvictThresholdPercent=70), "70 is not less than"),
        (
            cluster(THRESHOLD, cpuSuppressMinPercent=66, cpuSuppressThresholdPercent=65),
            "cpuSuppressMinPercent: 66 is more than cpuSuppressThresholdPercent, which is 65",
        ),
        (cluster(THRESHOLD, cpuSuppressPolicy="set"), "'set' is unknown: write one of cpuset, cfsQuota"),
        (cluster(THRESHOLD, allocatableEvictPriorityThreshold=8000), "8000 is out of range"),
        (cluster(QOS, lsClass={"cpuQOS": {"groupIdentity": 3}}), "lsClass.cpuQOS.groupIdentity: 3 is out of"),
        (cluster(QOS, systemClass={"memoryQOS": {"wmarkMinAdj": -26}}), "write a number from -25 to 50"),
        (
            cluster(QOS, beClass={"resctrlQOS": {"catRangeStartPercent": 30, "catRangeEndPercent": 30}}),
            "catRangeStartPercent: 30 is not less than catRangeEndPercent, which is 30",
        ),
        (
            cluster(QOS, beClass={"blkioQOS": {"blocks": [{"type": "disk"}]}}),
            "beClass.blkioQOS.blocks[0].type: 'disk' is unknown",
        ),
        (qos(lsClass={"ingressRequest": 60}, beClass={"ingressRequest": 41}), "60 + 41 is more than 100"),
        (qos(lsClass={"ingressRequest": 60}, beClass={"egressLimit": "50M"}), "write all of one kind"),
        (qos(beClass={"egressLimit": "fast"}), "egressLimit: "),
        (qos(beClass={"egressLimit": 101}), "egressLimit: 101 is out of range"),
        (cluster("cpu-burst-config", cpuBurstPercent=10_001), "10001 is out of range: write a number from"),
        (cluster("cpu-burst-config", cfsQuotaBurstPercent=99), "99 is out of range: write a number from 100"),
        (cluster("cpu-burst-config", cfsQuotaBurstPeriodSeconds=-2), "-2 is out of range: write a number"),
        (cluster("cpu-burst-config", sharePoolThresholdPercent=101), "101 is out of range: write a number"),
        (cluster("system-config", watermarkScaleFactor=401), "401 is out of range: write a number from 1"),
        (cluster("system-config", totalNetworkBandwidth="-1"), "totalNetworkBandwidth: "),
        (
            applications({"name": "", "cgroupPath": {"base": "Kubepods"}}),
            "host-application-config.applications[0].name: is empty: write a name",
        ),
        (
            applications({"name": "a", "cgroupPath": {"base": "x"}}),
            "cgroupPath.base: 'x' is unknown: write one of CgroupRoot,",
        ),
    ],
)  # fmt: skip
def test_ranges_of_keys_for_agents(found: list[tuple[str, str]], message: str) -> None:
    """Each range is checked, and the remedy is named."""
    ((reason, said),) = found
    assert reason == Reason.PARAMETER
    assert message in said


def test_bandwidths_that_fit() -> None:
    """Limits may be 100 percent each; requests together 100."""
    each = {"ingressRequest": 30, "ingressLimit": 100}
    assert qos(lsrClass=each, lsClass=each, beClass=each) == []
    assert qos(lsrClass={"ingressLimit": "50M"}, beClass={"egressRequest": "1Gi"}) == []


def entries(*selectors: dict[str, Any] | None, key: str = THRESHOLD) -> dict[str, Any]:
    """Return data with entries of nodes named e0, e1 and so on."""
    listed = [
        {"name": f"e{i}", **({} if each is None else {"nodeSelector": each})}
        for i, each in enumerate(selectors)
    ]
    return {key: {KEYS_OF_ENTRIES[key]: listed}}


def labels(**values: str) -> dict[str, Any]:
    """Return a selector of labels."""
    return {"matchLabels": values}


@pytest.mark.parametrize("key", KEYS_OF_ENTRIES)
def test_entries_of_every_key(key: str) -> None:
    """Selectors must be there, be valid, and exclude each other."""
    (missing,) = problems(entries(None, key=key))
    assert missing[1].endswith("[0].nodeSelector: names no label; what holds for every node stands above")
    (wrong,) = problems(entries({"matchLabel": {}}, key=key))
    assert wrong == (Reason.PARAMETER, wrong[1])
    assert "unknown field 'matchLabel'" in wrong[1]
    (twice,) = problems(entries(labels(a="b"), labels(a="b", c="d"), key=key))
    assert twice[0] == Reason.OVERLAP
    assert "[0] (e0) and " in twice[1]
    two = entries(labels(a="b"), labels(c="d"), key=key)
    assert problems(two) == []
    nodes = {f"n{i}": {"a": "b", "c": "d"} for i in range(5)} | {"other": {"a": "b"}}
    (conflict,) = problems(two, nodes)
    assert conflict[0] == Reason.CONFLICT
    assert "both select n0, n1, n2 and 2 more" in conflict[1]


def test_only_what_changed_is_checked() -> None:
    """A key that stands there already does not keep another one from being corrected."""
    old = {THRESHOLD: "{", COLOCATION: "{"}
    new = {THRESHOLD: "{", COLOCATION: '{"enable": true}'}
    assert check_configmap(new, {}, old).problems == ()
    assert [each.reason for each in check_configmap(new, {}).problems] == [Reason.PARSE]


def test_what_is_doubtful() -> None:
    """Misspelled keys, fields and policies, names that occur twice: said, not refused."""
    data = {
        "colocation-confg": "{}",
        "mine": "{}",
        COLOCATION: json.dumps(
            {"cpuCalculatePolicy": "fast", "Enable": True, "cpuReclaimThresholdPercent": 101}
        ),
        THRESHOLD: json.dumps(
            {
                "clusterStrategy": {"cpuSupressPolicy": "cpuset"},
                "nodeStrategies": [
                    {"name": "a", "nodeSelector": labels(a="1")},
                    {"name": "a", "nodeSelector": labels(a="2")},
                ],
            }
        ),
    }
    found = check_configmap(data, {})
    assert found.problems == ()
    policy = "'fast' is unknown and counts as usage: write one of usage, maxUsageRequest"
    assert found.warnings == (
        "colocation-confg: is unknown; is colocation-config meant?",
        "colocation-config.Enable: is taken for enable; write it so",
        f"colocation-config.cpuCalculatePolicy: {policy}",
        "colocation-config.cpuReclaimThresholdPercent: 101 offers more than the node has",
        "resource-threshold-config.clusterStrategy.cpuSupressPolicy: is unknown; it is handed on as it is",
        "resource-threshold-config: 2 entries are named a",
    )


REQUIREMENTS = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        **({"values": values} if operator in {"In", "NotIn"} else {}),
    },
    st.sampled_from("ab"),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from("xy"), min_size=1, max_size=2, unique=True),
)
SELECTORS = st.lists(REQUIREMENTS, min_size=1, max_size=3).map(lambda each: {"matchExpressions": each})


@given(SELECTORS, SELECTORS)
def test_an_overlap_is_found_as_by_trying(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two entries overlap if a node with just the labels that one asks for matches both."""

    def named(selector: dict[str, Any]) -> set[str]:
        return {r["key"] for r in selector["matchExpressions"] if r["operator"] in {"In", "Exists"}}

    one, two = (compile_selector(each, "s") for each in (first, second))
    tried = [
        {key: value for key, value in zip("ab", values, strict=True) if value}
        for values in itertools.product(("", "x", "y", "z"), repeat=2)
    ]
    expected = any(
        one.matches(node)
        and two.matches(node)
        and (node.keys() <= named(first) or node.keys() <= named(second))
        for node in tried
    )
    found = problems(entries(first, second))
    assert bool(found) is expected
    assert {reason for reason, _ in found} <= {Reason.OVERLAP}


def test_thresholds_that_do_nothing() -> None:
    """Settings of eviction that are not complete are warnings, of the cluster and of entries."""
    incomplete = {"enable": True, "cpuEvictThresholdPercent": 90}
    entry = {
        "nodeSelector": POOL,
        "cpuEvictThresholdPercent": None,
        "cpuAllocatableEvictThresholdPercent": 110,
    }
    data = {THRESHOLD: json.dumps({"clusterStrategy": incomplete, "nodeStrategies": [entry]})}
    report = check_configmap(data, {})
    assert report.problems == ()
    says = "cpuEvictThresholdPercent: does nothing without evictEnabledPriorityThreshold"
    assert f"{THRESHOLD}.clusterStrategy.{says}" in report.warnings
    lacks = "cpuAllocatableEvictThresholdPercent: does nothing without cpuAllocatableEvictLowerPercent"
    assert any(f"entry 0 of those used.{lacks}" in each for each in report.warnings)
    off = {THRESHOLD: json.dumps({"clusterStrategy": {**incomplete, "enable": False}})}
    assert check_configmap(off, {}).warnings == ()
