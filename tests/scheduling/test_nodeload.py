"""Load awareness against a second reading of the specification, with fractions and one pod at a time."""

import pytest
from hypothesis import event, given

from tests.scheduling.load_model import NOW, PLACES, moment, works
from webhook.protocol import BATCH, LABEL_PRIORITY_CLASS, PROD
from webhook.scheduling.loadaware.loadsettings import LoadSettingsError, read_load_settings
from webhook.scheduling.loadaware.nodeload import judge, passing, scores, why_not
from webhook.scheduling.loadaware.nodeshape import read_shape
from webhook.scheduling.loadaware.nodeusage import read_usage
from webhook.scheduling.loadaware.podload import read_assigned, read_pod

CPU = "cpu"
HOT = "node(s) cpu usage exceed threshold"


def pod(name: str, milli: int, *, of: str = PROD, scheduled: int = 3600, phase: str = "Running") -> dict:
    """A pod that requests so many milli-cores, scheduled so many seconds ago."""
    asked = {CPU: f"{milli}m"} if of != BATCH else {"kubernetes.io/batch-cpu": str(milli)}
    since = {"type": "PodScheduled", "status": "True", "lastTransitionTime": moment(scheduled)}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {LABEL_PRIORITY_CLASS: of}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "c", "resources": {"requests": asked}}]},
        "status": {"phase": phase, "conditions": [since]},
    }


def metric(usage: int, age: int = 10, pods: dict[str, tuple[int, str]] | None = None) -> dict:
    """A NodeMetric: the node's usage in milli-cores, its age in seconds, and pods' usages and classes."""
    resources = {"resources": {CPU: f"{usage}m", "memory": "1Gi"}}
    measured = [
        {"name": name, "namespace": "shop", "priority": of, "podUsage": {"resources": {CPU: f"{used}m"}}}
        for name, (used, of) in (pods or {}).items()
    ]
    return {
        "status": {
            "updateTime": moment(age),
            "nodeMetric": {"nodeUsage": resources},
            "podsMetric": measured,
        }
    }


NODE = {"metadata": {"name": "node-1"}, "status": {"allocatable": {CPU: "10", "memory": "64Gi"}}}


def judged(incoming: dict, nodemetric: dict | None, pods: list[dict], args: dict, node: dict = NODE):
    """How we judge the node, and read the pod, by these settings."""
    settings, now = read_load_settings(args), NOW.timestamp()
    usage = read_usage(nodemetric, settings.resources) if nodemetric is not None else None
    assigned = [each for p in pods if (each := read_assigned(p, settings, now))]
    load = judge(read_shape(node, settings.resources), usage, assigned, settings)
    return load, read_pod(incoming, settings, now), settings


def answered(*of):
    """Our reason and score; see ``judged``."""
    load, mine, settings = judged(*of)
    now = NOW.timestamp()
    reason = why_not(load, mine, settings, now)
    quick = passing({"n": load}, ["n"], mine, now)
    more = settings.schedule_when_expired and not reason
    assert more or bool(quick) == (not reason), "the quick way for many nodes says the same"
    return reason, next(scores({"n": load}, ["n"], mine, settings, now))


@given(PLACES, works("new"))
def test_model(place, new):
    """Filter, score and what is in use are what the specification says, reckoned anew with fractions."""
    node, nodemetric = place.written()
    of = new.written(), nodemetric, [each.written() for each in place.pods], place.args, node
    reason, score = place.answers(new)
    event(reason or "fits")
    event(f"score {'0' if not score else 'above 0'}")
    assert answered(*of) == (reason, score)
    load, mine, _ = judged(*of)
    side = load.side(prod=mine.prod)
    assert (side.filter_use, side.score_use, mine.estimate) == place.uses(new)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0", None), ("-5", 120), ("soon", 120), ("1.5", 120)]
)
def test_seconds_that_a_pod_states(text, seconds):
    """They replace those that hold for all pods; none counts of what is negative or no whole number."""
    noted = pod("new", 1000, scheduled=600)
    noted["metadata"]["annotations"] = {
        "scheduling.koordinator.sh/load-estimated-seconds-after-pod-scheduled": text
    }
    args = {"allowCustomizeEstimation": True, "estimatedSecondsAfterPodScheduled": 120}
    _, read, _ = judged(noted, None, [], args)
    assert read.estimated_until == (0.0 if seconds is None else NOW.timestamp() - 600 + seconds)


def test_no_metric_takes_any_pod():
    """A node without a metric takes any pod, and has the lowest score."""
    assert answered(pod("new", 6000), None, [], {}) == ("", 0)


def test_nonsense_in_a_metric_is_not_there():
    """Amounts that are negative or no quantities, and lists that are none, neither fail nor fill a node."""
    broken = {
        "spec": {"metricCollectPolicy": {"reportIntervalSeconds": "x"}},
        "status": {
            "updateTime": moment(1),
            "nodeMetric": {
                "nodeUsage": {"resources": {CPU: "-3", "memory": []}},
                "aggregatedNodeUsages": [{"duration": "soon", "usage": {"p95": {"resources": {CPU: 1}}}}, 3],
            },
            "podsMetric": {"a": 1},
        },
    }
    assert answered(pod("new", 1000), broken, [pod("old", 1000)], {})[0] == ""


def test_metric_from_the_future_is_not_expired():
    """A clock that is ahead on the node does not close it."""
    assert answered(pod("new", 1000), metric(1000, age=-3600), [], {})[0] == ""


