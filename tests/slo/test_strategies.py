"""The ConfigMap's keys for agents, and the NodeSLO of a node."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.capacity.strategy import StrategyError
from webhook.slo.keys import KEYS
from webhook.slo.strategies import canonical, merged, read_key, read_strategies, spec_of

THRESHOLD, QOS, BURST = "resource-threshold-config", "resource-qos-config", "cpu-burst-config"
POOL = {"matchLabels": {"pool": "a"}}


def spec(labels: dict[str, str] | None = None, **keys: Any) -> dict[str, Any]:
    """Return the spec of a node by keys of the ConfigMap, given with underscores."""
    data = {f"{name.replace('_', '-')}-config": json.dumps(value) for name, value in keys.items()}
    return spec_of(read_strategies(data), labels or {})


def test_without_a_word() -> None:
    """An empty ConfigMap means Koordinator's defaults: everything is off."""
    assert spec() == {
        "resourceUsedThresholdWithBE": {
            "enable": False,
            "cpuSuppressThresholdPercent": 65,
            "cpuSuppressPolicy": "cpuset",
            "memoryEvictThresholdPercent": 70,
            "cpuEvictPolicy": "evictByRealLimit",
        },
        "resourceQOSStrategy": {},
        "cpuBurstStrategy": {
            "policy": "none",
            "cpuBurstPercent": 1000,
            "cfsQuotaBurstPercent": 300,
            "cfsQuotaBurstPeriodSeconds": -1,
            "sharePoolThresholdPercent": 50,
        },
        "systemStrategy": {"totalNetworkBandwidth": "0"},
        "hostApplications": [],
    }


def test_precedence() -> None:
    """The first entry that selects the node lies over the cluster's strategy, field by field."""
    config = {
        "clusterStrategy": {"enable": True, "cpuSuppressThresholdPercent": 60},
        "nodeStrategies": [
            {"name": "none", "cpuSuppressThresholdPercent": 1},
            {"name": "a", "nodeSelector": POOL, "cpuSuppressThresholdPercent": 50},
            {"name": "again", "nodeSelector": POOL, "cpuSuppressThresholdPercent": 40},
        ],
    }
    here = spec({"pool": "a"}, resource_threshold=config)["resourceUsedThresholdWithBE"]
    assert (here["enable"], here["cpuSuppressThresholdPercent"]) == (True, 50)
    assert here["memoryEvictThresholdPercent"] == 70
    elsewhere = spec({"pool": "b"}, resource_threshold=config)["resourceUsedThresholdWithBE"]
    assert elsewhere["cpuSuppressThresholdPercent"] == 60


def test_classes_are_merged_deeply() -> None:
    """An entry that changes one field of one class leaves the others as they are."""
    config = {
        "clusterStrategy": {"beClass": {"cpuQOS": {"enable": True, "groupIdentity": -1}}},
        "nodeStrategies": [{"nodeSelector": POOL, "beClass": {"cpuQOS": {"groupIdentity": 0}}}],
    }
    found = spec({"pool": "a"}, resource_qos=config)["resourceQOSStrategy"]
    assert found == {"beClass": {"cpuQOS": {"enable": True, "groupIdentity": 0}}}


