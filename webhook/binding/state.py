"""The cluster as binding sees it: the API server, what is watched of it, and the time."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from webhook.binding.caches import NODES, PODS, TOPOLOGIES, Nodes, Object, PodStore
from webhook.binding.ledgers import Ledgers
from webhook.binding.nodetopology import NodeTopology, NodeTopologyError
from webhook.kube.client import READ_SECONDS, ApiError, Client
from webhook.kube.store import Store
from webhook.kube.timestamps import utc_now

_LEAST_SECONDS: Final = 0.05


class OutOfTimeError(Exception):
    """There was no time left for another call; nothing is promised to the pod."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What reviews, repairs and the reconciler share.

    Attributes:
        api: the API server.
        pods: LSE and LSR pods.
        waiting: uids of the other pods that wait for a node.
        nodes: nodes and their topologies.
        ledgers: who holds which CPUs.
        clock: seconds, for what has to end in time.
        now: for what is written.
    """

    api: Client
    pods: PodStore
    waiting: Store[str]
    nodes: Nodes
    ledgers: Ledgers
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now

    @property
    def synced(self) -> bool:
        """Whether everything has been read once. Topologies may be missing: their kind is optional."""
        parts = (self.pods, self.waiting, self.nodes.nodes, self.ledgers.store)
        return all(store.synced for store in parts)

    def live_pod(self, namespace: str, name: str, *, timeout: float = READ_SECONDS) -> Object | None:
        """Return a pod as it is stored, None where there is none; raises ApiError."""
        return self._read(pod_path(namespace, name), timeout)

    def pods_on(self, node: str, *, timeout: float = READ_SECONDS) -> list[Object]:
        """Return all pods that are bound to a node, of whatever class; raises ApiError."""
        query = {"fieldSelector": f"spec.nodeName={node}"}
        return self.api.call("GET", PODS, query=query, timeout=timeout).get("items") or []

    def machine(self, name: str, end: float) -> NodeTopology:
        """Return a node's machine, asking for Node and topology where they are not known yet.

        Raises:
            NodeTopologyError: there is no such node, or its CPUs are not known.
            ApiError: the API server did not answer.
            OutOfTimeError: there was no time to ask.
        """
        nodes = self.nodes
        try:
            return nodes.machine(name)
        except NodeTopologyError:
            for path, store in ((NODES, nodes.nodes), (TOPOLOGIES, nodes.topologies)):
                if ("", name) not in store.values:
                    raw = self._read(f"{path}/{quote(name, safe='')}", self.left(end))
                    if raw is not None:
                        store.learn(raw, None)
        return nodes.machine(name)

    def left(self, end: float) -> float:
        """Return the seconds that are left; raises OutOfTimeError."""
        left = end - self.clock()
        if left < _LEAST_SECONDS:
            raise OutOfTimeError("no time is left for another call to the API server")
        return left

    def _read(self, path: str, timeout: float) -> Object | None:
        try:
            return self.api.get(path, timeout=timeout)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise


def pod_path(namespace: str, name: str) -> str:
    """Return where a pod is."""
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
