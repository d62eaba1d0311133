"""What comes out of a translation as the chart's values is such as the chart takes, whatever came in."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, ValidationError

from webhook.scheduling.loadaware.loadsettings import AGGREGATIONS
from webhook.scheduling.translation.stockplugins import POINTS, STOCK
from webhook.scheduling.translation.translate import API_VERSION, KIND, translate
from webhook.scheduling.translation.translation import Translation, TranslationError

CHART = Path(__file__).parents[2] / "charts" / "colocation-webhook"
SCHEMA = Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 101),
    st.sampled_from([0.5, 2.0, 2**40, "", "Ko_ord", "a..b", "5"]),
    st.just([]), st.just({}), st.just([1]), st.just({"a": 1}),
)  # fmt: skip
NAMES = st.one_of(st.sampled_from(["koord-scheduler", "a.b", "1", "a" * 63, "a" * 64, "-a", "A", "a\n"]), ODD)
RESOURCE = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(["cpu", "memory"])}, optional={"weight": ODD}),
    st.fixed_dictionaries({}, optional={"name": ODD, "weight": ODD, "other": ODD}),
    ODD,
)
FIT = st.fixed_dictionaries(
    {"type": st.sampled_from(["LeastAllocated", "MostAllocated"])},
    optional={"resources": st.one_of(st.lists(RESOURCE, max_size=3), ODD)},
)
FIT_ARGS = st.fixed_dictionaries({"scoringStrategy": FIT}, optional={"ignoredResources": ODD})
AGGREGATED = st.fixed_dictionaries(
    {},
    optional={
        "usageThresholds": st.one_of(st.dictionaries(st.just("cpu"), ODD), ODD),
        "usageAggregationType": st.one_of(st.sampled_from(AGGREGATIONS), ODD),
        "usageAggregatedDuration": st.one_of(st.just("5m"), ODD),
        "scoreAggregationType": st.one_of(st.sampled_from(AGGREGATIONS), ODD),
        "scoreAggregatedDuration": st.one_of(st.just("5m"), ODD),
        "kind": ODD,
    },
)
LOAD = st.fixed_dictionaries(
    {},
    optional={
        "usageThresholds": st.one_of(st.dictionaries(st.just("cpu"), ODD), ODD),
        "resourceWeights": st.one_of(st.dictionaries(st.just("cpu"), ODD), ODD),
        "dominantResourceWeight": ODD,
        "filterExpiredNodeMetrics": ODD,
        "aggregated": st.one_of(AGGREGATED, ODD),
        "supportedResources": ODD,
    },
)
NUMA = st.fixed_dictionaries(
    {}, optional={"defaultCPUBindPolicy": ODD, "scoringStrategy": st.one_of(FIT, ODD)}
)
LISTED = st.lists(
    st.fixed_dictionaries(
        {"name": st.one_of(st.sampled_from(["LoadAwareScheduling", "NodeNUMAResource", "*", *STOCK]), ODD)},
        optional={"weight": ODD},
    ),
    max_size=3,
)
PLUGINS = st.dictionaries(
    st.sampled_from(POINTS),
    st.one_of(st.fixed_dictionaries({}, optional={"enabled": LISTED, "disabled": LISTED}), ODD),
    max_size=4,
)
LEASE = {"leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceLock", "resourceName",
         "resourceNamespace"}  # fmt: skip
TOP = {"apiVersion", "kind", "parallelism", "leaderElection", "clientConnection", "enableProfiling",
       "enableContentionProfiling", "percentageOfNodesToScore", "podInitialBackoffSeconds",
       "podMaxBackoffSeconds", "profiles", "extenders", "delayCacheUntilActive"}  # fmt: skip
FIELDS = st.dictionaries(st.sampled_from([*sorted(TOP - {"apiVersion", "kind", "profiles"}), "other"]), ODD)
CONNECTION = st.dictionaries(
    st.sampled_from(["qps", "burst", "kubeconfig", "other"]),
    st.one_of(ODD, st.integers(), st.floats(), st.sampled_from([2**31 - 1, 2**31, 3.4e38, 1e39, 10**39])),
)
LOAD_AWARE = "LoadAwareScheduling"
NUMA_RESOURCE = "NodeNUMAResource"
BOTH = {"enabled": [{"name": LOAD_AWARE}, {"name": NUMA_RESOURCE}]}
CPU = {"type": "LeastAllocated", "resources": [{"name": "cpu", "weight": 1}]}


def translated(profile: dict[str, Any] | None = None, **fields: object) -> Translation:
    """The translation of a profile; ``fields``: others of the configuration."""
    given = {"schedulerName": "mine", **(profile or {})}
    return translate({"kind": KIND, "apiVersion": API_VERSION, "profiles": [given], **fields})


def configured(**plugins: object) -> list[dict[str, object]]:
    """Arguments of plugins, as a profile has them."""
    return [{"name": plugin, "args": args} for plugin, args in plugins.items()]


ARGUMENTS = st.fixed_dictionaries({"NodeResourcesFit": FIT_ARGS, NUMA_RESOURCE: NUMA})


@given(NAMES, ARGUMENTS, LOAD, PLUGINS, FIELDS, CONNECTION)
def test_the_chart_takes_the_values(name, args, load, plugins, fields, connection):
    """Whatever a configuration says, it is refused, or the chart's schema allows all the values.

    The configuration has no field that v1 does not have, and no plugin where a stock scheduler has none.
    """
    profile = {"schedulerName": name, "plugins": plugins}
    given_fields = {"clientConnection": connection, **fields}
    for loaded in ({}, {LOAD_AWARE: load}):
        try:
            done = translated({**profile, "pluginConfig": configured(**args, **loaded)}, **given_fields)
        except TranslationError:
            assert loaded
            return
        SCHEMA.validate(done.values)
        assert done.configuration.keys() <= TOP
        assert done.configuration["leaderElection"].keys() <= LEASE
        assert done.configuration["leaderElection"]["resourceLock"] == "leases"
        for point, lists in done.configuration["profiles"][0].get("plugins", {}).items():
            assert all(point in STOCK[each["name"]] for each in lists.get("enabled", ()))


@pytest.mark.parametrize(
    ("plugins", "values", "said"),
    [
        ({"filter": BOTH, "score": BOTH}, {}, ""),
        ({"multiPoint": BOTH}, {}, ""),
        ({"multiPoint": BOTH, "filter": {"disabled": [{"name": "*"}], **BOTH}}, {},
         "all plugins, disabled at filter"),
        ({"filter": BOTH}, {"weights": {"loadAware": 0, "cpuSets": 0}}, ""),
        ({"multiPoint": BOTH, "score": {"disabled": [{"name": NUMA_RESOURCE}]}},
         {"weights": {"cpuSets": 0}}, ""),
        ({"multiPoint": BOTH, "filter": {"disabled": [{"name": LOAD_AWARE}]}},
         {"loadAware": {"usageThresholds": {"cpu": 0, "memory": 0}}}, ""),
        ({"multiPoint": BOTH, "filter": {"disabled": [{"name": NUMA_RESOURCE}]}}, {},
         "NodeNUMAResource, at score alone"),
        ({"filter": {"enabled": BOTH["enabled"][:1]}, "preBind": {"enabled": BOTH["enabled"][1:]}},
         {"weights": {"loadAware": 0}, "checks": {"cpuSets": False}}, ""),
        ({"reserve": BOTH}, {"checks": {"load": False, "cpuSets": False}}, ""),
        ({"multiPoint": {"enabled": [{"name": LOAD_AWARE, "weight": 3}, {"name": NUMA_RESOURCE}]},
          "score": {"enabled": [{"name": NUMA_RESOURCE, "weight": 2}]}},
         {"weights": {"loadAware": 3, "cpuSets": 2}}, ""),
        ({"multiPoint": {"enabled": [{"name": each, "weight": 5} for each in (LOAD_AWARE, NUMA_RESOURCE)]},
          "score": {"enabled": [{"name": LOAD_AWARE}, {"name": NUMA_RESOURCE, "weight": 0}]}}, {}, ""),
        ({"filter": {"enabled": [{"name": LOAD_AWARE, "weight": 3}, {"name": NUMA_RESOURCE}]}},
         {"weights": {"loadAware": 0, "cpuSets": 0}}, ""),
    ],
)  # fmt: skip
def test_our_plugins_are_on_where_a_profile_has_them(plugins, values, said):
    """The values look at load and CPU sets at those of filter and score where the plugin was enabled."""
    done = translated(
        {"plugins": plugins, "pluginConfig": configured(NodeResourcesFit={"scoringStrategy": CPU})}
    )
    SCHEMA.validate(done.values)
    assert done.values == {
        "scheduler": {"enabled": True, "name": "mine", "scoringStrategy": CPU, **values},
        "cpusets": {"enabled": True},
    }
    assert [line.partition(":")[0] for line in done.without_counterpart] == ([said] if said else [])


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({}, {LOAD_AWARE: "enabled at neither filter nor score", NUMA_RESOURCE: "enabled nowhere"}),
        ({"filter": {"disabled": BOTH["enabled"]}},
         {LOAD_AWARE: "enabled at neither filter nor score", NUMA_RESOURCE: "enabled nowhere"}),
        ({"preScore": BOTH},
         {LOAD_AWARE: "enabled at neither filter nor score", NUMA_RESOURCE: "enabled nowhere"}),
    ],
)  # fmt: skip
def test_arguments_of_our_plugins_that_are_off_are_said(plugins, said):
    """A profile's arguments switch nothing on: nobody looks at load or at CPU sets, and that is said."""
    args = configured(
        **{LOAD_AWARE: {"usageThresholds": {"cpu": 70}}, NUMA_RESOURCE: {"scoringStrategy": CPU}}
    )
    done = translated({"plugins": plugins, "pluginConfig": args})
    assert done.scheduler["checks"] == {"load": False}
    assert "loadAware" not in done.scheduler
    assert "cpusets" not in done.values
    found = {line.partition(":")[0]: line for line in done.without_counterpart}
    assert found.keys() == said.keys()
    assert all(f"{said[name]}: its arguments are left out" in line for name, line in found.items())


