"""NodeSLOs at a fake API server."""

import json
import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.capacity.cluster import config, metric, node, ours
from tests.controller.cluster import CONFIGMAPS, METRICS, NODES, SLOS, Cluster, heard, taker_of
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.controller.service import ControllerService
from webhook.controller.withdrawal import withdraw
from webhook.kube.cache.reflector import watching
from webhook.kube.lease import Lease
from webhook.protocol import CAPACITY_MANAGER

QUICK = ours(holdSeconds=0, stepPercent=100)
KOORDINATOR = {"managedFields": [{"manager": "koord-manager"}]}


def slo(cluster: Cluster, name: str = "node-1") -> dict[str, Any]:
    """Return a NodeSLO as it is stored."""
    found: dict[str, Any] = cluster.api.objects[SLOS]["", name]
    return found


def configured(**keys: Any) -> dict[str, Any]:
    """Return the ConfigMap with keys for agents, named with underscores."""
    made = config()
    data = {f"{name.replace('_', '-')}-config": json.dumps(value) for name, value in keys.items()}
    return {**made, "data": made["data"] | data}


def burst(policy: str, **nodes: Any) -> dict[str, Any]:
    """Return the ConfigMap with a policy of CPU burst."""
    return configured(cpu_burst={"clusterStrategy": {"policy": policy}, **nodes})


def writes(cluster: Cluster, name: str = "node-1") -> int:
    """Return how often a NodeSLO was written."""
    return int(cluster.api.requests["PATCH", f"{SLOS}/{name}"])


def step(cluster: Cluster) -> None:
    """Do a round, and wait until what it wrote has come back."""
    cluster.controller.step()
    until(lambda: cluster.state.nodeslos.values.keys() == cluster.api.objects[SLOS].keys())


def test_from_the_configmap(cluster: Cluster) -> None:
    """Each node has one, by its labels, which follows the ConfigMap and belongs to its node."""
    other = node(labels={"pool": "a"})
    other["metadata"]["name"] = "node-2"
    entry = {"nodeSelector": {"matchLabels": {"pool": "a"}}, "cpuBurstPercent": 50}
    heard(cluster, other, burst("auto", nodeStrategies=[entry]))
    step(cluster)
    assert slo(cluster)["spec"]["cpuBurstStrategy"]["cpuBurstPercent"] == 1000
    assert slo(cluster, "node-2")["spec"]["cpuBurstStrategy"]["cpuBurstPercent"] == 50
    assert slo(cluster)["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-1"}
    ]
    assert [each["manager"] for each in slo(cluster)["metadata"]["managedFields"]] == [CAPACITY_MANAGER]
    for _ in range(3):
        cluster.pass_seconds(400)
        step(cluster)
    assert writes(cluster) == writes(cluster, "node-2") == 1
    heard(cluster, burst("none"))
    step(cluster)
    assert slo(cluster)["spec"]["cpuBurstStrategy"]["policy"] == "none"
    heard(cluster, {**other, "metadata": {**other["metadata"], "labels": {}}})
    step(cluster)
    assert slo(cluster, "node-2")["spec"] == slo(cluster)["spec"]


def test_a_key_that_cannot_be_used(cluster: Cluster, caplog: Any) -> None:
    """What it said last holds; other keys are followed, and so are the figures."""
    heard(cluster, burst("auto"))
    step(cluster)
    broken = burst("auto")
    broken["data"] |= {"cpu-burst-config": "{", "system-config": '{"clusterStrategy": {"newer": 1}}'}
    heard(cluster, broken)
    step(cluster)
    assert slo(cluster)["spec"]["cpuBurstStrategy"]["policy"] == "auto"
    assert slo(cluster)["spec"]["systemStrategy"]["newer"] == 1
    assert "cpu-burst-config: is not JSON" in caplog.text
    cluster.api.delete(CONFIGMAPS, "slo-controller-config", "k")
    until(lambda: not cluster.state.configurations.values)
    cluster.pass_seconds(20)
    step(cluster)
    assert slo(cluster)["spec"]["cpuBurstStrategy"]["policy"] == "auto"


def test_a_foreign_one(cluster: Cluster, caplog: Any) -> None:
    """One that somebody else keeps stays as it is; the owner is named, and asked again after ten minutes."""
    heard(cluster, {"kind": "NodeSLO", "metadata": {"name": "node-1", **KOORDINATOR}, "spec": {"a": 1}})
    step(cluster)
    cluster.pass_seconds(599)
    step(cluster)
    assert slo(cluster)["spec"] == {"a": 1}
    assert writes(cluster) == 1
    assert "NodeSLO node-1: it belongs to koord-manager" in caplog.text
    cluster.api.delete(SLOS, "node-1")
    until(lambda: not cluster.state.nodeslos.values)
    cluster.pass_seconds(2)
    step(cluster)
    assert slo(cluster)["spec"].keys() > {"cpuBurstStrategy"}


