"""The agent enforces on a real node: limits that the kernel keeps."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import NAMESPACE
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.groups import PodGroups
from tests.e2e.node.workloads.limits import limits, wait_for
from tests.e2e.node.workloads.pods import batch, burner, running
from webhook.pods.quantities import milli
from webhook.pods.requests import pod_request

pytestmark = pytest.mark.usefixtures("_enforcing")


def left(kubectl):
    """Milli-cores of the node that no pod asks for."""
    there = [each for each in kubectl.items("pods") if each["status"]["phase"] in ("Pending", "Running")]
    allocatable = milli(kubectl.get("node", NAME)["status"]["allocatable"]["cpu"])
    return allocatable - sum(pod_request(each, "cpu") for each in there)


def counted(kubectl, namespace, name):
    """Milli-cores that a kubelet which has just started says that a pod requests."""
    status = kubectl.get("pod", name, namespace=namespace)["status"]
    return milli(status.get("resources", {}).get("requests", {}).get("cpu", "0"))


def test_a_batch_pod_is_throttled(kubectl, node, namespace):
    """It gets its quota and no more, beside a twin with a larger one."""
    kubectl.create(batch(namespace, "small", "--cpu", "1", cpu="100", memory="64Mi"))
    kubectl.create(batch(namespace, "large", "--cpu", "1", cpu="1000", memory="64Mi"))
    small, large = (PodGroups(node, running(kubectl, namespace, name)) for name in ("small", "large"))
    wait_for(small, limits(100, 64 << 20))
    wait_for(large, limits(1000, 64 << 20))
    throttled = lambda: small.scheduled(small.container, "nr_throttled")  # noqa: E731
    # Each within the one before: a window that a busy machine makes longer says nothing against the kernel.
    windows = [time.monotonic_ns, small.used, time.monotonic_ns, large.used]
    before, periods = [look() for look in windows], throttled()
    time.sleep(10)
    after = [look() for look in reversed(windows)][::-1]
    longest, used, shortest, twin = (new - old for old, new in zip(before, after, strict=True))
    assert throttled() > periods
    assert used <= 1.05 * longest // 10
    assert used >= 0.85 * min(shortest // 10, twin)


def test_a_batch_pod_is_killed_beyond_its_memory(kubectl, node, namespace):
    """The kernel ends it, and the kubelet says why."""
    pod = batch(namespace, "hungry", "--asked", "1", "--memory", "128", cpu="500", memory="64Mi")
    pod["spec"]["restartPolicy"] = "Never"
    kubectl.create(pod)
    groups = PodGroups(node, running(kubectl, namespace, "hungry"))
    wait_for(groups, limits(500, 64 << 20))
    written = lambda: kubectl.run("-n", namespace, "logs", "hungry").stdout  # noqa: E731
    eventually(lambda: "waits" in written(), seconds=90, what="a process that waits")
    (process,) = groups.processes()
    os.kill(int(process), signal.SIGUSR1)

    def reason():
        (status,) = kubectl.get("pod", "hungry", namespace=namespace)["status"]["containerStatuses"]
        return status["state"]["terminated"]["reason"]

    assert eventually(reason, seconds=60, what="its end") == "OOMKilled"


def test_shares_of_a_pod_that_is_not_idle_are_the_kubelets(kubectl, node, namespace):
    """Those of its own cgroup, which count as CPU that it requests: what it does not ask for can be had.

    The agent says so. Its container has its shares.
    """
    pod = batch(namespace, "kept", cpu="500", memory="64Mi")
    resources = pod["spec"]["containers"][0]["resources"]
    resources["requests"] = {**resources["requests"], "memory": "32Mi"}  # so that it is Burstable
    kubectl.create(pod)
    groups = PodGroups(node, running(kubectl, namespace, "kept"))
    wait_for(groups, {**limits(500, 64 << 20), "pod idle": 0})
    said = kubectl.run("-n", NAMESPACE, "logs", "daemonset/release-colocation-webhook-agent").stdout
    assert f"{namespace}/kept: its cgroup keeps the shares that the kubelet gave it" in said
    shares = groups.file(groups.pod, "cpu.shares")
    assert shares.read_text() == "2\n"
    node.stop("kubelet")
    node.start_kubelet()
    # More than would be left if 500 of the pod's were counted.
    kubectl.create(burner(namespace, "rest", figures={"cpu": f"{left(kubectl) - 250}m", "memory": "16Mi"}))
    running(kubectl, namespace, "rest")
    assert counted(kubectl, namespace, "kept") <= 3
    # Otherwise they are: this is what the agent leaves them for.
    kubectl.run("-n", namespace, "delete", "pod", "rest", "--grace-period=1", "--timeout=60s")
    shares.write_text("512")
    node.stop("kubelet")
    node.start_kubelet()
    eventually(lambda: counted(kubectl, namespace, "kept") == 500, seconds=90, what="shares that are counted")
