"""Objects of a cluster, sorted into what `estimate` needs of each node."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.capacity.demand import PodDemand, read_pod
from webhook.capacity.estimate import Capacity, estimate
from webhook.capacity.explanation import Explanation, explained
from webhook.capacity.node import Node, read_node
from webhook.capacity.nodemetric import NodeMetric, read_nodemetric
from webhook.capacity.situation import situation_of
from webhook.capacity.sloconfig import Configuration, read_configuration, strategy_of
from webhook.capacity.zones import Zones, read_zones
from webhook.pods.text import shown
from webhook.protocol import NODEMETRIC_KIND, SLO_CONFIGMAP, TOPOLOGY_KIND


class ObjectError(ValueError):
    """An object has not the shape of its kind; the message names it."""


@dataclass(slots=True)
class Inventory:
    """What is known of a cluster.

    Attributes:
        configuration: the ConfigMap's; colocation is off where there is none.
        nodes: by name.
        metrics: NodeMetrics by name, which is the node's.
        pods: by the name of the node to which they are bound.
        zones: NUMA zones, by the node's name.
    """

    configuration: Configuration = field(default_factory=Configuration)
    nodes: dict[str, Node] = field(default_factory=dict)
    metrics: dict[str, NodeMetric] = field(default_factory=dict)
    pods: dict[str, list[PodDemand]] = field(default_factory=dict)
    zones: dict[str, Zones] = field(default_factory=dict)

    def capacity(self, name: str, now: dt.datetime) -> Capacity:
        """Return what a node offers at a time; raises KeyError for an unknown node."""
        node = self.nodes[name]
        strategy = strategy_of(self.configuration, node.labels, node.annotations)
        return estimate(node, self.metrics.get(name), self.pods.get(name, ()), strategy, now)

    def explain(self, name: str, now: dt.datetime) -> Explanation:
        """Return why a node offers what it does; raises KeyError for an unknown node."""
        node, metric = self.nodes[name], self.metrics.get(name, NodeMetric())
        strategy = strategy_of(self.configuration, node.labels, node.annotations)
        at = situation_of(node, metric, self.pods.get(name, ()), strategy, now)
        return explained(at, self.capacity(name, now), self.zones.get(name, Zones()))


def inventory_of(objects: Iterable[Mapping[str, Any]]) -> Inventory:
    """Sort objects by their kind; others are left out.

    Raises:
        StrategyError: the ConfigMap cannot be used.
        ObjectError: another object has not the shape of its kind.
    """
    found = Inventory()
    for each in objects:
        metadata = each.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
        try:
            _take(found, each, name)
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            # Objects of an API server have their kind's shape; what a file has can be anything.
            raise ObjectError(
                f"{each.get('kind')} {shown(name)}: is not of its kind's shape: {error}"
            ) from None
    return found


def _take(found: Inventory, each: Mapping[str, Any], name: object) -> None:
    kind = each.get("kind")
    kinds = ("Node", "Pod", NODEMETRIC_KIND, TOPOLOGY_KIND)
    if kind not in kinds and not (kind == "ConfigMap" and name == SLO_CONFIGMAP):
        return
    if not isinstance(name, str):
        raise TypeError("metadata.name must be a text: quote it")
    if kind == "Node":
        found.nodes[name] = read_node(each)
    elif kind == "Pod":
        pod = read_pod(each)
        found.pods.setdefault(pod.node, []).append(pod)
    elif kind == NODEMETRIC_KIND:
        found.metrics[name] = read_nodemetric(each)
    elif kind == TOPOLOGY_KIND:
        found.zones[name] = read_zones(each)
    else:
        found.configuration = read_configuration(each.get("data") or {})