def test_score_alone_keeps_what_scores():
    """Of the arguments those go by which pods are kept from nodes."""
    args = {
        "usageThresholds": {"cpu": 70}, "prodUsageThresholds": {"cpu": 60}, "dominantResourceWeight": 1,
        "aggregated": {"usageThresholds": {"cpu": 5}, "usageAggregationType": "p95",
                       "scoreAggregationType": "p50"},
    }  # fmt: skip
    done = translated({"plugins": {"score": BOTH}, "pluginConfig": configured(**{LOAD_AWARE: args})})
    assert done.scheduler["loadAware"] == {
        "usageThresholds": {"cpu": 0, "memory": 0}, "dominantResourceWeight": 1,
        "aggregated": {"scoreAggregationType": "p50"},
    }  # fmt: skip


ONLY = "only in the configuration: the chart has no value for it"


@pytest.mark.parametrize(
    ("profile", "fields", "said"),
    [
        ({"pluginConfig": configured(NodeResourcesFit={"ignoredResourceGroups": ["a"],
                                                       "ignoredResources": ["b"]})},
         {}, ["NodeResourcesFit, ignoredResourceGroups", "NodeResourcesFit, ignoredResources"]),
        ({"pluginConfig": configured(InterPodAffinity={"hardPodAffinityWeight": 50},
                                     PodTopologySpread={"defaultingType": "List", "defaultConstraints": []},
                                     DefaultPreemption={"minCandidateNodesPercentage": 10})},
         {}, ["InterPodAffinity, hardPodAffinityWeight", "PodTopologySpread, defaultingType",
              "PodTopologySpread, defaultConstraints", "DefaultPreemption, minCandidateNodesPercentage"]),
        ({"plugins": {"score": {"enabled": [{"name": "NodeResourcesFit", "weight": 20},
                                            {"name": "ImageLocality"}, {"name": "NodeAffinity"},
                                            {"name": "TaintToleration", "weight": 3}],
                                "disabled": [{"name": "NodeResourcesBalancedAllocation"},
                                             {"name": "NodeAffinity"}]}}},
         {}, ["NodeResourcesFit, weight 20", "NodeAffinity, weight 1",
              "NodeResourcesBalancedAllocation, disabled at score"]),
        ({"plugins": {"filter": {"enabled": [{"name": "NodeName"}], "disabled": [{"name": "*"}]},
                      "permit": {"enabled": [{"name": "GangScheduling"}]}}},
         {}, ["all plugins but NodeName, disabled at filter", "GangScheduling, enabled at permit"]),
        ({}, {"podMaxBackoffSeconds": 3, "podInitialBackoffSeconds": 1, "parallelism": 8,
              "enableProfiling": True},
         ["podMaxBackoffSeconds", "podInitialBackoffSeconds", "parallelism", "enableProfiling"]),
        ({}, {"clientConnection": {"qps": 200, "burst": 400, "contentType": "application/json"}},
         ["clientConnection.contentType"]),
        ({}, {"clientConnection": {"qps": -1, "burst": 0}},
         ["clientConnection.qps", "clientConnection.burst"]),
        ({}, {"leaderElection": {"leaderElect": False, "leaseDuration": "30s"}},
         ["leaderElection.leaderElect False", "leaderElection.leaseDuration"]),
    ],
)  # fmt: skip
def test_what_the_chart_has_no_value_for_is_said(profile, fields, said):
    """It stands in the configuration, and one line each says that it stands nowhere else."""
    done = translated(profile, **fields)
    SCHEMA.validate(done.values)
    assert sorted(done.without_counterpart) == sorted(f"{each}: {ONLY}" for each in said)
    for name, value in fields.items():
        assert (
            done.configuration[name].items() >= value.items()
            if isinstance(value, dict)
            else (done.configuration[name] == value)
        )
    assert done.configuration["profiles"][0].get("pluginConfig") == profile.get("pluginConfig")


