"""A node of 4 cores and 32 GiB whose agent asks for evictions, on a recorded tree, at a fake API server."""

import datetime as dt
from typing import Any

from tests.agent.builders import GI
from tests.agent.cluster import Cluster
from tests.agent.tree import write
from webhook.agent.eviction.asker import REQUESTS, Asker
from webhook.agent.eviction.figures import Figures
from webhook.agent.findings import Findings
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.present import Present
from webhook.eviction.request import NodeRequest, read_request

THRESHOLD = {"enable": True, "memoryEvictThresholdPercent": 70}
BE = {"koordinator.sh/qosClass": "BE", "koordinator.sh/priority-class": "koord-batch"}


class Node:
    """A node of 4 cores and 32 GiB with one BE pod that requests 4 cores of batch CPU."""

    def __init__(self, cluster: Cluster, default: dict[str, Any] | None = None) -> None:
        self.cluster = cluster
        cluster.api.objects.setdefault(REQUESTS, {})
        sized = {"kubernetes.io/batch-cpu": "4k", "kubernetes.io/batch-memory": "4Gi"}
        spec = {"containers": [{"name": "main", "resources": {"requests": sized}}], "priority": 5000}
        cluster.pod("be", "BestEffort", metadata={"labels": BE}, spec={**spec, "nodeName": "n1"})
        cluster.pod("web")
        cluster.heard()
        service = cluster.service
        self.standby = False
        self.findings = Findings()
        asked = {"resourceUsedThresholdWithBE": THRESHOLD}
        cluster.watched.default_slo = asked if default is None else default
        self.asker = Asker(
            cluster.watched,
            Figures(service.sampler, Present(service.hierarchy, KernelFiles())),
            self.findings,
            service.applier,
            cluster.registry,
            lambda: self.standby,
            cluster.tree.clock,
        )

    def limit(self, quota: int) -> None:
        """Give the BE pod a quota, in microseconds of 100,000."""
        pod, top = "kubepods/besteffort/poduid-be", "sys/fs/cgroup"
        files = {
            f"{top}/cpuset/{pod}/cpuset.cpus": "0-3\n",
            f"{top}/cpu/{pod}/cpu.cfs_quota_us": f"{quota}\n",
            f"{top}/cpu/{pod}/cpu.cfs_period_us": "100000\n",
        }
        write(self.cluster.tree.root, files)
        self.asker._figures._present = Present(self.cluster.tree.hierarchy, KernelFiles())

    def work(self, seconds: int, *, used: int = 24, cores: float = 0.5, steps: bool = True) -> None:
        """Let time pass: so many GiB of the node are used, and the BE pod works on so many cores."""
        for _ in range(seconds):
            tree = self.cluster.tree
            tree.now += 1
            self.cluster.now += dt.timedelta(seconds=1)
            tree.machine(3.0, used * GI)
            tree.group("kubepods", 2.0, 6 * GI)
            tree.group("kubepods/besteffort/poduid-be", cores, 5 * GI)
            self.cluster.service.sampler.look(self.cluster.watched.pods_now())
            if steps:
                self.asker.step()

    @property
    def writes(self) -> int:
        """How often it was written."""
        return int(self.cluster.api.requests["PATCH", f"{REQUESTS}/n1"])

    @property
    def request(self) -> NodeRequest:
        """What is asked for, as the controller reads it."""
        return read_request(self.cluster.api.objects[REQUESTS]["", "n1"])
