"""A fake API server with a node, and one replica of the controller that a test steps."""

import datetime as dt
from typing import Any

from prometheus_client import CollectorRegistry

from tests.kube.fakeapi import FakeApi
from tests.kube.fakerequests import selected
from tests.waiting import until
from webhook.controller.service import ControllerService
from webhook.controller.state import State
from webhook.kube.cache.reflector import Reflector
from webhook.kube.lease import Lease

NODES, PODS, CONFIGMAPS = "/api/v1/nodes", "/api/v1/pods", "/api/v1/namespaces/k/configmaps"
METRICS = "/apis/slo.koordinator.sh/v1alpha1/nodemetrics"
SLOS = "/apis/slo.koordinator.sh/v1alpha1/nodeslos"
LEASES = "/apis/coordination.k8s.io/v1/leases"
BATCH_CPU = "kubernetes.io/batch-cpu"


class Cluster:
    """A fake API server with a node, and one replica of the controller that a test steps."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        for path in (
            NODES,
            PODS,
            CONFIGMAPS,
            METRICS,
            SLOS,
            LEASES,
            "/apis/coordination.k8s.io/v1/namespaces/n/leases",
        ):
            api.objects.setdefault(path, {})
        self.now = dt.datetime(2026, 1, 31, 8, 0, 42, tzinfo=dt.UTC)
        self.seconds = 1000.0
        self.replica("one")

    def replica(self, identity: str) -> None:
        """Begin anew, as another process."""
        state = State(
            self.api.api(), ("k", "slo-controller-config"), clock=lambda: self.seconds, now=lambda: self.now
        )
        lease = Lease(
            state.api, "n", "l", identity=identity, clock=lambda: self.seconds, now=lambda: self.now
        )
        self.service = ControllerService(state, lease, CollectorRegistry())
        self.state, self.controller = state, self.service.capacity

    def put(self, *objects: dict[str, Any]) -> None:
        """Store objects."""
        paths = {
            "Node": NODES, "Pod": PODS, "NodeMetric": METRICS, "NodeSLO": SLOS, "ConfigMap": CONFIGMAPS
        }  # fmt: skip
        for each in objects:
            metadata = {key: value for key, value in each["metadata"].items() if key != "resourceVersion"}
            rest = {key: value for key, value in each.items() if key not in {"kind", "metadata"}}
            namespace = "k" if each["kind"] == "ConfigMap" else metadata.get("namespace", "")
            self.api.put(
                paths[each["kind"]],
                metadata["name"],
                namespace,
                metadata={"uid": metadata["name"], **metadata},
                **rest,
            )

    def offers(self, name: str = "node-1") -> dict[str, str]:
        """Return what a node says."""
        allocatable = self.api.objects[NODES]["", name]["status"]["allocatable"]
        return {key: value for key, value in allocatable.items() if "/" in key}

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.seconds += seconds
        self.now += dt.timedelta(seconds=seconds)


def heard(cluster: Cluster, *objects: dict[str, Any]) -> None:
    """Store objects and wait until they, and what was written meanwhile, were heard of."""
    cluster.put(*objects)

    def newest(reflector: Reflector) -> int:
        with cluster.api.lock:
            stored = list(cluster.api.objects.get(reflector._path, {}).values())
        watched = (each for each in stored if selected(each, reflector.selector))
        return max((int(each["metadata"]["resourceVersion"]) for each in watched), default=0)

    reflectors = cluster.state.reflectors.values()
    until(lambda: all(int(each._version or 0) >= newest(each) for each in reflectors))


def taker_of(cluster: Cluster) -> Lease:
    """Return the Lease as another process sees it."""
    state = cluster.state
    return Lease(
        state.api, "n", "l", identity="taker", clock=lambda: cluster.seconds, now=lambda: cluster.now
    )
