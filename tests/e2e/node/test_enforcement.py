"""The agent enforces on a real node: limits that the kernel keeps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import BATCH_CPU, batch, container, running
from webhook.agent.hierarchy import find_hierarchy
from webhook.protocol import KubeQoS

PERIOD = 100_000
"""Microseconds of a CFS period."""


@pytest.fixture(scope="module", autouse=True)
def _enforcing(release, kubectl):
    """The agent in the mode enforce; afterwards it observes again."""
    release.set_mode("enforce")
    figure = lambda: kubectl.get("node", NAME)["status"]["allocatable"][BATCH_CPU]  # noqa: E731
    eventually(lambda: int(figure().replace("k", "000")) >= 1500, seconds=90, what="room for batch pods")
    yield
    release.set_mode("observe")


class Cgroup:
    """The cgroup of a pod of the besteffort class and that of its container."""

    def __init__(self, node, stored):
        self._hierarchy = find_hierarchy(kubepods=f"{node.cgroup}/kubepods")
        self._pod = self._hierarchy.pod(KubeQoS.BEST_EFFORT, stored["metadata"]["uid"])
        self._container = self._hierarchy.containers(self._pod)[container(stored)]

    def file(self, controller, name, *, pod=False):
        """The path of a file of the container, or of the pod."""
        return Path(self._hierarchy.file(controller, self._pod if pod else self._container, name))

    def limits(self):
        """What an agent writes, as it stands."""
        files = {
            "pod idle": ("cpu", "cpu.idle", True),
            "pod quota": ("cpu", "cpu.cfs_quota_us", True),
            "pod memory": ("memory", "memory.limit_in_bytes", True),
            "shares": ("cpu", "cpu.shares", False),
            "quota": ("cpu", "cpu.cfs_quota_us", False),
            "memory": ("memory", "memory.limit_in_bytes", False),
        }
        return {each: int(self.file(*place[:2], pod=place[2]).read_text()) for each, place in files.items()}

    def used(self):
        """Nanoseconds of CPU time."""
        return int(self.file("cpuacct", "cpuacct.usage").read_text())

    def throttled(self):
        """In how many periods it wanted more than its quota."""
        return int(self.file("cpu", "cpu.stat").read_text().split("nr_throttled")[1].split()[0])


def limits(cpu, memory):
    """What stands in the cgroups of a pod with one container and so many milli-cores and bytes."""
    quota = PERIOD * cpu // 1000
    return {
        "pod idle": 1,
        "pod quota": quota,
        "pod memory": memory,
        "shares": max(2, cpu * 1024 // 1000),
        "quota": quota,
        "memory": memory,
    }


def wait_for(cgroup, wanted):
    """Wait until the files are as planned."""

    def as_planned():
        found = cgroup.limits()
        assert found == wanted, found
        return True

    eventually(as_planned, what="the files as planned")


def test_a_batch_pod_is_throttled(kubectl, node, namespace):
    """It gets its quota and no more, beside a twin with a larger one."""
    kubectl.create(batch(namespace, "small", "--cpu", "1", cpu="100", memory="64Mi"))
    kubectl.create(batch(namespace, "large", "--cpu", "1", cpu="1000", memory="64Mi"))
    small, large = (Cgroup(node, running(kubectl, namespace, name)) for name in ("small", "large"))
    wait_for(small, limits(100, 64 << 20))
    wait_for(large, limits(1000, 64 << 20))
    before = time.monotonic_ns(), small.used(), large.used(), small.throttled()
    time.sleep(10)
    after = time.monotonic_ns(), small.used(), large.used(), small.throttled()
    lasted, used, twin, throttled = (new - old for old, new in zip(before, after, strict=True))
    quota = lasted // 10
    assert throttled > 0
    assert used <= 1.05 * quota
    assert used >= 0.85 * min(quota, twin)


def test_a_batch_pod_is_killed_beyond_its_memory(kubectl, node, namespace):
    """The kernel ends it, and the kubelet says why."""
    pod = batch(namespace, "hungry", "--after", "20", "--memory", "128", cpu="500", memory="64Mi")
    pod["spec"]["restartPolicy"] = "Never"
    kubectl.create(pod)
    stored = running(kubectl, namespace, "hungry")
    wait_for(Cgroup(node, stored), limits(500, 64 << 20))

    def reason():
        (status,) = kubectl.get("pod", "hungry", namespace=namespace)["status"]["containerStatuses"]
        return status["state"]["terminated"]["reason"]

    assert eventually(reason, seconds=60, what="its end") == "OOMKilled"
