"""The chart's own pods on the node: the webhook behind its Service mutates, the kubelet runs the result."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.cluster.objects import assert_be
from tests.e2e.node.workloads.pods import BATCH_CPU, BATCH_MEMORY, DRIVER, burner, running
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.protocol import KubeQoS

FIGURES = {"cpu": "200m", "memory": "64Mi"}


def test_what_the_kubelet_makes_of_ls_and_be(kubectl, node, release, opted_in):
    """LS keeps its CPU and is limited by it; BE has batch resources, and the kubelet limits nothing."""
    release.set_mode("observe")
    online = burner(opted_in, "online", figures=FIGURES, labels={"koordinator.sh/qosClass": "LS"})
    kubectl.create(online, burner(opted_in, "batch", figures=FIGURES, labels=DRIVER))
    hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")

    def limits(qos, name):
        group = hierarchy.pod(qos, running(kubectl, opted_in, name)["metadata"]["uid"])
        files = [("cpu", "cpu.shares"), ("cpu", "cpu.cfs_quota_us"), ("memory", "memory.limit_in_bytes")]
        return [int(Path(hierarchy.file(each, group, file)).read_text()) for each, file in files]

    assert limits(KubeQoS.GUARANTEED, "online") == [204, 20000, 64 << 20]
    shares, quota, memory = limits(KubeQoS.BEST_EFFORT, "batch")
    assert (shares, quota) == (2, -1)
    assert memory > 1 << 60
    stored = kubectl.get("pod", "batch", namespace=opted_in)
    assert_be(stored, {BATCH_CPU: "200", BATCH_MEMORY: "64Mi"})
    told = json.loads(stored["metadata"]["annotations"]["node.koordinator.sh/extended-resource-spec"])
    assert told["containers"]["main"]["limits"] == {BATCH_CPU: "200", BATCH_MEMORY: "64Mi"}
