"""The status of a NodeMetric, and the policy in its spec."""

import datetime as dt

import pytest

from tests.agent.builders import GI, MI, node_pod
from webhook.agent.measuring.peak import Prediction
from webhook.agent.measuring.usage import Use, Window
from webhook.agent.publishing.nodemetric import CollectPolicy, Measured, read_collect_policy, status
from webhook.capacity.amounts import Amounts
from webhook.capacity.nodemetric import PodUsage, read_nodemetric
from webhook.pods.quantities import NANO

NOW = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
MEASURED = Measured(
    node=Use(3.25, 8 * GI),
    system=Use(1.0, 2 * GI),
    windows=[Window(300, {"p95": Use(3.5, 9 * GI)}, {"p95": Use(1.25, 3 * GI)})],
    pods=[(node_pod("web"), Use(0.5, 100 * MI)), (node_pod("batch", "BestEffort"), Use(0.0004, 1.6))],
    prediction=Prediction(Use(4.0, GI), Use(6.0, 3 * GI)),
)


def test_the_controller_reads_what_the_agent_writes() -> None:
    """Node, system, pods with their classes, and what is foreseen."""
    read = read_nodemetric({"status": status(MEASURED, NOW)})
    assert read.findings == ()
    assert read.update_time == NOW
    assert read.node_usage == Amounts(3250 * NANO // 1000, 8 * GI * NANO)
    assert read.system_usage == Amounts(NANO, 2 * GI * NANO)
    assert read.pods == {
        ("shop", "web"): PodUsage(Amounts(NANO // 2, 100 * MI * NANO), "koord-prod"),
        ("shop", "batch"): PodUsage(Amounts(0, 2 * NANO), "koord-batch"),
    }
    assert read.prod_reclaimable == Amounts(4 * NANO, GI * NANO)


def test_the_form_is_koordlets() -> None:
    """Sorted pods; percentiles by duration, of node and system; amounts in milli-cores and bytes."""
    found = status(MEASURED, NOW)
    assert found["updateTime"] == "2026-01-31T08:00:00Z"
    assert found["nodeMetric"]["aggregatedNodeUsages"] == [
        {"duration": "5m0s", "usage": {"p95": {"resources": {"cpu": "3500m", "memory": str(9 * GI)}}}}
    ]
    assert found["nodeMetric"]["aggregatedSystemUsages"][0]["usage"]["p95"]["resources"]["cpu"] == "1250m"
    assert [(pod["name"], pod["qos"], pod["priority"]) for pod in found["podsMetric"]] == [
        ("batch", "BE", "koord-batch"),
        ("web", "LS", "koord-prod"),
    ]
    assert found["prodPeakMetric"] == {"resource": {"resources": {"cpu": "6000m", "memory": str(3 * GI)}}}


def test_without_a_history_nothing_is_foreseen() -> None:
    """The fields are absent then, which counts as nothing reclaimable."""
    found = status(MEASURED._replace(prediction=None), NOW)
    assert "prodReclaimableMetric" not in found
    assert "prodPeakMetric" not in found


def test_the_policy_of_the_spec() -> None:
    """As the controller writes it."""
    policy = {
        "aggregateDurationSeconds": 120,
        "reportIntervalSeconds": 45,
        "nodeAggregatePolicy": {"durations": ["5m0s", "1h"]},
        "nodeMemoryCollectPolicy": "usageWithPageCache",
    }
    assert read_collect_policy({"metricCollectPolicy": policy}) == CollectPolicy(
        120.0, 45.0, (300.0, 3600.0), with_cache=True
    )


def test_least_durations() -> None:
    """A report each second would be a flood."""
    policy = {"aggregateDurationSeconds": 1, "reportIntervalSeconds": 0}
    read = read_collect_policy({"metricCollectPolicy": policy})
    assert (read.mean_seconds, read.report_seconds) == (60.0, 30.0)


@pytest.mark.parametrize("spec", [None, {}, [], {"metricCollectPolicy": None}, {"metricCollectPolicy": {}}])
def test_without_a_policy_koordlets_defaults_hold(spec: object) -> None:
    """Means of five minutes each minute; percentiles of 5, 10 and 30 minutes."""
    assert read_collect_policy(spec) == CollectPolicy(300.0, 60.0, (300.0, 600.0, 1800.0))


def test_what_cannot_be_read_is_named() -> None:
    """And is as the defaults have it, or left out."""
    policy = {
        "aggregateDurationSeconds": "300",
        "nodeAggregatePolicy": {"durations": ["5m", "soon", "48h"]},
    }
    read = read_collect_policy({"metricCollectPolicy": policy})
    assert read.mean_seconds == 300.0
    assert read.durations == (300.0,)
    assert [finding.partition(":")[0] for finding in read.findings] == [
        "spec.metricCollectPolicy.aggregateDurationSeconds",
        "spec.metricCollectPolicy.nodeAggregatePolicy.durations[1]",
        "spec.metricCollectPolicy.nodeAggregatePolicy.durations[2]",
    ]