def test_the_rate_of_calls_is_a_value():
    """The chart has values for it."""
    done = translated(clientConnection={"qps": 200, "burst": 400})
    assert done.scheduler["clientConnection"] == {"qps": 200, "burst": 400}
    assert done.without_counterpart == []


@pytest.mark.parametrize(
    ("profile", "fields", "said"),
    [
        ({}, {"healthzBindAddress": "0.0.0.0:10251"},
         "healthzBindAddress: v1 has no such field; a scheduler serves"),
        ({}, {"metricsBindAddress": ""}, "metricsBindAddress: v1 has no such field; a scheduler serves"),
        ({}, {"algorithmSource": {"provider": "x"}}, "algorithmSource: v1 has no such field"),
        ({}, {"leaderElection": {"lockObjectName": "x"}},
         "leaderElection.lockObjectName: v1 has no such field"),
        ({}, {"clientConnection": {"qsp": 1}}, "clientConnection.qsp: v1 has no such field"),
        ({"name": "x"}, {}, "profiles[0].name: v1 has no such field"),
        ({"percentageOfNodesToScore": 5}, {},
         "profiles[0].percentageOfNodesToScore 5: left out: an extender sees"),
        ({"plugins": {"filters": {}}}, {}, "plugins.filters: a stock kube-scheduler 1.37 has no such point"),
        ({"plugins": {"filter": {"enabled": [{"name": "GangScheduling"}]}}}, {},
         "GangScheduling, at filter: a stock kube-scheduler 1.37 does not have it there"),
        ({"plugins": {"filter": {"enabled": [{"name": "EBSLimits"}]}}}, {},
         "EBSLimits: a stock kube-scheduler 1.37 has no such plugin"),
        ({"pluginConfig": configured(Coscheduling={}, Theirs={}),
          "plugins": {"filter": {"enabled": [{"name": "Theirs"}]}}}, {},
         "Coscheduling: enabled nowhere: its arguments are left out; all-or-nothing starts"),
        ({"pluginConfig": configured(DeviceShare={"allocator": "default"})}, {},
         "DeviceShare: enabled nowhere: its arguments are left out; shares of GPUs"),
    ],
)  # fmt: skip
def test_what_no_stock_scheduler_has_is_left_out_and_said(profile, fields, said):
    """A scheduler would not start with it, or would ignore it without a word."""
    done = translated(profile, **fields)
    assert sum(line.startswith(said) for line in done.without_counterpart) == 1
    assert len(set(done.without_counterpart)) == len(done.without_counterpart)
    text = json.dumps(done.configuration)
    gone = said.partition(":")[0].partition(",")[0].rpartition(".")[2].partition(" ")[0]
    assert f'"{gone}"' not in text or gone == "percentageOfNodesToScore"
    assert "percentageOfNodesToScore" not in done.configuration["profiles"][0]


