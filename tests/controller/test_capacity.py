"""The capacity controller at a fake API server."""

import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.capacity.cluster import batch_pod, config, metric, node, ours, pod
from tests.controller.cluster import (
    BATCH_CPU,
    CONFIGMAPS,
    LEASES,
    METRICS,
    NODES,
    PODS,
    Cluster,
    heard,
    taker_of,
)
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.controller.service import ControllerService
from webhook.controller.withdrawal import withdraw
from webhook.kube.cache.reflector import watching
from webhook.kube.lease import Lease


def test_from_a_metric_to_the_node(cluster: Cluster) -> None:
    """A NodeMetric is made for each node; when it is filled, the node says what it offers."""
    cluster.controller.step()
    made = cluster.api.objects[METRICS]["", "node-1"]
    assert made["spec"]["metricCollectPolicy"]["reportIntervalSeconds"] == 60
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Node"
    assert cluster.offers() == {}
    heard(cluster, {**metric(("a/web", "2", "1Gi")), "spec": made["spec"]})
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "17200"
    before = cluster.api.requests["PATCH", f"{NODES}/node-1/status"]
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert cluster.api.requests["PATCH", f"{NODES}/node-1/status"] == before == 1


def test_the_policy_of_a_metric_is_kept(cluster: Cluster) -> None:
    """Another interval in the configuration reaches the NodeMetric."""
    heard(cluster, {**metric(), "spec": {"metricCollectPolicy": {"reportIntervalSeconds": 7, "more": 1}}})
    cluster.controller.step()
    kept = cluster.api.objects[METRICS]["", "node-1"]["spec"]["metricCollectPolicy"]
    assert kept["reportIntervalSeconds"] == 60


def test_what_is_offered_is_added_up_for_a_scrape(cluster: Cluster) -> None:
    """Nodes by state, and the sum of what they offer; nothing where another replica publishes."""
    registry = cluster.service.registry

    def shown(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"colocation_webhook_capacity_{name}", labels)

    heard(cluster, metric(("a/web", "2", "1Gi")))
    cluster.controller.step()
    assert shown("nodes", state="applied") == 1
    assert shown("offered", resource=BATCH_CPU) == 17200
    taker_of(cluster).seize(60)
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert shown("nodes", state="applied") == 0
    assert shown("offered", resource=BATCH_CPU) == 0


def test_late_metrics(cluster: Cluster) -> None:
    """Without a word for so long: what bound pods request; after that nothing, once they have ended."""
    heard(cluster, metric(), batch_pod("a/b", "700"))
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"
    cluster.pass_seconds(200)
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "700"
    cluster.api.delete(PODS, "b", "a")
    until(lambda: not cluster.state.pods.on_node("node-1"))
    cluster.pass_seconds(800)
    cluster.controller.step()
    assert cluster.offers() == {}
    assert cluster.api.objects[NODES]["", "node-1"]["metadata"]["managedFields"] == []


def test_switched_off(cluster: Cluster) -> None:
    """A configuration that disables colocation takes the figures off; a broken one changes nothing."""
    heard(cluster, metric())
    cluster.controller.step()
    good = cluster.offers()
    for data in ({"colocation-config": "{"}, {"colocation-config": '{"degradeTimeMinutes": 0}'}):
        cluster.put({**config(), "data": data})
        cluster.pass_seconds(20)
        cluster.controller.step()
        assert cluster.offers() == good
    cluster.api.delete(CONFIGMAPS, "slo-controller-config", "k")
    until(lambda: not cluster.state.configurations.values)
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert cluster.offers() == good
    heard(cluster, config(enable=False))
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert cluster.offers() == {}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (409, 'Apply failed with 1 conflict: conflict with "koord-manager" using v1: .status.allocatable'),
        (403, "no"),
        (422, "no"),
    ],
)
def test_one_nodes_refusal(cluster: Cluster, caplog: Any, status: int, message: str) -> None:
    """A node that is refused costs that node only, and is left alone for a while; an owner is named."""
    other = node()
    other["metadata"]["name"] = "node-2"
    measured = metric()
    measured["metadata"] = {"name": "node-2"}
    heard(cluster, other, metric(), measured)
    path = f"{NODES}/node-1/status"
    cluster.api.failures["PATCH", path] = [(status, {"kind": "Status", "message": message})]
    cluster.controller.step()
    assert cluster.offers() == {}
    assert cluster.offers("node-2")[BATCH_CPU] == "19200"
    assert ("belong to koord-manager" in caplog.text) is (status == 409)
    cluster.pass_seconds(59)
    cluster.controller.step()
    assert cluster.api.requests["PATCH", path] == 1
    cluster.pass_seconds(542)
    heard(cluster, metric(at=cluster.now.isoformat()))
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"


