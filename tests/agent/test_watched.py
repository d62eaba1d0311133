"""What an agent knows of the cluster."""

import threading
from pathlib import Path
from typing import Any

from tests.agent.builders import node_pod
from tests.agent.cluster import NODES, PODS, Cluster
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.agent.measuring.usage import Use
from webhook.agent.publishing.nodemetric import CollectPolicy
from webhook.agent.watched import NODEMETRICS, NODESLOS, KnownMetric, Watched, standby
from webhook.kube.cache.reflector import watching


def test_pods_are_watched_by_their_node_and_nothing_else(cluster: Cluster) -> None:
    """One node, its pods, its NodeMetric and NodeSLO: no other object of the cluster comes here."""
    asked = {(path, query["fieldSelector"]) for path, query in cluster.api.queries}
    assert asked == {
        (NODES, "metadata.name=n1"),
        (PODS, "spec.nodeName=n1"),
        (NODEMETRICS, "metadata.name=n1"),
        (NODESLOS, "metadata.name=n1"),
    }


def test_the_node_with_what_it_has_for_pods(cluster: Cluster) -> None:
    """Cores and bytes; annotations as far as they are of use."""
    mine = {
        "node.koordinator.sh/reservation": "{}",
        "node.koordinator.sh/cpu-normalization-ratio": "1.2",
    }
    cluster.node(**mine, other="long")
    until(lambda: (node := cluster.watched.node) and node.object["metadata"]["annotations"] == mine)
    node = cluster.watched.node
    assert node is not None
    assert node.allocatable == Use(4.0, 32 * 2.0**30)


def test_the_spec_of_the_nodes_slo(cluster: Cluster) -> None:
    """As it is; {} where it has none."""
    assert cluster.watched.slo is None
    cluster.slo(resourceUsedThresholdWithBE={"enable": True})
    cluster.heard()
    assert cluster.watched.slo == {"resourceUsedThresholdWithBE": {"enable": True}}
    cluster.api.put(NODESLOS, "n1", spec="?")
    until(lambda: cluster.watched.slo == {})


THRESHOLD = "resource-threshold-config"
CONFIGMAPS = "/api/v1/namespaces/koordinator-system/configmaps"


def configured(api: FakeApi, text: str) -> None:
    """Store Koordinator's ConfigMap."""
    api.put(CONFIGMAPS, "slo-controller-config", "koordinator-system", data={THRESHOLD: text})


def test_the_configmap_where_there_is_no_nodeslo(tmp_path: Path, caplog: Any) -> None:
    """Its entry for the node; a NodeSLO counts first; one that cannot be read, or is deleted, is kept."""
    entry = '{"clusterStrategy": {"enable": true, "cpuSuppressThresholdPercent": 60}, "nodeStrategies": %s}'
    mine = '[{"nodeSelector": {"matchLabels": {"pool": "a"}}, "cpuSuppressThresholdPercent": 40}]'
    with FakeApi() as api:
        api.objects[CONFIGMAPS] = {}
        cluster = Cluster(api, tmp_path)
        api.put(NODES, "n1", metadata={"uid": "uid-n1", "labels": {"pool": "a"}}, status={})
        watched = Watched(api.api(), "n1", config=("koordinator-system", "slo-controller-config"))
        stop = threading.Event()
        with watching(watched.reflectors, stop):
            until(lambda: watched.synced)
            assert watched.slo is None

            def percent() -> Any:
                return (
                    (watched.slo or {})
                    .get("resourceUsedThresholdWithBE", {})
                    .get("cpuSuppressThresholdPercent")
                )

            configured(api, entry % mine)
            until(lambda: percent() == 40)
            assert watched.slo is watched.slo
            configured(api, entry % "[]")
            until(lambda: percent() == 60)
            configured(api, "{")
            until(lambda: THRESHOLD in caplog.text)
            assert percent() == 60
            cluster.slo(resourceUsedThresholdWithBE={"enable": False})
            until(lambda: percent() is None)
            assert watched.slo == {"resourceUsedThresholdWithBE": {"enable": False}}
            api.delete(NODESLOS, "n1")
            until(lambda: percent() == 60)
            api.delete(CONFIGMAPS, "slo-controller-config", "koordinator-system")
            until(lambda: not watched.strategies.values)
            assert percent() == 60
            stop.set()


def test_standing_by() -> None:
    """For koordlet's pod, or for whoever else writes the NodeMetric's status; not for a finished pod."""
    koordlet = node_pod("k", metadata={"labels": {"koord-app": "koordlet"}})
    finished = node_pod("k", metadata={"labels": {"koord-app": "koordlet"}}, status={"phase": "Succeeded"})
    mine, other = KnownMetric(CollectPolicy(), ""), KnownMetric(CollectPolicy(), "koordlet")
    assert standby([node_pod()], None) == standby([finished], mine) == ""
    assert "shop/k" in standby([node_pod(), koordlet], mine)
    assert standby([], other).startswith("koordlet writes the status")
