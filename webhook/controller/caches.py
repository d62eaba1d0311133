"""What the controller watches: nodes, their metrics, SLOs and pods, the configuration, a foreign Lease."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from webhook.capacity.demand import PodDemand, read_pod
from webhook.capacity.node import Node, read_node
from webhook.capacity.nodemetric import NodeMetric, read_nodemetric
from webhook.capacity.sloconfig import Configuration, read_configuration
from webhook.capacity.strategy import StrategyError
from webhook.kube.apply import Path, managers, owned_fields
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.store import Store
from webhook.pods.moments import read_moment
from webhook.protocol import ANNOTATION_CAPACITY, CAPACITY_MANAGER, LABEL_MANAGED_BY
from webhook.slo.strategies import Strategies, canonical, merged, read_strategies

_log = logging.getLogger(__name__)

Object = Mapping[str, Any]
_Key = tuple[str, str]

_PUBLISHED: Final = (("metadata", "annotations"), ("status", "capacity"), ("status", "allocatable"))
"""The maps of a node into which we write."""


class KnownNode(NamedTuple):
    """A node, and what we have written into it.

    Attributes:
        node: as it was read.
        uid: of the object: another one of that name is another machine.
        annotation: our own annotation as it stands there; "" where there is none.
        fields: its figures and annotations that are ours.
    """

    node: Node
    uid: str
    annotation: str
    fields: frozenset[Path]

    @property
    def owned(self) -> bool:
        """Whether anything of it is ours."""
        return bool(self.fields)


class KnownMetric(NamedTuple):
    """A NodeMetric, the policy by which it is collected, and its uid if we made it, else ""."""

    metric: NodeMetric
    policy: Mapping[str, Any]
    uid: str


class KnownSLO(NamedTuple):
    """A NodeSLO.

    Attributes:
        uid: of the object.
        spec: as `canonical` writes it.
        owned: whether fields of it are ours.
        shared: whether fields of it are somebody else's.
    """

    uid: str
    spec: bytes
    owned: bool
    shared: bool

    def has(self, wanted: bytes) -> bool:
        """Whether every field of a spec stands in this one."""
        spec = orjson.loads(self.spec)
        return bool(merged(spec, orjson.loads(wanted)) == spec)


class KnownConfig(NamedTuple):
    """The ConfigMap, read: for us, and for agents."""

    configuration: Configuration
    strategies: Strategies


def pod_store() -> Indexer[PodDemand]:
    """Return a store of bound pods."""
    return Indexer(lambda _name, raw, _old: read_pod(raw), lambda pod: pod.node)


def node_store() -> Store[KnownNode]:
    """Return a store of nodes."""
    return Store(_known_node)


def metric_store() -> Store[KnownMetric]:
    """Return a store of NodeMetrics."""

    def read(_name: str, raw: Object, _old: object) -> KnownMetric:
        metadata = raw["metadata"]
        made = (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) == CAPACITY_MANAGER
        policy = (raw.get("spec") or {}).get("metricCollectPolicy") or {}
        return KnownMetric(read_nodemetric(raw), policy, metadata.get("uid", "") if made else "")

    return Store(read)


def slo_store() -> Store[KnownSLO]:
    """Return a store of NodeSLOs."""

    def read(_name: str, raw: Object, _old: object) -> KnownSLO:
        metadata = raw["metadata"]
        whose = managers(metadata)
        return KnownSLO(
            metadata.get("uid", ""),
            canonical(raw.get("spec") or {}),
            CAPACITY_MANAGER in whose,
            bool(whose - {CAPACITY_MANAGER}),
        )

    return Store(read)


def configuration_store() -> Store[KnownConfig]:
    """Return a store of the one ConfigMap; while a key cannot be read, what it said last is kept."""

    def read(name: str, raw: Object, old: KnownConfig | None) -> KnownConfig:
        data = raw.get("data") or {}
        strategies = read_strategies(data, old.strategies if old is not None else None)
        for finding in strategies.findings if old is None or strategies != old.strategies else ():
            _log.error("ConfigMap %s: %s", name, finding)
        configuration = old.configuration if old is not None else Configuration()
        try:
            configuration = read_configuration(data)
        except StrategyError as error:
            _log.error(
                "ConfigMap %s cannot be used, %s: %s",
                name,
                "the last one is kept" if old is not None else "colocation is off",
                error,
            )
        if old is not None and configuration == old.configuration:
            configuration = old.configuration  # what nodes were looked at with: nothing has to be done again
        return KnownConfig(configuration, strategies)

    return Store(read)


def lease_store() -> Store[dt.datetime]:
    """Return a store of Leases: when each was renewed last; those without a holder are left out."""

    def read(_name: str, raw: Object, _old: object) -> dt.datetime | None:
        spec = raw.get("spec") or {}
        if not spec.get("holderIdentity"):
            return None
        return read_moment(spec.get("renewTime"))

    return Store(read)


def _known_node(_name: str, raw: Object, _old: object) -> KnownNode:
    metadata = raw["metadata"]
    return KnownNode(
        read_node(raw),
        metadata.get("uid", ""),
        (metadata.get("annotations") or {}).get(ANNOTATION_CAPACITY, ""),
        owned_fields(metadata, _PUBLISHED, CAPACITY_MANAGER),
    )