def test_koord_manager(cluster: Cluster) -> None:
    """While Koordinator's controller renews its Lease in some namespace, ours stands by and says so."""
    heard(cluster, metric())
    spec = {"holderIdentity": "x", "renewTime": cluster.now.isoformat()}
    cluster.api.put(LEASES, "koordinator-manager", "koordinator-system", spec=spec)
    until(lambda: cluster.state.leases.values)
    cluster.controller.step()
    assert cluster.offers() == {}
    report = cluster.service.checks["capacity"]()
    assert report.ready
    assert "koord-manager renews its Lease koordinator-system/koordinator-manager" in str(
        report.details["standby"]
    )
    cluster.pass_seconds(61)
    heard(cluster, metric(at=cluster.now.isoformat()))
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"


def test_another_leader_takes_over(cluster: Cluster) -> None:
    """A second replica waits for the Lease, goes on from what is published, and writes nothing twice."""
    heard(cluster, metric(("a/web", "2", "1Gi")))
    cluster.controller.step()
    first = cluster.controller
    writes = cluster.api.requests["PATCH", f"{NODES}/node-1/status"]
    state = cluster.state
    lease = Lease(state.api, "n", "l", identity="two", clock=lambda: cluster.seconds, now=lambda: cluster.now)
    cluster.service = ControllerService(state, lease, CollectorRegistry())
    second = cluster.service.capacity
    second.step()
    assert second.standby == "not elected"
    cluster.pass_seconds(31)
    second.step()
    assert second.standby == ""
    assert cluster.api.requests["PATCH", f"{NODES}/node-1/status"] == writes
    first.step()
    assert first.standby == "not elected"


def test_withdraw(cluster: Cluster) -> None:
    """The Lease is taken from whoever publishes; nodes keep only what bound pods request."""
    other = node()
    other["metadata"]["name"] = "node-2"
    heard(cluster, other, metric(), batch_pod("a/b", "700"), pod("a/web", {"cpu": "1"}))
    measured = metric()
    measured["metadata"] = {"name": "node-2"}
    heard(cluster, measured)
    cluster.controller.step()
    until(lambda: all(known.owned for known in cluster.state.nodes.values.values()))
    cluster.service._stop.set()  # no wait for the last publisher
    taker = taker_of(cluster)
    assert withdraw(cluster.state, taker, cluster.service._stop) == (["node-1"], [])
    assert cluster.offers() == {BATCH_CPU: "700"}
    assert cluster.offers("node-2") == {}
    cluster.pass_seconds(11)
    cluster.controller.step()
    assert cluster.controller.standby == "not elected"


def second_node() -> dict[str, Any]:
    """Return another node."""
    other = node()
    other["metadata"]["name"] = "node-2"
    return other


@pytest.mark.parametrize("status", [404, 409, 422])
def test_withdraw_goes_on_after_a_refusal(cluster: Cluster, status: int) -> None:
    """A node that refuses, or that was deleted, costs no other; one that refuses is named."""
    shares = {"cpuPercent": 25, "memoryPercent": 25}
    heard(cluster, second_node(), config(**ours(policy="static", static=shares)))
    cluster.controller.step()
    until(lambda: all(known.owned for known in cluster.state.nodes.values.values()))
    cluster.service._stop.set()
    cluster.api.failures["PATCH", f"{NODES}/node-1/status"] = [(status, {"kind": "Status", "message": "no"})]
    taker = taker_of(cluster)
    left = withdraw(cluster.state, taker, cluster.service._stop)
    assert cluster.offers("node-2") == {}
    assert left.kept == []
    assert [each.split(":")[0] for each in left.refused] == ([] if status == 404 else ["node-1"])


