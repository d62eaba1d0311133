"""The agent's metrics."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.agent.builders import GI, MI
from tests.agent.cluster import Cluster
from tests.agent.tree import write
from webhook.agent.metrics import PREFIX, platform_series
from webhook.agent.watched import TOPOLOGIES
from webhook.process.admin import Request

SCRAPE = Request("", "", b"")


def _samples(cluster: Cluster) -> dict[tuple[str, ...], float]:
    """Return what a scrape shows: by name and values of labels."""
    text = cluster.service.metrics(SCRAPE).body.decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_usage_in_base_units(cluster: Cluster) -> None:
    """Seconds and bytes, of the node, its system, all pods, the classes, and each pod."""
    cluster.metric()
    cluster.pod("web")
    cluster.heard()
    top = "sys/fs/cgroup/unified/kubepods/burstable/poduid-web"
    some = "some avg10=0 avg60=0 avg300=0 total=2500000\n"
    write(cluster.tree.root, {f"{top}/cpu.pressure": some + some.replace("some", "full")})
    cluster.work(30, "web")
    found = _samples(cluster)
    assert found[f"{PREFIX}_cpu_usage_seconds_total", "node"] == pytest.approx(87.0)
    assert found[f"{PREFIX}_cpu_usage_seconds_total", "system"] == pytest.approx(28.0, abs=1)
    assert found[f"{PREFIX}_memory_usage_bytes", "pods"] == 2 * GI
    assert found[f"{PREFIX}_pod_cpu_usage_seconds_total", "shop", "web", "LS"] == pytest.approx(14.5)
    assert found[f"{PREFIX}_pod_memory_usage_bytes", "shop", "web", "LS"] == 100 * MI
    assert found[f"{PREFIX}_pod_pressure_waiting_seconds_total", "shop", "web", "LS", "cpu"] == 2.5
    assert found[f"{PREFIX}_failed_reads_total",] == 0
    assert found[f"{PREFIX}_standby",] == 0
    assert found[f"{PREFIX}_writes_total", "NodeMetric"] == 1
    assert found[f"{PREFIX}_prod_reclaimable", "cpu"] == 0


def test_refused_writes_are_counted(cluster: Cluster) -> None:
    """By kind and reason."""
    fields = [{"manager": "koordlet", "fieldsV1": {"f:metadata": {}}}]
    cluster.api.put(TOPOLOGIES, "n1", metadata={"managedFields": fields})
    cluster.work(2)
    assert _samples(cluster)[f"{PREFIX}_refused_writes_total", "NodeResourceTopology", "conflict"] == 1


def test_the_platforms_two_series(cluster: Cluster) -> None:
    """With the fixed label, whole nanoseconds however many there are; YARN's while its group exists."""
    tree = cluster.tree
    usage = "sys/fs/cgroup/cpuacct/{}/cpuacct.usage"
    counters = {"kubepods": "1322136383859890057\n", "yarn": "13018477833545639\n"}
    write(tree.root, {usage.format(group): text for group, text in counters.items()})
    text = cluster.service.metrics(SCRAPE).body.decode()
    assert re.findall(r"^(?:yarn|k8s)_.*$", text, re.MULTILINE) == [
        'yarn_cpu_cgroup_use_total{node="yarn-cgroup"} 13018477833545639',
        'k8s_cpu_cgroup_use_total{node="k8s-cgroup"} 1322136383859890057',
    ]
    assert "# TYPE yarn_cpu_cgroup_use_total counter" in text
    (tree.root / usage.format("yarn")).unlink()
    assert b"yarn" not in platform_series(tree.hierarchy, "yarn")
