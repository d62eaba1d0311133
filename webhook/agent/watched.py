"""What an agent knows of the cluster: its node, the node's pods, NodeMetric and NodeSLO, watched."""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from webhook.agent.measuring.usage import Use
from webhook.agent.pods import NodePod, pod_store
from webhook.agent.publishing.nodemetric import CollectPolicy, read_collect_policy
from webhook.eviction.offers import offers
from webhook.kube.cache.reflector import Reflector
from webhook.kube.cache.store import Store
from webhook.kube.client import Client
from webhook.kube.paths import NODES, PODS, collection
from webhook.kube.timestamps import utc_now
from webhook.pods.nodes.nodetopology import NODE_ANNOTATIONS
from webhook.pods.pod import annotations, labels, mapping
from webhook.pods.quantities import NANO, QuantityError, parse, text_of
from webhook.protocol import (
    AGENT_MANAGER,
    ANNOTATION_CAPACITY,
    ANNOTATION_CPU_NORMALIZATION_RATIO,
    COLOCATION_RESOURCES,
    CPU,
    MEMORY,
    NODEMETRIC_API_VERSION,
    NODEMETRIC_RESOURCE,
    NODESLO_API_VERSION,
    NODESLO_RESOURCE,
    TOPOLOGY_API_VERSION,
    TOPOLOGY_RESOURCE,
)
from webhook.slo.strategies import Strategies, read_strategies, spec_of

NODEMETRICS: Final = collection(NODEMETRIC_API_VERSION, NODEMETRIC_RESOURCE)
NODESLOS: Final = collection(NODESLO_API_VERSION, NODESLO_RESOURCE)
TOPOLOGIES: Final = collection(TOPOLOGY_API_VERSION, TOPOLOGY_RESOURCE)

_ANNOTATIONS: Final = frozenset({*NODE_ANNOTATIONS, ANNOTATION_CPU_NORMALIZATION_RATIO})
_log = logging.getLogger(__name__)


class KnownNode(NamedTuple):
    """The node: metadata and resources for pods, as far as they are of use; the latter also as numbers.

    Attributes:
        object: the node, as far as it is of use.
        allocatable: cores and bytes for pods.
        uid: of the object.
        offered: milli-cores and bytes by resource, of figures that hold.
    """

    object: Mapping[str, Any]
    allocatable: Use
    uid: str = ""
    offered: Mapping[str, int] = {}


class KnownMetric(NamedTuple):
    """The node's NodeMetric: how to measure, and who else writes its status."""

    policy: CollectPolicy
    foreign: str


@dataclass(eq=False)
class Watched:
    """What is watched; no call before the reflectors run.

    Attributes:
        api: the API server.
        node_name: of the node.
        now: the time of day.
        default_slo: the spec that holds where the node has no NodeSLO, and no ConfigMap says one.
        config: namespace and name of Koordinator's ConfigMap, for a node that has no NodeSLO; None: not read.
    """

    api: Client
    node_name: str
    now: Callable[[], dt.datetime] = utc_now
    default_slo: Mapping[str, Any] = field(default_factory=dict)
    config: tuple[str, str] | None = None
    pods: Store[NodePod] = field(default_factory=pod_store, init=False)
    nodes: Store[KnownNode] = field(default_factory=lambda: Store(_known_node), init=False)
    metrics: Store[KnownMetric] = field(default_factory=lambda: Store(_known_metric), init=False)
    slos: Store[Mapping[str, Any]] = field(default_factory=lambda: Store(_known_slo), init=False)
    strategies: Store[Strategies] = field(default_factory=lambda: Store(_known_strategies), init=False)
    reflectors: dict[str, Reflector] = field(init=False)
    _made: "_Made | None" = field(default=None, init=False)
    _pods: tuple[NodePod, ...] = field(default=(), init=False)
    _pods_at: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Say what is watched."""
        named = {"fieldSelector": f"metadata.name={self.node_name}"}
        on_node = {"fieldSelector": f"spec.nodeName={self.node_name}"}
        self.reflectors = {
            "pods": Reflector(self.api, PODS, self.pods, selector=on_node),
            "node": Reflector(self.api, NODES, self.nodes, selector=named),
            "nodemetric": Reflector(self.api, NODEMETRICS, self.metrics, selector=named),
            "nodeslo": Reflector(self.api, NODESLOS, self.slos, selector=named),
        }
        if self.config is not None:
            namespace, name = self.config
            path, one = collection("v1", "configmaps", namespace), {"fieldSelector": f"metadata.name={name}"}
            self.reflectors["configmap"] = Reflector(self.api, path, self.strategies, selector=one)

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once; two of the kinds may be none of this cluster."""
        optional = (("nodemetric", self.metrics.synced), ("nodeslo", self.slos.synced))
        return (
            self.pods.synced
            and self.nodes.synced
            and (self.config is None or self.strategies.synced)
            and all(synced or not self.reflectors[name].contact.served for name, synced in optional)
        )

    @property
    def node(self) -> KnownNode | None:
        """Return the node; None: there is none of that name."""
        return self.nodes.values.get(("", self.node_name))

    @property
    def metric(self) -> KnownMetric | None:
        """Return the node's NodeMetric; None: there is none."""
        return self.metrics.values.get(("", self.node_name))

    @property
    def slo(self) -> Mapping[str, Any] | None:
        """Return the spec of the node's NodeSLO, else what the ConfigMap says; None: there is neither.

        It is the same object for as long as it says the same.
        """
        found = self.slos.values.get(("", self.node_name))
        if found is not None or self.config is None:
            return found
        node, made = self.node, self._made
        # One that is deleted goes on as it was, as in Koordinator.
        strategies = self.strategies.values.get(self.config, made.strategies if made is not None else None)
        if strategies is None or node is None:
            return None
        labels = node.object["metadata"]["labels"]
        if made is None or made.strategies is not strategies or made.labels != labels:
            made = self._made = _Made(strategies, labels, spec_of(strategies, labels))
        return made.spec

    def pods_now(self) -> tuple[NodePod, ...]:
        """Return the node's pods: the same tuple for as long as no pod changes."""
        with self.pods.lock:
            if self._pods_at != self.pods.revision:
                self._pods, self._pods_at = tuple(self.pods.values.values()), self.pods.revision
            return self._pods