def test_another_lock_becomes_a_lease():
    """Schedulers of today know no other, and the change is said."""
    done = translated(leaderElection={"resourceLock": "endpointsleases"})
    assert done.configuration["leaderElection"]["resourceLock"] == "leases"
    (line,) = [line for line in done.taken_over if "resourceLock" in line]
    assert "leases, not 'endpointsleases'" in line
    assert not any("resourceLock" in line for line in translated().taken_over)


def test_what_every_scheduler_needs_stays():
    """Where a profile had only Koordinator's plugins for it, its own ones order and bind pods."""
    off = {"disabled": [{"name": "*"}], "enabled": [{"name": "Coscheduling"}, {"name": "NodeResourcesFit"}]}
    kept = translated({"plugins": {"multiPoint": off}}).configuration["profiles"][0]["plugins"]
    assert kept["multiPoint"] == {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}
    assert kept["queueSort"] == {"enabled": [{"name": "PrioritySort"}]}
    assert kept["bind"] == {"enabled": [{"name": "DefaultBinder"}]}
    queue = {"disabled": [{"name": "*"}], "enabled": [{"name": "Coscheduling"}]}
    assert "plugins" not in translated({"plugins": {"queueSort": queue}}).configuration["profiles"][0]


@pytest.mark.parametrize(
    ("field", "most", "refused"),
    [
        ("burst", 2**31 - 1, [2**31, -1, 1.5, "5", True, math.nan]),
        ("qps", 3.4028234663852886e38, [1e39, 10**39, -1e39, math.inf, math.nan, "5", False]),
    ],
)
def test_a_number_of_calls_that_no_scheduler_takes_is_left_out(field, most, refused):
    """Of an int32 and a float32: neither the configuration has it nor the values, and that is said."""
    done = translated(clientConnection={field: most})
    assert done.scheduler["clientConnection"] == done.configuration["clientConnection"] == {field: most}
    SCHEMA.validate(done.values)
    for number in refused:
        done = translated(clientConnection={field: number})
        assert "clientConnection" not in done.scheduler
        assert "clientConnection" not in done.configuration
        (line,) = done.without_counterpart
        assert line.startswith(
            f"clientConnection.{field} {number!r}: left out: a kube-scheduler does not start"
        )
    with pytest.raises(ValidationError):
        SCHEMA.validate({"scheduler": {"clientConnection": {field: refused[0]}}})


