"""What comes out of a translation as the chart's values is such as the chart takes, whatever came in."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from webhook.scheduling.loadaware.loadsettings import AGGREGATIONS
from webhook.scheduling.translation import API_VERSION, KIND, Translation, TranslationError, translate

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
SCORED = st.fixed_dictionaries(
    {"name": st.one_of(st.sampled_from(["LoadAwareScheduling", "NodeNUMAResource"]), ODD)},
    optional={"weight": ODD},
)


def translated(name: object, scored: list[Any] | None = None, **plugins: object) -> Translation:
    """The translation of a profile with arguments of plugins."""
    profile = {
        "schedulerName": name,
        "pluginConfig": [{"name": plugin, "args": args} for plugin, args in plugins.items()],
        "plugins": {"score": {"enabled": scored or []}},
    }
    return translate({"kind": KIND, "apiVersion": API_VERSION, "profiles": [profile]})


@given(NAMES, FIT, LOAD, NUMA, st.lists(SCORED, max_size=2))
def test_the_chart_takes_the_values(name, fit, load, numa, scored):
    """Whatever a configuration says, it is refused, or the chart's schema allows all the values."""
    plugins = {"NodeResourcesFit": {"scoringStrategy": fit}, "NodeNUMAResource": numa}
    done = translated(name, scored, **plugins)
    SCHEMA.validate(done.values)
    try:
        done = translated(name, scored, **plugins, LoadAwareScheduling=load)
    except TranslationError:
        return
    SCHEMA.validate(done.values)


@pytest.mark.parametrize("name", ["Koord_Scheduler", "a" * 64, "a..b", "a\n", 5, True])
def test_a_name_that_the_chart_refuses_is_said(name):
    """The chart's scheduler keeps its own name, and whoever reads the translation learns why."""
    done = translated(name)
    assert done.values == {"scheduler": {"enabled": True}}
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
    done = translated(
        "mine", NodeResourcesFit={"scoringStrategy": {"type": "MostAllocated", "resources": resources}}
    )
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
    done = translated("mine", NodeResourcesFit={"scoringStrategy": {"type": "MostAllocated", **stated}})
    assert done.values["scheduler"]["scoringStrategy"] == {"type": "MostAllocated", "resources": values}
    assert done.without_counterpart == []