@pytest.mark.parametrize(
    "wrong",
    [
        config(updateTimeThresholdSeconds=10**15),
        config(metricReportIntervalSeconds=10**15),
        {**metric(at="9999-12-31T23:59:59Z")},
        {**metric(status={"podsMetric": [7], "nodeMetric": 3})},
    ],
)
def test_absurd_values_cost_their_node_only(cluster: Cluster, wrong: dict[str, Any], caplog: Any) -> None:
    """Intervals of millions of years and times at the end of the calendar end in no traceback."""
    measured = metric()
    measured["metadata"] = {"name": "node-2"}
    first = [] if wrong["kind"] == "NodeMetric" else [metric()]
    heard(cluster, second_node(), measured, *first, wrong)
    cluster.controller.step()
    cluster.controller.step()
    assert cluster.offers("node-2").keys() == {
        f"kubernetes.io/{of}-{what}" for of in ("batch", "mid") for what in ("cpu", "memory")
    }
    assert "Traceback" not in caplog.text


def test_a_floor_that_passes_what_is_published(cluster: Cluster) -> None:
    """Pods that were bound by an older figure are counted at once, not by thresholds."""
    heard(cluster, metric(("a/web", "9600m", "1Gi")), batch_pod("a/b", "9000"))
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "9600"
    heard(cluster, batch_pod("a/c", "1500"))
    cluster.pass_seconds(10)
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "10500"


def test_steps_are_of_what_is_published(cluster: Cluster) -> None:
    """However often a node is looked at between two writes, a write brings one step."""
    heard(cluster, config(**ours(holdSeconds=0, stepPercent=10)))
    heard(cluster, metric(("a/web", "19", "1Gi")))
    cluster.controller.step()
    until(lambda: cluster.state.nodes.values["", "node-1"].owned)
    assert cluster.offers()[BATCH_CPU] == "200"
    heard(cluster, metric(("a/web", "1", "1Gi")))
    for number in range(9):
        heard(cluster, pod(f"a/p{number}", {"cpu": "1m"}))
        cluster.controller.step()
        assert cluster.offers()[BATCH_CPU] == "200"
    cluster.pass_seconds(11)
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "3400"


def test_a_refused_nodemetric_stops_no_figures(cluster: Cluster) -> None:
    """It is asked for again after a minute."""
    shares = {"cpuPercent": 25, "memoryPercent": 25}
    heard(cluster, second_node(), config(**ours(policy="static", static=shares)))
    cluster.api.failures["POST", METRICS] = [(403, {"kind": "Status", "message": "no"})] * 2
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == cluster.offers("node-2")[BATCH_CPU] == "8000"
    assert cluster.api.objects[METRICS] == {}
    cluster.pass_seconds(61)
    heard(cluster, config(**ours(policy="static", static={"cpuPercent": 26, "memoryPercent": 25})))
    cluster.controller.step()
    assert len(cluster.api.objects[METRICS]) == 2


def test_a_leader_that_lost_its_lease_writes_no_more(cluster: Cluster) -> None:
    """Also in the middle of a round that takes long."""
    shares = {"cpuPercent": 25, "memoryPercent": 25}
    heard(cluster, second_node(), config(**ours(policy="static", static=shares)))
    taker = taker_of(cluster)

    def slow() -> None:
        cluster.pass_seconds(31)
        taker.seize(60)

    cluster.api.late["PATCH", f"{NODES}/node-1/status"] = slow
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "8000"
    assert cluster.offers("node-2") == {}


def test_a_lease_of_the_future_is_no_other_controller(cluster: Cluster) -> None:
    """A clock was wrong, or somebody may write Leases somewhere: figures go on being published."""
    heard(cluster, metric())
    spec = {"holderIdentity": "x", "renewTime": "9999-01-01T00:00:00Z"}
    cluster.api.put(LEASES, "koordinator-manager", "tenant", spec=spec)
    until(lambda: cluster.state.leases.values)
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"


def test_without_the_kind_nodemetric() -> None:
    """A cluster that has no NodeMetrics is served by the policies that need none."""
    with FakeApi() as api:
        cluster = Cluster(api)
        del api.objects[METRICS]
        shares = {"cpuPercent": 25, "memoryPercent": 25}
        cluster.put(node(), config(**ours(policy="static", static=shares)))
        stop = threading.Event()
        with watching(cluster.state.reflectors, stop):
            until(lambda: cluster.state.synced)
            cluster.controller.step()
            assert cluster.offers()[BATCH_CPU] == "8000"
            stop.set()