def standby(pods: Iterable[NodePod], metric: KnownMetric | None) -> str:
    """Return why an agent has to stand by: Koordinator's own works on this node; "" where it does not."""
    for pod in pods:
        if pod.koordlet and not pod.finished:
            return f"koordlet runs on this node, as pod {pod.namespace}/{pod.name}"
    if metric is not None and metric.foreign:
        return (
            f"{metric.foreign} writes the status of this node's NodeMetric; if it no longer runs, delete the "
            "NodeMetric, which the controller makes again"
        )
    return ""


def _known_node(name: str, raw: Mapping[str, Any], _old: object) -> KnownNode:
    metadata = raw["metadata"]
    kept = {
        "name": name,
        "uid": metadata.get("uid", ""),
        "labels": dict(labels(raw)),
        "annotations": {key: text for key, text in annotations(raw).items() if key in _ANNOTATIONS},
    }
    status = raw.get("status") or {}
    allocatable = status.get("allocatable") or {}
    mine = {
        name: {each: of[each] for each in (CPU, MEMORY) if each in of}
        for name in ("capacity", "allocatable")
        if (of := status.get(name))
    }
    if version := mapping(status.get("nodeInfo")).get("kubeletVersion"):
        mine["nodeInfo"] = {"kubeletVersion": version}
    return KnownNode(
        {"metadata": kept, "status": mine},
        Use(*(_amount(allocatable.get(each)) for each in (CPU, MEMORY))),
        metadata.get("uid", ""),
        offers(
            {name: int(_amount(allocatable[name])) for name in COLOCATION_RESOURCES & allocatable.keys()},
            annotations(raw).get(ANNOTATION_CAPACITY, ""),
            {CPU: int(_amount(allocatable.get(CPU)) * 1000), MEMORY: int(_amount(allocatable.get(MEMORY)))},
        ),
    )


def _amount(raw: object) -> float:
    """Return a quantity; nothing where there is none, so that nothing is foreseen to be left of it."""
    try:
        return parse(text_of(raw)) / NANO
    except QuantityError:
        return 0.0


class _Made(NamedTuple):
    """The spec that a ConfigMap says for a node of these labels."""

    strategies: Strategies
    labels: Mapping[str, str]
    spec: Mapping[str, Any]


def _known_strategies(name: str, raw: Mapping[str, Any], old: Strategies | None) -> Strategies:
    """Read the ConfigMap; while a key cannot be read, what it said last is kept."""
    found = read_strategies(raw.get("data") or {}, old)
    if old is not None and found == old:
        return old
    for finding in found.findings:
        _log.warning("ConfigMap %s: %s", name, finding)
    return found


def _known_slo(_name: str, raw: Mapping[str, Any], _old: object) -> Mapping[str, Any]:
    spec = raw.get("spec")
    return spec if isinstance(spec, dict) else {}


def _known_metric(_name: str, raw: Mapping[str, Any], _old: object) -> KnownMetric:
    managers = (raw.get("metadata") or {}).get("managedFields") or ()
    foreign = {
        str(each.get("manager"))
        for each in managers
        if isinstance(each, dict)
        and each.get("manager") != AGENT_MANAGER
        and "f:status" in (each.get("fieldsV1") or {})
    }
    return KnownMetric(read_collect_policy(raw.get("spec")), " and ".join(sorted(foreign)))
