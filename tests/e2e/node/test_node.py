"""The node itself: Ready, pods in the cgroups where the agent looks for them, restarts of the kubelet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import BATCH_CPU, batch, burner, container, offer, running
from webhook.agent.machine.hierarchy import Driver, find_hierarchy
from webhook.protocol import KubeQoS


@pytest.fixture(scope="module")
def hierarchy(node):
    """What the agent finds on the node, here from outside."""
    return find_hierarchy(kubepods=f"{node.cgroup}/kubepods")


def programs(group):
    """The programs in a cgroup, by the number of processes."""
    found = [
        Path(f"/proc/{pid}/comm").read_text().strip() for pid in (group / "cgroup.procs").read_text().split()
    ]
    return {name: found.count(name) for name in found}


@pytest.mark.usefixtures("node")
def test_the_node_says_what_it_is(kubectl):
    """A kubelet of the control plane's version, and containerd."""
    info = kubectl.get("node", NAME)["status"]["nodeInfo"]
    assert (
        info["kubeletVersion"]
        == json.loads(kubectl.run("version", "-o", "json").stdout)["serverVersion"]["gitVersion"]
    )
    assert info["containerRuntimeVersion"].startswith("containerd://")


def test_the_agent_finds_the_hierarchies(hierarchy):
    """Version 1, the driver cgroupfs, each controller, and the unified hierarchy beside."""
    assert (hierarchy.version, hierarchy.driver) == (1, Driver.CGROUPFS)
    assert set(hierarchy.mounts) == {"cpu", "cpuacct", "cpuset", "memory"}
    assert hierarchy.unified is not None


@pytest.mark.parametrize(
    ("qos", "figures"),
    [
        (KubeQoS.BEST_EFFORT, None),
        (KubeQoS.BURSTABLE, {"cpu": "100m"}),
        (KubeQoS.GUARANTEED, {"cpu": "100m", "memory": "32Mi"}),
    ],
)
def test_a_pod_is_where_the_agent_looks_for_it(kubectl, namespace, hierarchy, qos, figures):
    """Its processes are in the cgroup of its container in every hierarchy, the sandbox is beside it.

    And the API server reaches the kubelet for what the container has written.
    """
    kubectl.create(burner(namespace, "pod", "--cpu", "1", figures=figures))
    stored = running(kubectl, namespace, "pod")
    written = lambda: kubectl.run("-n", namespace, "logs", "pod").stdout  # noqa: E731
    assert eventually(written, what="what it has written") == "burner: ready\n"
    group = hierarchy.pod(qos, stored["metadata"]["uid"])
    containers = hierarchy.containers(group)
    (sandbox,) = containers.keys() - {container(stored)}
    for top in [*hierarchy.mounts.values(), hierarchy.unified]:
        assert programs(top / containers[container(stored)]) == {"burner": 2}
        assert programs(top / containers[sandbox]) == {"pause": 1}


@pytest.mark.usefixtures("_offers_end")
def test_published_figures_survive_the_kubelet(kubectl, node, namespace):
    """It neither takes them off nor changes them, also when it starts again; the scheduler counts them."""
    offer(kubectl, {BATCH_CPU: "1500"})
    kubectl.create(batch(namespace, "first", cpu="1000"), batch(namespace, "second", cpu="1000"))
    eventually(
        lambda: "Insufficient kubernetes.io/batch-cpu" in unscheduled(kubectl, namespace), what="one waits"
    )
    node.stop("kubelet")
    node.start_kubelet()
    status = kubectl.get("node", NAME)["status"]
    assert status["allocatable"][BATCH_CPU] == status["capacity"][BATCH_CPU] == "1500"
    bound = [each["spec"].get("nodeName") for each in kubectl.items("pods", namespace=namespace)]
    assert sorted(map(str, bound)) == ["None", NAME]


def unscheduled(kubectl, namespace):
    """What the scheduler says of the pods that it could not place."""
    pods = kubectl.items("pods", namespace=namespace)
    conditions = [each for pod in pods for each in pod["status"].get("conditions", [])]
    return " ".join(each.get("message", "") for each in conditions if each["type"] == "PodScheduled")