@pytest.mark.parametrize("name", ["Koord_Scheduler", "a" * 64, "a..b", "a\n", 5, True])
def test_a_name_that_the_chart_refuses_is_said(name):
    """The chart's scheduler keeps its own name, and whoever reads the translation learns why."""
    done = translated({"schedulerName": name})
    assert "name" not in done.scheduler
    (line,) = done.without_counterpart
    assert line.startswith(f"schedulerName {name!r}: ")
    assert "scheduler.name is a DNS subdomain name, 63 characters at most" in line


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([{"name": "cpu", "weight": 101}], "resources[0].weight 101 of cpu: "),
        ([{"name": "cpu"}, {"name": "memory", "weight": -1}], "resources[1].weight -1 of memory: "),
        ([{"name": "cpu", "weight": 1.5}], "resources[0].weight 1.5 of cpu: "),
        ([{"name": "cpu", "weight": "1"}], "resources[0].weight '1' of cpu: "),
        ([{"weight": 1}], "resources[0] {'weight': 1}: "),
        ([{"name": "cpu", "wait": 1}], "resources[0] {'name': 'cpu', 'wait': 1}: "),
        ("cpu", "resources 'cpu': "),
    ],
)
def test_resources_that_the_chart_refuses_are_said(resources, said):
    """The chart's strategy keeps its default; the field, its value and the remedy are said."""
    fit = {"scoringStrategy": {"type": "MostAllocated", "resources": resources}}
    done = translated({"pluginConfig": configured(NodeResourcesFit=fit)})
    assert "scoringStrategy" not in done.values["scheduler"]
    (line,) = done.without_counterpart
    assert line.startswith(
        f"NodeResourcesFit, scoringStrategy.{said}scheduler.scoringStrategy is left at its default; "
    )
    assert "write" in line


@pytest.mark.parametrize(
    ("stated", "values"),
    [
        ({"resources": [{"name": "cpu", "weight": 0}, {"name": "memory"}]},
         [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]),
        ({"resources": None}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_what_is_not_stated_is_as_a_scheduler_takes_it(stated, values):
    """A weight of 0 and none count 1; without resources a scheduler's default holds, not the chart's."""
    fit = {"scoringStrategy": {"type": "MostAllocated", **stated}}
    done = translated({"pluginConfig": configured(NodeResourcesFit=fit)})
    assert done.values["scheduler"]["scoringStrategy"] == {"type": "MostAllocated", "resources": values}
    assert done.without_counterpart == []
