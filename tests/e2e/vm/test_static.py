"""A kubelet of the CPU manager's policy ``static`` and the chart's parts leave each other's CPUs alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import Release
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import batch, burner, running
from tests.e2e.vm.groups import read
from tests.e2e.vm.machine.guest import SECONDS, Guest
from tests.e2e.vm.seed import assert_said, assert_shown, deploy, enforce, wait_for_sets

FOLDER: Final = "/var/lib/kubelet"
PINNED: Final = {"pinned": "1-2"}
"""The lowest that are not the kubelet's own, which is 0."""
EXPECTED: Final = {"nginx-lse": "3-4", "nginx-lsr": "5-6", "nginx-ls": "0,7-15", "nginx-be": "0,5,7-14"}
"""None of those. What the kubelet has reserved is nobody's alone, but in the pools. BE has ten CPUs, in
proportion one of them LSR's."""


@pytest.fixture
def _static(guest: Guest, agent: Release) -> Iterator[None]:
    """The kubelet gives pods CPUs of their own, and the agent reads of it; afterwards both are as before."""
    enforce(agent, kubeletDir=FOLDER)
    guest.restart_kubelet(cpuManagerPolicy="static", reservedSystemCPUs="0")
    yield
    guest.restart_kubelet()
    enforce(agent)


def _told(kubectl: Kubectl, pod: Object) -> bool:
    """Whether the node's topology says which CPUs the kubelet gave to a pod."""
    annotations = kubectl.get("noderesourcetopology", NAME)["metadata"]["annotations"]
    found = json.loads(annotations["node.koordinator.sh/pod-cpu-allocs"])
    assert [each["uid"] for each in found if each.get("managedByKubelet")] == [pod["metadata"]["uid"]], found
    return True


@pytest.mark.usefixtures("_static")
def test_the_four_beside_a_guaranteed_pod_of_the_kubelets(
    guest: Guest, kubectl: Kubectl, agent: Release, namespace: str
) -> None:
    """It has no class and keeps what the kubelet gave it.

    Also when systemd has reloaded, and where the agent does not read what the kubelet gave.
    """
    kubectl.create(burner(namespace, "pinned", figures={"cpu": "2", "memory": "32Mi"}))
    pinned = running(kubectl, namespace, "pinned", seconds=SECONDS)
    assert pinned["status"]["qosClass"] == "Guaranteed"
    eventually(lambda: _told(kubectl, pinned), seconds=SECONDS, what="the kubelet's CPUs in the topology")
    pods = {"pinned": pinned, **deploy(kubectl, namespace)}
    wait_for_sets(guest, pods, PINNED | EXPECTED)
    assert_shown(guest, {"pinned": pinned}, PINNED)
    assert_said(kubectl, pods, PINNED | EXPECTED, f"--kubelet-dir={FOLDER}")
    guest.run("systemctl", "daemon-reload")
    wait_for_sets(guest, pods, PINNED | EXPECTED)
    assert_shown(guest, {"pinned": pinned}, PINNED)
    assert_said(kubectl, pods, PINNED | EXPECTED, f"--kubelet-dir={FOLDER}")
    # As by default in the chart: nothing of the kubelet's is read, and its pod has its CPUs all the same.
    enforce(agent)
    kubectl.create(batch(namespace, "later", cpu="100"))
    later = running(kubectl, namespace, "later", seconds=SECONDS)
    written = lambda: read(guest, later, "cpu.max", "cpu") == "10000 100000"  # noqa: E731
    eventually(written, seconds=SECONDS, what="a write of the agent that has just started")
    wait_for_sets(guest, pods, PINNED | EXPECTED)
    assert_shown(guest, {"pinned": pinned}, PINNED)
    eventually(lambda: _told(kubectl, pinned), seconds=SECONDS, what="what seems pinned in the topology")
