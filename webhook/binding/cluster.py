"""The cluster as binding sees it: the API server, what is watched of it, and the time."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from webhook.binding.machine import Machine, MachineError
from webhook.binding.shelves import NODES, PODS, TOPOLOGIES, Nodes, Object, PodShelf
from webhook.binding.store import Ledgers
from webhook.cluster.api import READ_SECONDS, Api, ApiError
from webhook.cluster.picture import Shelf

_LEAST_SECONDS: Final = 0.05


class OutOfTimeError(Exception):
    """There was no time left for another call; nothing is promised to the pod."""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


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

    api: Api
    pods: PodShelf
    waiting: Shelf[str]
    nodes: Nodes
    ledgers: Ledgers
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = _utc_now

    @property
    def synced(self) -> bool:
        """Whether everything has been read once. Topologies may be missing: their kind is optional."""
        parts = (self.pods, self.waiting, self.nodes.nodes, self.ledgers.shelf)
        return all(shelf.synced for shelf in parts)

    def live_pod(self, namespace: str, name: str, *, timeout: float = READ_SECONDS) -> Object | None:
        """Return a pod as it is stored, None where there is none; raises ApiError."""
        return self._read(pod_path(namespace, name), timeout)

    def pods_on(self, node: str, *, timeout: float = READ_SECONDS) -> list[Object]:
        """Return all pods that are bound to a node, of whatever class; raises ApiError."""
        query = {"fieldSelector": f"spec.nodeName={node}"}
        return self.api.call("GET", PODS, query=query, timeout=timeout).get("items") or []

    def machine(self, name: str, end: float) -> Machine:
        """Return a node's machine, asking for Node and topology where they are not known yet.

        Raises:
            MachineError: there is no such node, or its CPUs are not known.
            ApiError: the API server did not answer.
            OutOfTimeError: there was no time to ask.
        """
        nodes = self.nodes
        try:
            return nodes.machine(name)
        except MachineError:
            for path, shelf in ((NODES, nodes.nodes), (TOPOLOGIES, nodes.topologies)):
                if ("", name) not in shelf.values:
                    raw = self._read(f"{path}/{quote(name, safe='')}", self.left(end))
                    if raw is not None:
                        shelf.learn(raw, None)
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