def test_fields_that_somebody_adds(cluster: Cluster) -> None:
    """They stay, and do not make us write again and again; a field of ours that was changed does."""
    step(cluster)
    ours = slo(cluster)
    more = [{"manager": CAPACITY_MANAGER}, {"manager": "somebody"}]
    shared = {**ours["metadata"], "managedFields": more}
    heard(
        cluster, {**ours, "kind": "NodeSLO", "metadata": shared, "spec": {**ours["spec"], "extensions": {}}}
    )
    for _ in range(3):
        step(cluster)
    assert writes(cluster) == 1
    heard(cluster, {**ours, "kind": "NodeSLO", "metadata": shared, "spec": {"cpuBurstStrategy": {}}})
    step(cluster)
    assert writes(cluster) == 2


def test_one_nodes_refusal(cluster: Cluster) -> None:
    """It costs no other node, and no figures."""
    other = node()
    other["metadata"]["name"] = "node-2"
    heard(cluster, other, metric())
    cluster.api.failures["PATCH", f"{SLOS}/node-1"] = [(403, {"kind": "Status", "message": "no"})]
    step(cluster)
    assert cluster.api.objects[SLOS].keys() == {("", "node-2")}
    assert cluster.offers() != {}
    cluster.pass_seconds(61)
    step(cluster)
    assert cluster.api.objects[SLOS].keys() == {("", "node-1"), ("", "node-2")}


def test_another_leader(cluster: Cluster) -> None:
    """Who takes over writes nothing that stands there already; who lost the Lease writes nothing."""
    step(cluster)
    state = cluster.state
    lease = Lease(state.api, "n", "l", identity="two", clock=lambda: cluster.seconds, now=lambda: cluster.now)
    second = ControllerService(state, lease, CollectorRegistry()).capacity
    first = cluster.controller
    cluster.pass_seconds(31)
    second.step()  # it sees the record for the first time
    cluster.pass_seconds(31)
    second.step()
    assert second.standby == ""
    assert writes(cluster) == 1
    heard(cluster, burst("auto"))
    first.step()
    assert writes(cluster) == 1
    second.step()
    assert slo(cluster)["spec"]["cpuBurstStrategy"]["policy"] == "auto"


def test_many_new_nodes(cluster: Cluster) -> None:
    """Only some NodeSLOs are written in a round, so that figures need not wait for all of them."""
    for number in range(60):
        other = node()
        other["metadata"]["name"] = f"more-{number}"
        cluster.put(other)
    until(lambda: len(cluster.state.nodes.values) == 61)
    step(cluster)
    assert len(cluster.api.objects[SLOS]) == 50
    step(cluster)
    assert len(cluster.api.objects[SLOS]) == 61


@pytest.mark.parametrize("served", [True, False])
def test_where_none_is_made(*, served: bool) -> None:
    """Without a ConfigMap ever, none is; a cluster without the kind has its figures nevertheless."""
    with FakeApi() as api:
        cluster = Cluster(api)
        cluster.put(node(), *([] if served else [config(**QUICK)]))
        cluster.put(metric())
        if not served:
            del api.objects[SLOS]
        stop = threading.Event()
        with watching(cluster.state.reflectors, stop):
            until(lambda: cluster.state.synced)
            cluster.controller.step()
            stop.set()
        assert api.objects.get(SLOS, {}) == {}
        assert bool(cluster.offers()) is not served


def test_withdraw(cluster: Cluster) -> None:
    """What we made goes; what somebody else made stays, without fields of ours."""
    other = node()
    other["metadata"]["name"] = "node-2"
    foreign = metric()
    foreign["metadata"] = {"name": "node-2", "uid": "theirs"}
    heard(cluster, other, foreign)
    step(cluster)
    until(lambda: ("", "node-1") in cluster.state.metrics.values)
    shared = slo(cluster, "node-2")
    more = [*shared["metadata"]["managedFields"], *KOORDINATOR["managedFields"]]
    heard(cluster, {**shared, "kind": "NodeSLO", "metadata": {**shared["metadata"], "managedFields": more}})
    cluster.service._stop.set()  # no wait for the last publisher
    assert withdraw(cluster.state, taker_of(cluster), cluster.service._stop).refused == []
    assert cluster.api.objects[SLOS].keys() == {("", "node-2")}
    assert slo(cluster, "node-2")["metadata"]["managedFields"] == KOORDINATOR["managedFields"]
    assert cluster.api.objects[METRICS].keys() == {("", "node-2")}


@pytest.mark.parametrize("status", [404, 409, 403])
def test_withdraw_goes_on_after_a_refusal(cluster: Cluster, status: int) -> None:
    """One that refuses, or that is gone or another one, costs no other."""
    step(cluster)
    until(lambda: cluster.state.metrics.values)
    cluster.service._stop.set()
    cluster.api.failures["DELETE", f"{SLOS}/node-1"] = [(status, {"kind": "Status", "message": "no"})]
    left = withdraw(cluster.state, taker_of(cluster), cluster.service._stop)
    assert [each.partition(":")[0] for each in left.refused] == ([] if status == 404 else ["NodeSLO node-1"])
    assert cluster.api.objects[METRICS] == {}
    assert ("", "node-1") in cluster.api.objects[NODES]
