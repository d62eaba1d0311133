"""What an agent knows of the cluster."""

from tests.agent.builders import node_pod
from tests.agent.cluster import NODES, PODS, Cluster
from tests.waiting import until
from webhook.agent.measuring.usage import Use
from webhook.agent.publishing.nodemetric import CollectPolicy
from webhook.agent.watched import NODEMETRICS, NODESLOS, KnownMetric, standby


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
    cluster.node(**{"node.koordinator.sh/reservation": "{}", "other": "long"})
    cluster.heard()
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


def test_standing_by() -> None:
    """For koordlet's pod, or for whoever else writes the NodeMetric's status; not for a finished pod."""
    koordlet = node_pod("k", metadata={"labels": {"koord-app": "koordlet"}})
    finished = node_pod("k", metadata={"labels": {"koord-app": "koordlet"}}, status={"phase": "Succeeded"})
    mine, other = KnownMetric(CollectPolicy(), ""), KnownMetric(CollectPolicy(), "koordlet")
    assert standby([node_pod()], None) == standby([finished], mine) == ""
    assert "shop/k" in standby([node_pod(), koordlet], mine)
    assert standby([], other).startswith("koordlet writes the status")
