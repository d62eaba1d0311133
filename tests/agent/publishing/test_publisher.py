"""What an agent writes, at a fake API server."""

import json
import logging

import pytest

from tests.agent.builders import GI, MI
from tests.agent.cluster import Cluster
from tests.agent.tree import write
from tests.waiting import until
from webhook.agent.publishing.publisher import AGAIN_SECONDS
from webhook.agent.watched import NODEMETRICS, TOPOLOGIES
from webhook.cpuset.cpulist import format_cpulist
from webhook.kube.apply import CONFLICT_SECONDS
from webhook.protocol import (
    AGENT_MANAGER,
    ANNOTATION_CPU_SHARED_POOLS,
    ANNOTATION_NODE_RESERVATION,
    ANNOTATION_POD_CPU_ALLOCS,
    ANNOTATION_RESOURCE_STATUS,
)

METRIC_STATUS = f"{NODEMETRICS}/n1/status"
TOPOLOGY = f"{TOPOLOGIES}/n1"


def _writes(cluster: Cluster, path: str) -> int:
    return int(cluster.api.requests["PATCH", path])


def test_from_counters_to_the_nodemetric(cluster: Cluster) -> None:
    """After a few looks node, system and pods are there; then a report each interval."""
    cluster.metric()
    cluster.pod("web")
    cluster.heard()
    cluster.work(15, "web")
    assert cluster.status == {}
    cluster.work(15, "web")
    found = cluster.status
    assert found["updateTime"].startswith("2026-01-31T08:00:2")
    usage = found["nodeMetric"]
    assert usage["nodeUsage"] == {"resources": {"cpu": "3000m", "memory": str(8 * GI)}}
    assert usage["systemUsage"] == {"resources": {"cpu": "1000m", "memory": str(6 * GI)}}
    assert usage["aggregatedNodeUsages"] == []
    assert found["podsMetric"] == [
        {
            "namespace": "shop",
            "name": "web",
            "podUsage": {"resources": {"cpu": "500m", "memory": str(100 * MI)}},
            "priority": "koord-prod",
            "qos": "LS",
        }
    ]
    cluster.work(190, "web")
    assert _writes(cluster, METRIC_STATUS) == 4
    (window,) = cluster.status["nodeMetric"]["aggregatedNodeUsages"][:1]
    assert window["duration"] == "5m0s"
    assert set(window["usage"]) == {"avg", "p50", "p90", "p95", "p99"}


def test_nothing_is_created(cluster: Cluster) -> None:
    """The NodeMetric is the controller's: without it nothing is written there."""
    cluster.work(40)
    assert _writes(cluster, METRIC_STATUS) == 0
    assert cluster.api.objects[NODEMETRICS] == {}


def test_only_the_status_is_the_agents(cluster: Cluster) -> None:
    """By a field manager of its own; the spec is the controller's."""
    cluster.metric()
    cluster.heard()
    cluster.work(30)
    stored = cluster.api.objects[NODEMETRICS]["", "n1"]
    assert [(each["manager"], list(each["fieldsV1"])) for each in stored["metadata"]["managedFields"]] == [
        (AGENT_MANAGER, ["f:status"])
    ]
    assert stored["spec"]["metricCollectPolicy"]["reportIntervalSeconds"] == 60


