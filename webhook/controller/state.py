"""What the controller knows of the cluster, watched, and how it reaches it."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from webhook.capacity.demand import PodDemand
from webhook.capacity.sloconfig import Configuration
from webhook.controller.caches import (
    RUNNING_PODS,
    KnownMetric,
    KnownNode,
    configuration_store,
    lease_store,
    metric_store,
    node_store,
    pod_store,
)
from webhook.kube.client import Client
from webhook.kube.indexer import Indexer
from webhook.kube.paths import NODES, PODS, collection
from webhook.kube.reflector import Reflector
from webhook.kube.store import Store
from webhook.kube.timestamps import utc_now
from webhook.protocol import KOORD_MANAGER_LEASE, NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE

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
    configurations: Store[Configuration] = field(default_factory=configuration_store, init=False)
    leases: Store[dt.datetime] = field(default_factory=lease_store, init=False)
    reflectors: Mapping[str, Reflector] = field(init=False)
    _configuration: Configuration = field(default=_OFF, init=False)

    def __post_init__(self) -> None:
        """Say what is watched."""
        namespace, name = self.config
        api, leases = self.api, collection("coordination.k8s.io/v1", "leases")
        self.reflectors = {
            "nodes": Reflector(api, NODES, self.nodes),
            "nodemetrics": Reflector(
                api, collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE), self.metrics
            ),
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
        """Whether everything has been listed once; NodeMetrics may be no kind of this cluster."""
        stores = (self.nodes, self.pods, self.configurations, self.leases)
        return all(each.synced for each in stores) and (self.metrics.synced or not self.nodemetrics_served)

    @property
    def nodemetrics_served(self) -> bool:
        """Whether the cluster has the kind NodeMetric, as far as it is known."""
        error = self.reflectors["nodemetrics"].contact.error
        return error is None or f" {HTTPStatus.NOT_FOUND.value}: " not in error

    @property
    def configuration(self) -> Configuration:
        """Return the ConfigMap's content; while it does not exist, what it was last, at first: off."""
        found = self.configurations.values.get(self.config)
        if found is not None:
            self._configuration = found
        return self._configuration
