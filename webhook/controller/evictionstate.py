"""What eviction knows of the cluster, watched: what nodes ask for, pods that may go, and the nodes."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Final

from webhook.controller.caches import KnownNode, node_store
from webhook.eviction.candidates import Candidate, read_candidate
from webhook.eviction.offers import offers
from webhook.eviction.request import NodeFacts, NodeRequest, read_request
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.reflector import Reflector
from webhook.kube.cache.store import Store
from webhook.kube.client import Client
from webhook.kube.paths import NODES, PODS, RUNNING_PODS, collection
from webhook.kube.timestamps import utc_now
from webhook.pods.quantities import NANO
from webhook.protocol import CPU, EVICTION_API_VERSION, EVICTION_RESOURCE, LABEL_QOS_CLASS, MEMORY, QoSClass

REQUESTS: Final = collection(EVICTION_API_VERSION, EVICTION_RESOURCE)
_BE: Final = {"labelSelector": f"{LABEL_QOS_CLASS}={QoSClass.BE}"}


@dataclass(eq=False)
class EvictionState:
    """What is watched; no call before the reflectors run.

    Attributes:
        api: the API server.
        watched_nodes: a store of nodes that somebody else has watched; None: they are watched here.
        nodes: as they are watched, here or elsewhere.
        mid: whether pods of the class mid are watched, too.
        clock: seconds, for waits.
        now: the time of day.
    """

    api: Client
    watched_nodes: InitVar[Store[KnownNode] | None] = None
    _: KW_ONLY
    mid: bool = False
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now
    nodes: Store[KnownNode] = field(init=False)
    requests: Store[NodeRequest] = field(
        default_factory=lambda: Store(lambda _name, raw, _old: read_request(raw)), init=False
    )
    pods: Indexer[Candidate] = field(
        default_factory=lambda: Indexer(lambda _name, raw, _old: read_candidate(raw), lambda pod: pod.node),
        init=False,
    )
    reflectors: Mapping[str, Reflector] = field(init=False)

    def __post_init__(self, watched_nodes: Store[KnownNode] | None) -> None:
        """Say what is watched."""
        selector = RUNNING_PODS if self.mid else {**RUNNING_PODS, **_BE}
        reflectors = {
            "nodeevictionrequests": Reflector(self.api, REQUESTS, self.requests),
            "pods-to-evict": Reflector(self.api, PODS, self.pods, selector=selector),
        }
        if watched_nodes is None:
            self.nodes = node_store()
            reflectors["nodes"] = Reflector(self.api, NODES, self.nodes)
        else:
            self.nodes = watched_nodes
        self.reflectors = reflectors

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return self.requests.synced and self.pods.synced and self.nodes.synced

    def node(self, name: str) -> NodeFacts | None:
        """Return a node; None: there is none of that name."""
        known = self.nodes.values.get(("", name))
        if known is None:
            return None
        node = known.node
        capacity, reserved = node.capacity, node.kubelet_reserved
        native = {
            CPU: (capacity.cpu - reserved.cpu) * 1000 // NANO,
            MEMORY: (capacity.memory - reserved.memory) // NANO,
        }
        return NodeFacts(
            known.uid,
            capacity.cpu * 1000 // NANO,
            capacity.memory // NANO,
            offers(node.published, known.annotation, native),
        )
