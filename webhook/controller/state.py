"""What the controller knows of the cluster, watched, and how it reaches it."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from webhook.capacity.demand import PodDemand
from webhook.capacity.sloconfig import Configuration
from webhook.controller.caches import (
    KnownConfig,
    KnownMetric,
    KnownNode,
    KnownSLO,
    configuration_store,
    lease_store,
    metric_store,
    node_store,
    pod_store,
    slo_store,
)
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.reflector import Reflector
from webhook.kube.cache.store import Store
from webhook.kube.client import Client
from webhook.kube.paths import NODES, PODS, RUNNING_PODS, collection
from webhook.kube.timestamps import utc_now
from webhook.protocol import (
    KOORD_MANAGER_LEASE,
    NODEMETRIC_API_VERSION,
    NODEMETRIC_RESOURCE,
    NODESLO_API_VERSION,
    NODESLO_RESOURCE,
)
from webhook.slo.strategies import Strategies

NODEMETRICS: Final = collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
NODESLOS: Final = collection(NODESLO_API_VERSION, NODESLO_RESOURCE)

_OFF = Configuration()


@dataclass(eq=False)
class State:
    """What is watched; no call before the reflectors run.

    Attributes:
        api: the API server.
        config: namespace and name of the ConfigMap.
        clock: seconds, for waits.
        now: the time of day.
    """

    api: Client
    config: tuple[str, str]
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = utc_now
    nodes: Store[KnownNode] = field(default_factory=node_store, init=False)
    metrics: Store[KnownMetric] = field(default_factory=metric_store, init=False)
    pods: Indexer[PodDemand] = field(default_factory=pod_store, init=False)
    nodeslos: Store[KnownSLO] = field(default_factory=slo_store, init=False)
    configurations: Store[KnownConfig] = field(default_factory=configuration_store, init=False)
    leases: Store[dt.datetime] = field(default_factory=lease_store, init=False)
    reflectors: Mapping[str, Reflector] = field(init=False)
    _last: KnownConfig | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Say what is watched."""
        namespace, name = self.config
        api, leases = self.api, collection("coordination.k8s.io/v1", "leases")
        self.reflectors = {
            "nodes": Reflector(api, NODES, self.nodes),
            "nodemetrics": Reflector(api, NODEMETRICS, self.metrics),
            "nodeslos": Reflector(api, NODESLOS, self.nodeslos),
            "pods": Reflector(api, PODS, self.pods, selector=RUNNING_PODS),
            "configmap": Reflector(
                api,
                collection("v1", "configmaps", namespace),
                self.configurations,
                selector={"fieldSelector": f"metadata.name={name}"},
            ),
            "koord-manager": Reflector(
                api, leases, self.leases, selector={"fieldSelector": f"metadata.name={KOORD_MANAGER_LEASE}"}
            ),
        }

    @property
    def synced(self) -> bool:
        """Whether everything was listed once; NodeMetrics and NodeSLOs may be no kinds of this cluster."""
        stores = (self.nodes, self.pods, self.configurations, self.leases)
        return all(each.synced for each in stores) and all(
            store.synced or not self.serves(kind)
            for kind, store in ((NODEMETRIC_RESOURCE, self.metrics), (NODESLO_RESOURCE, self.nodeslos))
        )

    def serves(self, kind: str) -> bool:
        """Whether the cluster has a kind that is watched, as far as it is known."""
        return self.reflectors[kind].contact.served

    @property
    def configuration(self) -> Configuration:
        """Return the ConfigMap's content; while it does not exist, what it was last, at first: off."""
        known = self._known
        return _OFF if known is None else known.configuration

    @property
    def strategies(self) -> Strategies | None:
        """Return what the ConfigMap says to agents, in the same way; None: there was none ever."""
        known = self._known
        return None if known is None else known.strategies

    @property
    def _known(self) -> KnownConfig | None:
        self._last = self.configurations.values.get(self.config, self._last)
        return self._last
