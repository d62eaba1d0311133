"""The state that binding works on: what is watched of the cluster, the ledgers, and deadlines."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from webhook.binding.caches import TOPOLOGIES, Nodes, Object, trim_node
from webhook.binding.ledgers import Ledgers
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.store import Store
from webhook.kube.client import Client
from webhook.kube.paths import NODES, PODS, member, pod
from webhook.kube.timestamps import utc_now
from webhook.pods.nodes.nodefit import misfit
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError

_LEAST_SECONDS: Final = 0.05


class OutOfTimeError(Exception):
    """There was no time left for another call; nothing is promised to the pod."""


class Deadline(NamedTuple):
    """A moment by which something has to be done.

    Attributes:
        at: in seconds, on the clock.
        clock: seconds.
    """

    at: float
    clock: Callable[[], float]

    def left(self) -> float:
        """Return the seconds that are left for a call; raises OutOfTimeError."""
        left = self.at - self.clock()
        if left < _LEAST_SECONDS:
            raise OutOfTimeError("no time is left for another call to the API server")
        return left


@dataclass(frozen=True, slots=True)
class State:
    """What the endpoint, repairs and the reconciler share.

    Attributes:
        api: the API server.
        pods: LSE and LSR pods.
        waiting: uids of the other pods that wait for a node.
        nodes: nodes and their topologies.
        ledgers: who holds which CPUs.
        clock: seconds, for deadlines and ages.
        now: the time of day, for what is written.
    """

    api: Client
    pods: Indexer[Object]
    waiting: Store[str]
    nodes: Nodes
    ledgers: Ledgers
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once. Topologies may be missing: their kind is optional."""
        parts = (self.pods, self.waiting, self.nodes.nodes, self.ledgers.store)
        return all(store.synced for store in parts)

    def deadline(self, seconds: float) -> Deadline:
        """Return the moment so many seconds from now."""
        return Deadline(self.clock() + seconds, self.clock)

    def live_pod(self, namespace: str, name: str, deadline: Deadline) -> Object | None:
        """Return a pod as it is stored, None where it does not exist; raises ApiError, OutOfTimeError."""
        return self.api.find(pod(namespace, name), timeout=deadline.left())

    def misfit(self, pod: Object, node: str, deadline: Deadline) -> str:
        """Say why a pod may not be bound to a node, "" where it may; raises ApiError, OutOfTimeError.

        What is watched may be old: the stored Node is asked before a pod is said not to fit.
        """
        store = self.nodes.nodes
        known = store.values.get(("", node))
        if known is not None and not misfit(pod, known):
            return ""
        raw = self.api.find(member(NODES, node), timeout=deadline.left())
        if raw is None:
            return f"node {node} does not exist"
        store.learn(raw, known)
        return misfit(pod, trim_node(raw))

    def pods_on(self, node: str, deadline: Deadline) -> list[Object]:
        """Return all pods bound to a node, of whatever class; raises ApiError, OutOfTimeError."""
        query = {"fieldSelector": f"spec.nodeName={node}"}
        return self.api.call("GET", PODS, query=query, timeout=deadline.left()).get("items") or []

    def node_topology(self, name: str, deadline: Deadline) -> NodeTopology:
        """Return a node's topology, reading Node and NodeResourceTopology where they are not known yet.

        Raises:
            NodeTopologyError: there is no such node, or its CPUs are not known.
            ApiError: the API server did not answer.
            OutOfTimeError: there was no time to read.
        """
        nodes = self.nodes
        try:
            return nodes.topology_of(name)
        except NodeTopologyError:
            for path, store in ((NODES, nodes.nodes), (TOPOLOGIES, nodes.topologies)):
                if ("", name) not in store.values:
                    raw = self.api.find(member(path, name), timeout=deadline.left())
                    if raw is not None:
                        store.learn(raw, None)
        return nodes.topology_of(name)
