"""How fields of a node are given up."""

from tests.capacity.cluster import config, metric
from tests.controller.cluster import BATCH_CPU, NODES, Cluster, heard
from tests.kube.test_apply import entry
from webhook.protocol import CAPACITY_MANAGER

MEMORY = "kubernetes.io/batch-memory"


def test_what_a_kubelet_said_when_it_registered_stays(cluster: Cluster) -> None:
    """Nobody owns it. An apply that leaves our keys out would take the rest of the maps away."""
    said = cluster.api.objects[NODES]["", "node-1"]["status"]
    before = {name: dict(said[name]) for name in ("capacity", "allocatable")}
    heard(cluster, metric())
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"
    heard(cluster, config(enable=False))
    cluster.pass_seconds(20)
    cluster.controller.step()
    stored = cluster.api.objects[NODES]["", "node-1"]
    assert {name: stored["status"][name] for name in before} == before
    assert stored["metadata"]["annotations"] == {}
    assert stored["metadata"]["managedFields"] == []


def test_what_is_somebody_elses_by_now_stays(cluster: Cluster) -> None:
    """Only fields that are ours are removed; another machine of that name keeps everything."""
    heard(cluster, metric())
    cluster.controller.step()
    stored = cluster.api.objects[NODES]["", "node-1"]
    theirs = [entry(CAPACITY_MANAGER, allocatable=[MEMORY]), entry("koord-manager", allocatable=[BATCH_CPU])]
    heard(cluster, {"kind": "Node", **stored, "metadata": {**stored["metadata"], "managedFields": theirs}})
    heard(cluster, config(enable=False))
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert BATCH_CPU in cluster.offers()
    assert MEMORY not in cluster.offers()


def test_another_machine_of_that_name(cluster: Cluster) -> None:
    """Its uid is another one: nothing is removed there."""
    heard(cluster, metric())
    cluster.controller.step()
    heard(cluster, config(enable=False))
    cluster.api.objects[NODES]["", "node-1"]["metadata"]["uid"] = "another"
    cluster.pass_seconds(20)
    cluster.controller.step()
    assert cluster.offers()[BATCH_CPU] == "19200"