@pytest.mark.parametrize("end", ["its pod ends", "its pod has finished"])
def test_where_koordlet_runs_the_agent_stands_by(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """It says so, in the log and at /readyz, and works on when koordlet is gone."""
    labels = {"labels": {"koord-app": "koordlet"}}
    cluster.metric()
    cluster.pod("koordlet-x", metadata=labels)
    cluster.heard()
    cluster.work(40)
    assert _writes(cluster, METRIC_STATUS) == _writes(cluster, TOPOLOGY) == 0
    assert caplog.messages == ["standing by: koordlet runs on this node, as pod shop/koordlet-x"]
    ready, details = cluster.service.report()
    assert ready
    assert "koordlet runs" in str(details["standby"])
    if end == "its pod ends":
        cluster.api.delete("/api/v1/pods", "koordlet-x", "shop")
    else:
        cluster.pod("koordlet-x", metadata=labels, status={"phase": "Failed"})
    until(lambda: not any(pod.koordlet and not pod.finished for pod in cluster.watched.pods_now()))
    cluster.work(10)
    assert cluster.service.report().details["standby"] == ""
    assert cluster.status == {}, "it has to look again first"
    cluster.work(15)
    assert cluster.status != {}


def test_where_somebody_else_writes_the_status_the_agent_stands_by(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Also without a pod of its own; the log says who, and what to do if he is gone."""
    fields = [{"manager": "koordlet", "operation": "Update", "fieldsV1": {"f:status": {}}}]
    cluster.metric(metadata={"managedFields": fields}, status={"updateTime": "2026-01-31T07:59:00Z"})
    cluster.heard()
    cluster.work(40)
    assert cluster.status == {"updateTime": "2026-01-31T07:59:00Z"}
    assert _writes(cluster, METRIC_STATUS) == 0
    assert "koordlet writes the status" in caplog.text
    assert "delete the NodeMetric" in caplog.text


def test_a_conflict_is_said_once_and_waited_out(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Fields of others are never forced: the next try comes ten minutes later."""
    fields = [{"manager": "topology-updater", "fieldsV1": {"f:metadata": {}}}]
    cluster.api.put(TOPOLOGIES, "n1", metadata={"managedFields": fields})
    with caplog.at_level(logging.WARNING):
        cluster.work(5)
        cluster.wait(CONFLICT_SECONDS - 6)
    assert _writes(cluster, TOPOLOGY) == 1
    assert [text for text in caplog.messages if "topology-updater" in text] == [
        f"{TOPOLOGY} is not written: its fields belong to topology-updater; end one of the two"
    ]
    cluster.work(2)
    assert _writes(cluster, TOPOLOGY) == 2


def test_the_topology_is_written_when_something_changed(cluster: Cluster) -> None:
    """CPUs given to a pod, the node's annotations, the kubelet's files; otherwise every ten minutes."""
    cluster.work(3)
    assert _writes(cluster, TOPOLOGY) == 1
    assert cluster.topology["metadata"]["ownerReferences"][0]["uid"] == "uid-n1"
    assert [zone["name"] for zone in cluster.topology["zones"]] == ["node-0"]
    given = {"annotations": {ANNOTATION_RESOURCE_STATUS: '{"cpuset": "0-1"}'}}
    requests = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    cluster.pod(
        "bound",
        "Guaranteed",
        metadata={**given, "labels": {"koordinator.sh/qosClass": "LSR"}},
        spec={"priority": 9500, "containers": [{"name": "main", "resources": requests}]},
    )
    cluster.heard()
    cluster.work(1)
    assert _writes(cluster, TOPOLOGY) == 2
    pools = json.loads(cluster.topology["metadata"]["annotations"][ANNOTATION_CPU_SHARED_POOLS])
    assert pools == [{"socket": 0, "node": 0, "cpuset": "2-3"}]
    write(
        cluster.tree.root,
        {"kubelet/cpu_manager_state": '{"policyName": "static", "entries": {"u": {"c": "2"}}}'},
    )
    cluster.work(1)
    pools = json.loads(cluster.topology["metadata"]["annotations"][ANNOTATION_CPU_SHARED_POOLS])
    assert pools == [{"socket": 0, "node": 0, "cpuset": "3"}]
    cluster.node(**{ANNOTATION_NODE_RESERVATION: '{"reservedCPUs": "3"}'})
    until(lambda: (node := cluster.watched.node) is not None and node.object["metadata"]["annotations"])
    cluster.work(1)
    assert json.loads(cluster.topology["metadata"]["annotations"][ANNOTATION_CPU_SHARED_POOLS]) == []
    before = _writes(cluster, TOPOLOGY)
    cluster.wait(AGAIN_SECONDS - 1)
    assert _writes(cluster, TOPOLOGY) == before
    cluster.wait(2)
    assert _writes(cluster, TOPOLOGY) == before + 1


def test_what_seems_pinned_is_in_the_topology_from_the_first_time(cluster: Cluster) -> None:
    """Nothing is written before it was looked for; what comes later is written then."""
    found: list[dict[str, frozenset[int]] | None] = [None]
    cluster.service.publisher._pinned = lambda: found[-1]
    cluster.work(3)
    assert cluster.topology == {}
    for cpus in ({2}, {2, 3}):
        found.append({"gone": frozenset(cpus)})
        cluster.work(2)
        (given,) = json.loads(cluster.topology["metadata"]["annotations"][ANNOTATION_POD_CPU_ALLOCS])
        assert given == {"uid": "gone", "cpuset": format_cpulist(cpus), "managedByKubelet": True}
    assert _writes(cluster, TOPOLOGY) == 2


def test_an_offline_cpu_leaves_the_topology(cluster: Cluster) -> None:
    """Within a minute."""
    cluster.work(2)
    write(cluster.tree.root, {"sys/devices/system/cpu/online": "0-2\n"})
    cluster.wait(61)
    assert [resource["capacity"] for resource in cluster.topology["zones"][0]["resources"]] == ["3"]


def test_a_machine_whose_cpus_cannot_be_read_has_no_topology(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which file; usage is published all the same."""
    (cluster.tree.root / "sys/devices/system/cpu/cpu2/topology/physical_package_id").write_text("nowhere\n")
    cluster.metric()
    cluster.heard()
    cluster.work(30)
    cluster.wait(100)
    assert cluster.topology == {}
    assert cluster.status != {}
    assert len([text for text in caplog.messages if "physical_package_id" in text]) == 1


def test_what_cannot_be_read_of_pods_is_said_once(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """With the pod's name."""
    cluster.pod("bad", metadata={"annotations": {ANNOTATION_RESOURCE_STATUS: "{"}})
    cluster.heard()
    cluster.work(5)
    assert len([text for text in caplog.messages if text.startswith("pod shop/bad")]) == 1


def test_peaks_survive_a_restart(cluster: Cluster) -> None:
    """What the next agent foresees begins with what the last one knew."""
    cluster.metric()
    cluster.pod("web", spec={"containers": [{"name": "m", "resources": {"requests": {"cpu": "2"}}}]})
    cluster.heard()
    cluster.work(130, "web")
    assert cluster.status["prodReclaimableMetric"] == {
        "resource": {"resources": {"cpu": "0m", "memory": "0"}}
    }
    cluster.wait(600)
    cluster.work(3, "web")
    kept = json.loads((cluster.state / "peaks.json").read_text())
    assert set(kept["pods"]) == {"uid-web"}
    assert set(kept["groups"]) == {"koord-prod", "system"}
