"""Pods of five kinds on a node and every setting of their cgroups, the kubelet's and as an agent makes it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.e2e.cluster.kubectl import Kubectl, Object
from tests.e2e.cluster.processes import eventually
from tests.e2e.node.machine.node import NAME, Node
from tests.e2e.node.workloads.groups import hierarchy
from tests.e2e.node.workloads.pods import batch, burner, container, running, wait_for_room
from webhook.cpuset.cpulist import format_cpulist
from webhook.protocol import ANNOTATION_EXTENDED_RESOURCE_SPEC, MID_CPU, MID_MEMORY, KubeQoS

NAMES: Final = {
    "own": KubeQoS.GUARANTEED,
    "online": KubeQoS.GUARANTEED,
    "mid": KubeQoS.BEST_EFFORT,
    "batch": KubeQoS.BEST_EFFORT,
    "plain": KubeQoS.BEST_EFFORT,
}
"""An LSE pod with a CPU of its own, an LS pod with a quota, which may burst, one with mid resources, a batch
pod, and one without a class."""

MEMORY: Final = 64 << 20
_LS: Final = {"koordinator.sh/qosClass": "LS"}
_CPUS = sorted(os.sched_getaffinity(0))
OWN: Final = format_cpulist(frozenset(_CPUS[:1]))
REST: Final = format_cpulist(frozenset(_CPUS[1:]))
ALL: Final = format_cpulist(frozenset(_CPUS))
# What counts, what acts when it is written, and lists of processes: everything but settings.
NO_SETTING = re.compile(
    r"tasks|cgroup\..*|cpuacct\..*|.*(usage|failcnt|stat|pressure|force_empty|oom_control).*", re.ASCII
)


def planned() -> dict[str, str]:
    """What an agent writes for these pods, by ``POD PART FILE``."""
    sets = {
        f"{name} {part} cpuset.cpus": OWN if name == "own" else REST
        for name in NAMES
        for part in ("pod", "container", "sandbox")
    }
    return sets | {
        "own pod cpu.cfs_quota_us": "-1",
        "own container cpu.cfs_quota_us": "-1",
        "online pod cpu.cfs_burst_us": "10000",
        "online container cpu.cfs_burst_us": "10000",
        "mid pod cpu.cfs_quota_us": "30000",
        "mid container cpu.cfs_quota_us": "30000",
        "mid pod memory.limit_in_bytes": str(MEMORY),
        "mid container memory.limit_in_bytes": str(MEMORY),
        "mid container cpu.shares": "307",
        "batch pod cpu.cfs_quota_us": "50000",
        "batch container cpu.cfs_quota_us": "50000",
        "batch pod memory.limit_in_bytes": str(MEMORY),
        "batch container memory.limit_in_bytes": str(MEMORY),
        "batch container cpu.shares": "512",
        "batch pod cpu.idle": "1",
        "batch pod cpu.shares": "3",  # by the kernel, for it is idle
    }


class Colocated:
    """The pods, running."""

    def __init__(self, kubectl: Kubectl, node: Node, namespace: str) -> None:
        """Make them, and wait for them."""
        self.namespace = namespace
        self._kubectl = kubectl
        self._hierarchy = hierarchy(node)
        own = burner(namespace, "own", figures={"cpu": "1", "memory": "32Mi"})
        own["metadata"]["labels"] = {"koordinator.sh/qosClass": "LSE"}
        status = json.dumps({"cpuset": OWN})
        own["metadata"]["annotations"] = {"scheduling.koordinator.sh/resource-status": status}
        own["spec"]["priorityClassName"] = "koord-prod"
        wait_for_room(kubectl, 1000)
        online = burner(namespace, "online", figures={"cpu": "100m", "memory": "32Mi"}, labels=_LS)
        best_effort = batch(namespace, "batch", cpu="500", memory="64Mi"), burner(namespace, "plain")
        kubectl.create(own, online, _mid(namespace), *best_effort)
        self.pods = {name: running(kubectl, namespace, name) for name in NAMES}
        self.before = self.settings()
        """What the kubelet and the runtime made."""
        self.after = {**self.before, **planned()}
        """What an agent makes of it: nothing else changes."""
        bursts = kubectl.get("nodeslo", NAME)["spec"]["cpuBurstStrategy"]
        assert bursts["policy"] == "cpuBurstOnly", bursts

    def pod(self, name: str) -> Object:
        """One of the pods, as it is stored now."""
        return self._kubectl.get("pod", name, namespace=self.namespace)

    def paths(self) -> dict[str, Path]:
        """The files of all settings, by ``POD PART FILE``."""
        found = {}
        for name in self.pods:
            for part, group in self._groups(name).items():
                for top in set(self._hierarchy.mounts.values()):
                    for path in (top / group).iterdir():
                        if (
                            path.is_file()
                            and path.stat().st_mode & 0o200
                            and not NO_SETTING.fullmatch(path.name)
                        ):
                            found[f"{name} {part} {path.name}"] = path
        return found

    def settings(self) -> dict[str, str]:
        """What stands there."""
        return {name: text for name, path in self.paths().items() if (text := _text(path)) is not None}

    def wait_for(self, wanted: Mapping[str, str], *names: str) -> None:
        """Wait until every setting is as it should be, of the pods named or of all."""
        eventually(lambda: self.assert_as(wanted, *names), seconds=90, what="the settings")

    def assert_as(self, wanted: Mapping[str, str], *names: str) -> bool:
        """Demand that."""
        found = {at: text for at, text in self.settings().items() if at.split()[0] in (names or NAMES)}
        otherwise = {
            at: f"{text} for {wanted.get(at)}" for at, text in found.items() if wanted.get(at) != text
        }
        assert not otherwise, otherwise
        return True

    def written(self, name: str) -> None:
        """Make another batch pod, and wait until an agent has written to it."""
        self._kubectl.create(batch(self.namespace, name, cpu="100", memory="64Mi"))
        stored = running(self._kubectl, self.namespace, name)
        group = self._hierarchy.pod(KubeQoS.BEST_EFFORT, stored["metadata"]["uid"])
        quota = Path(str(self._hierarchy.file("cpu", group, "cpu.cfs_quota_us")))
        limited = lambda: quota.read_text() == "10000\n"  # noqa: E731
        eventually(limited, seconds=90, what="the quota of a pod that has just come")
        self._kubectl.run("-n", self.namespace, "delete", "pod", name, "--grace-period=1", "--timeout=60s")

    def _groups(self, name: str) -> dict[str, str]:
        stored = self.pods[name]
        group = self._hierarchy.pod(NAMES[name], stored["metadata"]["uid"])
        own = container(stored)
        below = self._hierarchy.containers(group)
        others = below.keys() - {own}
        if len(others) != 1:
            raise LookupError(f"{name}: cgroups beside the container's: {sorted(others)}")
        return {"pod": group, "container": below[own], "sandbox": below[others.pop()]}


def _mid(namespace: str) -> Object:
    """A pod whose mid resources its annotation names, as that of a pod that a webhook has translated does."""
    figures = {MID_CPU: "300", MID_MEMORY: "64Mi"}
    resources = {"containers": {"main": {"requests": figures, "limits": figures}}}
    pod = burner(namespace, "mid", labels=_LS)
    pod["metadata"]["annotations"] = {ANNOTATION_EXTENDED_RESOURCE_SPEC: json.dumps(resources)}
    pod["spec"]["priorityClassName"] = "koord-mid"
    return pod


def _text(path: Path) -> str | None:
    """What a file holds; None of one that can only be written."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
