"""What the controller watches: nodes, their metrics and pods, the configuration, a foreign Lease."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.capacity.demand import PodDemand, read_pod
from webhook.capacity.node import Node, read_node
from webhook.capacity.nodemetric import NodeMetric, read_nodemetric
from webhook.capacity.sloconfig import Configuration, read_configuration
from webhook.capacity.strategy import StrategyError
from webhook.kube.indexer import Indexer
from webhook.kube.store import Store
from webhook.protocol import ANNOTATION_CAPACITY, CAPACITY_MANAGER

_log = logging.getLogger(__name__)

Object = Mapping[str, Any]
_Key = tuple[str, str]

RUNNING_PODS: Final = {"fieldSelector": "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"}
"""Pods that are bound and have not ended."""


class KnownNode(NamedTuple):
    """A node, and what we have written into it.

    Attributes:
        node: as it was read.
        uid: of the object: another one of that name is another machine.
        annotation: our own annotation as it stands there; "" where there is none.
        owned: whether fields of its status are ours.
    """

    node: Node
    uid: str
    annotation: str
    owned: bool


class KnownMetric(NamedTuple):
    """A NodeMetric, and the policy by which it is collected."""

    metric: NodeMetric
    policy: Mapping[str, Any]


def pod_store() -> Indexer[PodDemand]:
    """Return a store of bound pods."""
    return Indexer(lambda _name, raw, _old: read_pod(raw), lambda pod: pod.node)


def node_store() -> Store[KnownNode]:
    """Return a store of nodes."""
    return Store(_known_node)


def metric_store() -> Store[KnownMetric]:
    """Return a store of NodeMetrics."""
    return Store(
        lambda _name, raw, _old: KnownMetric(
            read_nodemetric(raw), (raw.get("spec") or {}).get("metricCollectPolicy") or {}
        )
    )


def configuration_store() -> Store[Configuration]:
    """Return a store of the one ConfigMap; while it cannot be read, the last one that could be is kept."""

    def read(name: str, raw: Object, old: Configuration | None) -> Configuration | None:
        try:
            return read_configuration(raw.get("data") or {})
        except StrategyError as error:
            _log.error(
                "ConfigMap %s cannot be used, %s: %s",
                name,
                "the last one is kept" if old is not None else "colocation is off",
                error,
            )
            return old

    return Store(read)


def lease_store() -> Store[dt.datetime]:
    """Return a store of Leases: when each was renewed last; those without a holder are left out."""

    def read(_name: str, raw: Object, _old: object) -> dt.datetime | None:
        spec = raw.get("spec") or {}
        if not spec.get("holderIdentity"):
            return None
        try:
            renewed = dt.datetime.fromisoformat(str(spec.get("renewTime")))
        except ValueError:
            return None
        return renewed if renewed.tzinfo else None

    return Store(read)


def _known_node(_name: str, raw: Object, _old: object) -> KnownNode:
    metadata = raw["metadata"]
    managers = metadata.get("managedFields") or ()
    return KnownNode(
        read_node(raw),
        metadata.get("uid", ""),
        (metadata.get("annotations") or {}).get(ANNOTATION_CAPACITY, ""),
        any(isinstance(each, dict) and each.get("manager") == CAPACITY_MANAGER for each in managers),
    )
