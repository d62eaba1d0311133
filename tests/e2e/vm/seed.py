"""The seed's four deployments, and what its script shows of their pods."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.chart.release import Release
from tests.e2e.node.chart.verification import verified
from tests.e2e.node.workloads.pods import running
from tests.e2e.vm.groups import allowed, read
from tests.e2e.vm.machine.guest import KUBECONFIG, SECONDS, Guest

FOUR: Final = Path(__file__).parents[1] / "scheduling" / "four-deployments.yaml"
STRATEGY: Final = {"enable": True, "cpuSuppressThresholdPercent": 65, "cpuSuppressMinPercent": 62}
"""Ten of 16 CPUs for BE pods: 65 percent less the half that is kept from pods, and no less, whatever an
emulated machine seems to use meanwhile."""

_SCRIPT: Final = Path(__file__).with_name("get_cpuset.sh")
_UNLIMITED = {1: ("cpu.cfs_quota_us", "-1"), 2: ("cpu.max", "max 100000")}


def enforce(agent: Release, **values: object) -> None:
    """Let the agent enforce and suppress, with further values of the chart's ``agent``."""
    set_mode(agent, "enforce", **{"suppression": {"enabled": True}, **values})


def set_mode(agent: Release, mode: str, **values: object) -> None:
    """Let the agent observe or enforce; by default it does not read of the kubelet, as in the chart."""

    def works() -> bool:
        agent.set_mode(mode, **{"kubeletDir": "", **values})
        return True

    eventually(works, seconds=SECONDS, what="the agent")


def deploy(kubectl: Kubectl, namespace: str) -> dict[str, Object]:
    """Make the four, each when the one before has its node; return their running pods by these names."""
    names = {
        each["metadata"]["name"]: bound(kubectl, namespace, each)
        for each in yaml.safe_load_all(FOUR.read_text())
    }
    return {name: running(kubectl, namespace, pod, seconds=SECONDS) for name, pod in names.items()}


def bound(kubectl: Kubectl, namespace: str, deployment: Object) -> str:
    """Make one of them, and return the name of its pod when that has a node."""
    kubectl.run("-n", namespace, "create", "-f", "-", stdin=json.dumps(deployment))
    name = deployment["metadata"]["name"]

    def placed() -> list[str]:
        pods = kubectl.items("pods", namespace=namespace, selector=f"app={name}")
        return [each["metadata"]["name"] for each in pods if each["spec"].get("nodeName")]

    (found,) = eventually(placed, seconds=SECONDS, what=f"{name} bound")
    return found


def wait_for_sets(guest: Guest, pods: Mapping[str, Object], expected: Mapping[str, str]) -> None:
    """Wait until `cpuset.cpus` is as expected, processes may run there only, and no quota is on LSE, LSR."""

    def as_expected() -> bool:
        found = {name: read(guest, stored, "cpuset.cpus") for name, stored in pods.items()}
        assert found == expected, found
        running = {name: allowed(guest, stored) for name, stored in pods.items()}
        assert running == expected, running
        file, unlimited = _UNLIMITED[guest.shape.cgroups]
        for name in ("nginx-lse", "nginx-lsr"):
            assert read(guest, pods[name], file, "cpu") == unlimited, name
        return True

    eventually(as_expected, seconds=SECONDS, what="the CPU sets")


def assert_shown(guest: Guest, pods: Mapping[str, Object], expected: Mapping[str, str]) -> None:
    """Demand that the seed's own script, run on the node, shows the same; it knows cgroup version 2 only."""
    if guest.shape.cgroups != 2:
        return
    guest.write("/root/get_cpuset.sh", _SCRIPT.read_text())
    for name, stored in pods.items():
        metadata, qos = stored["metadata"], stored["status"]["qosClass"]
        command = ("bash", "/root/get_cpuset.sh", metadata["name"], metadata["namespace"])
        shown = guest.run("env", f"KUBECONFIG={KUBECONFIG}", *command)
        assert shown == f"CPU set for Pod {metadata['name']} ({qos} QoS): {expected[name]}\n"


def assert_said(
    kubectl: Kubectl, pods: Mapping[str, Object], expected: Mapping[str, str], *arguments: str
) -> None:
    """Demand that ``agent cpusets`` with these arguments comes to say the same, and finds none that differs.

    A kubelet of the policy static writes sets of its own to containers that are new to it, seconds later.
    """

    def says() -> bool:
        said = verified(kubectl, *arguments)
        for name, stored in pods.items():
            (container,) = said[name_of(stored)]["containers"]
            assert (container["cpuset"], container["agrees"]) == (expected[name], True), container
        return True

    eventually(says, seconds=SECONDS, what="the sets that agent cpusets says")


def name_of(stored: Object) -> str:
    """The name by which ``agent cpusets`` is asked for a pod."""
    return f"{stored['metadata']['namespace']}/{stored['metadata']['name']}"
