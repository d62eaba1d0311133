"""What an agent asks for, on a recorded tree, at a fake API server."""

from typing import Any

import pytest

from tests.agent.builders import GI
from tests.agent.cluster import Cluster
from tests.agent.eviction.node import THRESHOLD, Node
from tests.waiting import until
from webhook.agent.eviction.asker import REQUESTS
from webhook.agent.metrics import PREFIX
from webhook.kube.client import ApiError

SATISFIED = {
    "cpuEvictBESatisfactionLowerPercent": 60,
    "cpuEvictBESatisfactionUpperPercent": 80,
    "cpuEvictTimeWindowSeconds": 30,
}


def test_memory(cluster: Cluster) -> None:
    """From 70 percent on, down to 68, with what the BE pod uses; no more often than each five seconds."""
    node = Node(cluster)
    node.work(30)
    asked = node.request
    assert [(ask.form, ask.release) for ask in asked.asks] == [("BEMemoryEvict", 32 * GI * 7 // 100)]
    assert asked.uses.keys() == {"uid-be"}
    assert asked.uses["uid-be"].memory == 5 * GI
    assert (asked.absurd, asked.node_uid, asked.managers) == ("", "uid-n1", {"colocation-webhook-agent"})
    assert asked.problem(cluster.now) == ""
    before = node.writes
    node.work(10)
    assert node.writes - before == 2
    labels = {"form": "BEMemoryEvict", "resource": "memory"}
    value = cluster.registry.get_sample_value("colocation_webhook_agent_eviction_asked", labels)
    assert value == 32 * GI * 7 // 100


def test_the_end(cluster: Cluster) -> None:
    """When all is well that is written once, and so it is by an agent that starts."""
    node = Node(cluster)
    node.work(3, used=8)
    assert node.writes == 1
    assert node.request.asks == ()
    node.work(30)
    assert node.request.asks
    node.work(10, used=8)
    assert node.request.asks == ()
    before = node.writes
    node.work(20, used=8)
    assert node.writes == before


def test_satisfaction(cluster: Cluster) -> None:
    """BE pods that can get a core of the four that they request, and use it."""
    node = Node(cluster, {"resourceUsedThresholdWithBE": {**THRESHOLD, **SATISFIED}})
    node.limit(100_000)
    node.work(25, used=8, cores=1.0)
    assert [(ask.form, ask.release) for ask in node.request.asks] == [("BECPUEvict", 4000 * 80 // 100 - 1000)]
    node.limit(400_000)
    node.work(40, used=8, cores=1.0)
    assert node.request.asks == ()


def test_satisfaction_needs_a_while(cluster: Cluster) -> None:
    """A third of the window has to be seen, and what cannot be read asks for nothing."""
    window = {"cpuEvictTimeWindowSeconds": 300}
    node = Node(cluster, {"resourceUsedThresholdWithBE": {**THRESHOLD, **SATISFIED, **window}})
    node.work(30, used=8, cores=1.0)  # there are no files of CPU sets yet
    assert node.request.asks == ()
    node.limit(100_000)
    node.work(95, used=8, cores=1.0)
    assert node.request.asks == ()
    node.work(10, used=8, cores=1.0)
    assert node.request.asks != ()


def test_the_nodeslo_comes_first(cluster: Cluster, caplog: Any) -> None:
    """It holds instead of the default, also while it says nothing of it; what is wrong in it is said once."""
    node = Node(cluster)
    cluster.slo(resourceUsedThresholdWithBE={"enable": False})
    cluster.heard()
    node.work(30)
    assert node.request.asks == ()
    wrong = {"enable": True, "memoryEvictLowerPercent": 75}
    cluster.slo(resourceUsedThresholdWithBE=wrong)
    while cluster.watched.slo != {"resourceUsedThresholdWithBE": wrong}:
        pass
    node.work(10)
    assert node.request.asks == ()
    assert caplog.text.count("75 is not from 0 to below memoryEvictThresholdPercent") == 1


def test_figures_that_stop(cluster: Cluster) -> None:
    """Old figures are no reason; what was asked for is ended."""
    node = Node(cluster)
    node.work(30)
    assert node.request.asks
    cluster.tree.now += 11  # nobody looks
    node.asker.step()
    assert node.request.asks == ()


def test_koordlets_node(cluster: Cluster) -> None:
    """Where koordlet works nothing is asked for."""
    node = Node(cluster)
    node.standby = True
    node.work(30)
    assert node.writes == 0


def test_a_refusal(cluster: Cluster, caplog: Any) -> None:
    """It is said once, counted, and tried again after a minute; without an answer the loop goes on."""
    node = Node(cluster)
    path = f"{REQUESTS}/n1"
    refused = (403, {"kind": "Status", "message": "an agent writes the objects of its own node"})
    cluster.api.failures["PATCH", path] = [refused, refused]
    node.work(62)
    assert caplog.text.count("is not written: ") == 1
    assert node.writes == 2
    labels = {"kind": "NodeEvictionRequest", "why": "other"}
    assert cluster.registry.get_sample_value(f"{PREFIX}_refused_writes_total", labels) == 2
    cluster.api.failures["PATCH", path] = [(503, {"kind": "Status"})]
    node.work(61, steps=False)
    with pytest.raises(ApiError):
        node.asker.step()


def test_requests_of_figures_that_hold(cluster: Cluster) -> None:
    """Batch CPU that the node offers counts, what late metrics left of it does not; native CPU does."""
    fields = {
        "enable": True,
        "cpuAllocatableEvictThresholdPercent": 110,
        "cpuAllocatableEvictLowerPercent": 100,
        "allocatableEvictPriorityThreshold": 5999,
    }
    node = Node(cluster, {"resourceUsedThresholdWithBE": fields})
    for state, asks in (("applied", 1), ("held", 0)):
        allocatable = {"cpu": "4", "memory": "32Gi", "kubernetes.io/batch-cpu": "2k"}
        noted = {"colocation-webhook.io/batch-capacity": f'{{"state": "{state}"}}'}
        cluster.api.put(
            "/api/v1/nodes",
            "n1",
            metadata={"uid": "uid-n1", "annotations": noted},
            status={"allocatable": allocatable},
        )
        native = {"cpu": 4000, "memory": 32 * GI}
        offered = native | ({"kubernetes.io/batch-cpu": 2000} if asks else {})
        until(lambda offered=offered: getattr(cluster.watched.node, "offered", None) == offered)
        node.work(30, used=8)
        assert len(node.request.asks) == asks
