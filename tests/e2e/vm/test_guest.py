"""The node in a virtual machine: what it is, and pods of each class where the seed's script looks."""

from __future__ import annotations

from tests.e2e.cluster.kubectl import Kubectl
from tests.e2e.node.machine.node import NAME
from tests.e2e.node.workloads.pods import burner, running
from tests.e2e.vm.groups import read
from tests.e2e.vm.machine.guest import SECONDS, Guest


def test_the_node_says_what_it_is(kubectl: Kubectl, guest: Guest) -> None:
    """As many CPUs as the machine was given, a kubelet of the control plane's version, and containerd."""
    node = kubectl.get("node", NAME)
    assert node["status"]["capacity"]["cpu"] == str(guest.shape.cpus) == "16"
    version = kubectl.run("version", "-o", "json").stdout
    assert f'"gitVersion": "{node["status"]["nodeInfo"]["kubeletVersion"]}"' in version
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")


def test_the_cgroups_are_of_version_2_and_made_by_systemd(guest: Guest) -> None:
    """One hierarchy with all controllers that count, pressure included; the first process is systemd."""
    assert guest.run("stat", "--file-system", "--format=%T", "/sys/fs/cgroup") == "cgroup2fs\n"
    assert {"cpu", "cpuset", "memory"} <= set(guest.run("cat", "/sys/fs/cgroup/cgroup.controllers").split())
    assert guest.run("cat", "/proc/1/comm") == "systemd\n"
    assert guest.run("cat", "/sys/fs/cgroup/cpu.pressure").startswith("some ")
    assert guest.run("systemctl", "is-active", "kubepods.slice") == "active\n"


FIGURES: dict[str, dict[str, str] | None] = {
    "BestEffort": None,
    "Burstable": {"cpu": "100m"},
    "Guaranteed": {"cpu": "100m", "memory": "32Mi"},
}


def test_pods_are_where_the_seeds_script_looks(kubectl: Kubectl, guest: Guest, namespace: str) -> None:
    """Their processes are there, and the API server reaches the kubelet for what they have written."""
    kubectl.create(*(burner(namespace, qos.lower(), figures=each) for qos, each in FIGURES.items()))
    for qos in FIGURES:
        stored = running(kubectl, namespace, qos.lower(), seconds=SECONDS)
        assert stored["status"]["qosClass"] == qos
        (process,) = read(guest, stored, "cgroup.procs").split()
        assert guest.run("cat", f"/proc/{process}/comm") == "burner\n"
        assert kubectl.run("-n", namespace, "logs", qos.lower()).stdout == "burner: ready\n"