def test_raw_allocatable_counts_where_more_is_advertised():
    """What a node really has decides, not what it advertises."""
    amplified = {
        **NODE,
        "metadata": {"annotations": {"node.koordinator.sh/raw-allocatable": '{"cpu": "5"}'}},
    }
    assert answered(pod("new", 1000), metric(3000), [], {})[0] == ""
    reason, _ = answered(pod("new", 1000), metric(3000), [], {}, amplified)
    assert reason == HOT


def thresholds(text: str) -> dict:
    """The node with such an annotation."""
    return {**NODE, "metadata": {"annotations": {"scheduling.koordinator.sh/usage-thresholds": text}}}


def test_thresholds_of_a_node_hold_there():
    """They replace those that hold for all nodes, and an empty object replaces nothing."""
    for text, fits in (
        ('{"usageThresholds": {"cpu": 90}}', True),
        ('{"usageThresholds": {"cpu": 0}}', True),
        ('{"usageThresholds": {"cpu": null}}', True),
        ('{"usageThresholds": {"cpu": null, "memory": 80}}', True),
        ('{"usageThresholds": {"memory": null, "cpu": 60}}', False),
        ('{"usageThresholds": {"cpu": 90}, "aggregatedUsage": {"usageAggregatedDuration": null}}', True),
        ('{"usageThresholds": {}}', False),
        ('{"usageThresholds": null, "prodUsageThresholds": {}}', False),
    ):
        assert answered(pod("new", 1000), metric(7000), [], {}, thresholds(text))[0] == ("" if fits else HOT)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"usageThresholds": {"cpu": "65"}}', "usageThresholds['cpu']: '65'"),
        ('{"usageThresholds": {"cpu": -5}}', "usageThresholds['cpu']: -5"),
        ('{"usageThresholds": {"cpu": 65.5}}', "usageThresholds['cpu']: 65.5"),
        ('{"usageThresholds": {"cpu": true}}', "usageThresholds['cpu']: True"),
        ('{"usageThresholds": {"cpu": null, "memory": "1"}}', "usageThresholds['memory']: '1'"),
        ('{"usageThresholds": {"cpu": 99999999999999999999}}', "usageThresholds['cpu']: 9"),
        ('{"usageThresholds": {"cpu": 90, "memory": "95"}}', "usageThresholds['memory']: '95'"),
        (r'{"usageThresholds": {"\ud800": "65"}}', r"usageThresholds['\ud800']: '65'"),
        ('{"usageThresholds": {"cpu": 90}, "prodUsageThresholds": [1]}', "prodUsageThresholds: [1]"),
        ('{"usageThresholds": {"cpu": 90}, "aggregatedUsage": 3}', "aggregatedUsage: 3"),
        (
            '{"aggregatedUsage": {"usageThresholds": {"cpu": -1}, "usageAggregationType": "p95"}}',
            "aggregatedUsage.usageThresholds['cpu']: -1",
        ),
        (
            '{"usageThresholds": {"cpu": 90}, "aggregatedUsage": {"usageAggregationType": 7}}',
            "aggregatedUsage.usageAggregationType: 7",
        ),
        (
            '{"aggregatedUsage": {"usageAggregationType": "p95", "usageAggregatedDuration": "soon"}}',
            "aggregatedUsage.usageAggregatedDuration: 'soon'",
        ),
        (
            '{"usageThresholds": {"cpu": 90}, "aggregatedUsage": {"usageAggregatedDuration": ""}}',
            "aggregatedUsage.usageAggregatedDuration: ''",
        ),
        (
            '{"usageThresholds": {"cpu": 90}, "aggregatedUsage": {"usageAggregatedDuration": 300}}',
            "aggregatedUsage.usageAggregatedDuration: 300",
        ),
        ("[65]", "'[65]': write an object"),
        ("{", "'{': write an object"),
    ],
)
def test_broken_thresholds_of_a_node_switch_nothing_off(text, field):
    """One value that cannot be meant, and the annotation is not there: what holds for all nodes does here."""
    broken = thresholds(text)
    assert answered(pod("new", 1000), metric(7000), [], {}, broken)[0] == HOT
    assert answered(pod("new", 1000), metric(1000), [], {}, broken)[0] == ""
    problem = read_shape(broken, ("cpu", "memory")).thresholds.problem
    assert problem.startswith("annotation scheduling.koordinator.sh/usage-thresholds counts as absent: ")
    assert field in problem
    assert ": write " in problem


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"usageThresholds": {"cpu": -1}}, r"loadAware.usageThresholds\[cpu\]: -1"),
        ({"usageThresholds": {"cpu": 101}}, r"whole number from 0 to 100"),
        ({"usageThresholds": [65]}, "loadAware.usageThresholds"),
        ({"usageThreshold": {"cpu": 65}}, "loadAware.usageThreshold: .* unknown"),
        ({"nodeMetricExpirationSeconds": True}, "loadAware.nodeMetricExpirationSeconds"),
        ({"filterExpiredNodeMetrics": "no"}, "loadAware.filterExpiredNodeMetrics"),
        ({"aggregated": {"usageAggregationType": "p42"}}, "loadAware.aggregated.usageAggregationType"),
        ({"aggregated": {"usageAggregationType": "p95", "usageAggregatedDuration": "x"}}, "no duration"),
        ({"aggregated": 3}, "loadAware.aggregated"),
        ([], "loadAware: must be an object"),
    ],
)
def test_wrong_settings_are_named(args, field):
    """A setting that cannot be meant is refused with its field, its value and what to write."""
    with pytest.raises(LoadSettingsError, match=field):
        read_load_settings(args)
