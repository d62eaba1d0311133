"""A fake API server with one node, and an agent's parts on a recorded tree, which a test steps."""

import datetime as dt
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from tests.agent.builders import GI, MI, Tree, pod
from tests.agent.tree import write
from tests.kube.fakeapi import FakeApi
from tests.waiting import until
from webhook.agent.service import AgentService
from webhook.agent.statefolder import StateFolder
from webhook.agent.watched import NODEMETRICS, NODESLOS, TOPOLOGIES, Watched

NODES: Final = "/api/v1/nodes"
PODS: Final = "/api/v1/pods"


class Cluster:
    """One node with its agent.

    Attributes:
        api: the fake API server.
        tree: the node's files.
        now: the time of day.
        service: the agent, of which nothing runs.
        registry: of its metrics.
    """

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api = api
        for path in (NODES, PODS, NODEMETRICS, NODESLOS, TOPOLOGIES):
            api.objects.setdefault(path, {})
        self.tree = Tree(folder / "root")
        self.state = folder / "state"
        self.state.mkdir()
        self.now = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
        for cpu in range(4):
            topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
            write(
                self.tree.root, {f"{topology}/physical_package_id": "0\n", f"{topology}/core_id": f"{cpu}\n"}
            )
        write(self.tree.root, {"sys/devices/system/cpu/online": "0-3\n"})
        self.node()
        self.restart()

    def restart(self) -> None:
        """Put another agent together, as a new process."""
        self.registry = CollectorRegistry()
        watched = Watched(self.api.api(), "n1", lambda: self.now)
        kubelet = self.tree.root / "kubelet"
        kubelet.mkdir(exist_ok=True)
        self.service = AgentService(
            watched, self.tree.hierarchy, StateFolder(self.state), self.registry, self.tree.root, kubelet
        )
        sampler, publisher = self.service.sampler, self.service.publisher
        sampler._clock = publisher.clock = self.service.applier.pauses.clock = self.tree.clock
        self.service.host.clock = self.tree.clock

    @property
    def watched(self) -> Watched:
        """Return what the agent watches."""
        return self.service.watched

    def node(self, **annotations: str) -> None:
        """Store the node."""
        self.api.put(
            NODES,
            "n1",
            metadata={"uid": "uid-n1", "annotations": annotations},
            status={"allocatable": {"cpu": "4", "memory": "32Gi"}},
        )

    def metric(self, **fields: Any) -> None:
        """Store the node's NodeMetric, as the controller makes it."""
        policy = {"aggregateDurationSeconds": 300, "reportIntervalSeconds": 60}
        self.api.put(NODEMETRICS, "n1", spec={"metricCollectPolicy": policy}, **fields)

    def slo(self, **spec: Any) -> None:
        """Store the node's NodeSLO."""
        self.api.put(NODESLOS, "n1", spec=spec)

    def pod(self, name: str, qos: str = "Burstable", **over: Any) -> None:
        """Store a pod of the node."""
        made = pod(name, qos, **over)
        metadata = made.pop("metadata")
        self.api.put(PODS, name, "shop", metadata=metadata, **made)

    def heard(self) -> None:
        """Wait until the agent has heard of everything."""
        stores = {
            NODES: self.watched.nodes,
            PODS: self.watched.pods,
            NODEMETRICS: self.watched.metrics,
            NODESLOS: self.watched.slos,
        }
        until(
            lambda: all(
                self.api.objects[path].keys() == store.values.keys() for path, store in stores.items()
            )
        )

    def work(self, seconds: int, *names: str) -> None:
        """Let time pass: the node uses 3 cores, 2 of them its pods; each pod named half a core."""
        for _ in range(seconds):
            self.tree.now += 1
            self.now += dt.timedelta(seconds=1)
            self.tree.machine(3.0, 8 * GI)
            self.tree.group("kubepods", 2.0, 2 * GI)
            for name in names:
                self.tree.group(f"kubepods/burstable/poduid-{name}", 0.5, 100 * MI)
            self.service.sampler.look(self.watched.pods_now())
            self.service.publisher.step()

    def wait(self, seconds: float) -> None:
        """Let time pass in which nobody looks, and the agent publish what is due then."""
        self.tree.now += seconds
        self.now += dt.timedelta(seconds=seconds)
        self.service.publisher.step()

    @property
    def status(self) -> dict[str, Any]:
        """Return the status of the NodeMetric, {} where it has none."""
        found: dict[str, Any] = self.api.objects[NODEMETRICS]["", "n1"].get("status", {})
        return found

    @property
    def topology(self) -> dict[str, Any]:
        """Return the NodeResourceTopology, {} where there is none."""
        found: dict[str, Any] = self.api.objects[TOPOLOGIES].get(("", "n1"), {})
        return found