def test_applications_are_taken_whole() -> None:
    """The applications of an entry take the place of the cluster's."""
    nginx = {"name": "nginx", "priority": "koord-prod", "qos": "LS"}
    config = {
        "applications": [nginx],
        "nodeConfigs": [{"nodeSelector": POOL, "applications": [{"name": "yarn"}]}, {"nodeSelector": {}}],
    }
    assert spec({"pool": "a"}, host_application=config)["hostApplications"] == [{"name": "yarn"}]
    assert spec({}, host_application=config)["hostApplications"] == []
    assert spec({}, host_application={"applications": [nginx]})["hostApplications"] == [nginx]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cpu-burst-config: is not JSON"),
        ("[]", "cpu-burst-config: [] is no JSON object"),
        ('{"clusterStrategy": []}', "cpu-burst-config.clusterStrategy: [] is no JSON object"),
        ('{"clusterStrategy": {"cpuBurstPercent": "7"}}', "cpuBurstPercent: '7' is not a whole number"),
        ('{"clusterStrategy": {"cpuBurstPercent": 7.0}}', "cpuBurstPercent: 7.0 is not a whole number"),
        ('{"clusterStrategy": {"cpuBurstPercent": 0}}', "cpuBurstPercent: 0 is out of range"),
        ('{"clusterStrategy": {"policy": "all"}}', "policy: 'all' is unknown: write one of none, "),
        ('{"nodeStrategies": {}}', "cpu-burst-config.nodeStrategies: {} is no list"),
        ('{"nodeStrategies": [7]}', "cpu-burst-config.nodeStrategies[0]: 7 is no JSON object"),
        ('{"nodeStrategies": [{"policy": 7}]}', "nodeStrategies[0].policy: 7 is not a text"),
    ],
)
def test_a_key_that_cannot_be_used(text: str, message: str) -> None:
    """It is named with its place; what was said before holds on, at first the default."""
    with pytest.raises(StrategyError) as error:
        read_key(BURST, text)
    assert message in str(error.value)
    good = read_strategies({BURST: '{"clusterStrategy": {"policy": "auto"}}'})
    later = read_strategies({BURST: text, THRESHOLD: '{"clusterStrategy": {"enable": true}}'}, good)
    assert spec_of(later, {})["cpuBurstStrategy"]["policy"] == "auto"
    assert spec_of(later, {})["resourceUsedThresholdWithBE"]["enable"] is True
    assert message in later.findings[0]
    assert later.findings[0].endswith("; what it said before is used")
    assert spec_of(read_strategies({BURST: text}), {})["cpuBurstStrategy"]["policy"] == "none"


def test_an_entry_that_cannot_be_used() -> None:
    """The cluster's strategy holds for its nodes; one without a usable selector is left out."""
    config = {
        "clusterStrategy": {"policy": "auto"},
        "nodeStrategies": [
            {"nodeSelector": {"matchLabel": {}}, "policy": "none"},
            {"nodeSelector": POOL, "policy": "none", "cpuBurstPercent": 0},
        ],
    }
    found = read_strategies({BURST: json.dumps(config)})
    assert spec_of(found, {"pool": "a"})["cpuBurstStrategy"]["policy"] == "auto"
    assert [each.rpartition("; ")[2] for each in found.findings] == [
        "the cluster's strategy is used",
        "the entry is left out",
    ]


def test_what_nobody_knows_is_handed_on() -> None:
    """A field of a newer version reaches the agent; one in other letters is the known one."""
    found = read_key(
        BURST, '{"clusterStrategy": {"Policy": "auto", "new": {"a": 1}, "cpuBurstPercent": null}}'
    )
    assert found.cluster["policy"] == "auto"
    assert found.cluster["new"] == {"a": 1}
    assert found.cluster["cpuBurstPercent"] == 1000
    assert [each.partition(": ")[2] for each in found.notes] == [
        "is taken for policy; write it so",
        "is unknown; it is handed on as it is",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["clusterStrategy", "nodeStrategies", "nodeSelector", "matchLabels", "enable", "beClass"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(KEYS)), JSON)
def test_whatever_stands_there(name: str, value: Any) -> None:
    """Each key is read, or kept: nothing crashes, and a spec has all its fields and can be written."""
    found = read_strategies({name: json.dumps(value)})
    assert spec_of(found, {"pool": "a"}).keys() == {each.spec for each in KEYS.values()}
    canonical(spec_of(found, {}))


@given(JSON, JSON)
def test_merging(lower: Any, upper: Any) -> None:
    """What lies above wins, nothing above changes nothing, and merging twice is merging once."""
    assert merged(lower, None) == lower
    once = merged(lower, upper)
    assert merged(once, upper) == once
