"""The watch caches of binding: pods, nodes and their topologies, trimmed as they come.

LSE and LSR pods are kept with all that a decision needs, in whatever state they are. Of the
others only those that wait for a node are kept, and of these only the uid: one look-up then
says that there is nothing to do.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from webhook.binding.recovery import is_finished, node_of
from webhook.cpuset.allocation import Strategy
from webhook.cpuset.sharing import PoolLimit
from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.store import Store
from webhook.kube.paths import collection
from webhook.pods.nodes.nodetopology import (
    NODE_ANNOTATIONS,
    NodeTopology,
    NodeTopologyError,
    read_node_topology,
)
from webhook.pods.pod import SECTIONS, spec
from webhook.pods.resourcespec import BOUND_CLASSES
from webhook.protocol import (
    ANNOTATION_MIRROR_POD,
    ANNOTATION_NUMA_TOPOLOGY_SPEC,
    ANNOTATION_RESOURCE_SPEC,
    ANNOTATION_RESOURCE_STATUS,
    CPU,
    CPUSET_ENABLED,
    LABEL_CPUSET,
    LABEL_IGNORE,
    LABEL_PRIORITY_CLASS,
    LABEL_QOS_CLASS,
    TOPOLOGY_API_VERSION,
    TOPOLOGY_RESOURCE,
)

_log = logging.getLogger(__name__)

TOPOLOGIES: Final = collection(TOPOLOGY_API_VERSION, TOPOLOGY_RESOURCE)

_CLASSES: Final = ",".join(BOUND_CLASSES)
BOUND_CLASS_PODS: Final = {"labelSelector": f"{LABEL_QOS_CLASS} in ({_CLASSES})"}
WAITING_PODS: Final = {
    "labelSelector": f"{LABEL_QOS_CLASS} notin ({_CLASSES})",
    "fieldSelector": "spec.nodeName=",
}

_POD_LABELS: Final = (LABEL_QOS_CLASS, LABEL_PRIORITY_CLASS)
_POD_ANNOTATIONS: Final = (
    ANNOTATION_RESOURCE_SPEC,
    ANNOTATION_RESOURCE_STATUS,
    ANNOTATION_NUMA_TOPOLOGY_SPEC,
    ANNOTATION_MIRROR_POD,
)
_POD_FIELDS: Final = ("nodeName", "priority", "overhead", "resources")
_PLACEMENT_FIELDS: Final = ("nodeSelector", "affinity", "tolerations", "schedulingGates")
"""What says where a pod may go; of a pod that is bound it is not asked any more."""

_DELETED: Final = "deletionTimestamp"
_NOMINATED: Final = "nominatedNodeName"
_UNSCHEDULABLE: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

Object = Mapping[str, Any]
_Key = tuple[str, str]


def opts_in(labels: Mapping[str, str]) -> bool:
    """Whether the pods of a namespace with these labels get CPU sets."""
    return labels.get(LABEL_CPUSET) == CPUSET_ENABLED and labels.get(LABEL_IGNORE) != "true"


def trim_pod(raw: Object) -> Object:
    """Return a pod with what decisions and checks read of it, and no more."""
    metadata = raw["metadata"]
    of, status = spec(raw), raw.get("status") or {}
    fields = _POD_FIELDS if of.get("nodeName") else _POD_FIELDS + _PLACEMENT_FIELDS
    kept: dict[str, Any] = {name: of[name] for name in fields if of.get(name)}
    for kind in ("initContainers", "containers"):
        kept[kind] = [_trim_container(container) for container in of.get(kind) or ()]
    return {
        "metadata": {
            **{name: metadata.get(name, "") for name in ("namespace", "name", "uid", "resourceVersion")},
            **({_DELETED: metadata[_DELETED]} if metadata.get(_DELETED) else {}),
            "labels": _some(metadata.get("labels"), _POD_LABELS),
            "annotations": _some(metadata.get("annotations"), _POD_ANNOTATIONS),
        },
        "spec": kept,
        "status": {"phase": status.get("phase", ""), **_some(status, (_NOMINATED,))},
    }


def trim_node(raw: Object) -> Object:
    """Return a Node with what decisions read of it, and no more."""
    metadata = raw["metadata"]
    taints = list(spec(raw).get("taints") or ())
    # A controller makes a taint of it, a moment later.
    if spec(raw).get("unschedulable") and all(taint.get("key") != _UNSCHEDULABLE["key"] for taint in taints):
        taints.append(_UNSCHEDULABLE)
    return {
        "metadata": {
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "labels": dict(metadata.get("labels") or {}),
            "annotations": _some(metadata.get("annotations"), NODE_ANNOTATIONS),
        },
        "spec": {"taints": taints},
    }


def pod_store() -> Indexer[Object]:
    """Return a store of LSE and LSR pods."""
    return Indexer(lambda _name, raw, _old: trim_pod(raw), node_of)


class Nodes:
    """Nodes and NodeResourceTopologies, and what is read from both of each node."""

    def __init__(
        self, strategy: Strategy = Strategy.MOST_ALLOCATED, pool_limit: PoolLimit | None = None
    ) -> None:
        """Begin empty; ``strategy`` is that of nodes that state none, ``pool_limit`` that of all nodes."""
        self.nodes: Store[Object] = Store(lambda _name, raw, _old: trim_node(raw))
        self.topologies: Store[Object] = Store(_trim_topology)
        self._strategy = strategy
        self._pool_limit = pool_limit or PoolLimit()
        self._made: dict[str, tuple[Object, Object | None, NodeTopology | NodeTopologyError]] = {}

    def topology_of(self, name: str) -> NodeTopology:
        """Return a node's topology; raises NodeTopologyError where there is none."""
        node, nrt = self.nodes.values.get(("", name)), self.topologies.values.get(("", name))
        if node is None:
            raise NodeTopologyError(f"node {name} does not exist")
        made = self._made.get(name)
        if made is None or made[0] is not node or made[1] is not nrt:
            found: NodeTopology | NodeTopologyError
            try:
                found = read_node_topology(node, nrt, strategy=self._strategy, pool_limit=self._pool_limit)
            except NodeTopologyError as error:
                found = error
            else:
                said = made[2].problems if made and isinstance(made[2], NodeTopology) else ()
                for problem in [problem for problem in found.problems if problem not in said]:
                    _log.warning("node %s: %s", name, problem)
            made = self._made[name] = (node, nrt, found)
        if isinstance(made[2], NodeTopologyError):
            raise NodeTopologyError(*made[2].args)
        return made[2]

    def forget_deleted(self) -> None:
        """Drop the topologies of Nodes that do not exist any more."""
        for name in [name for name in self._made if ("", name) not in self.nodes.values]:
            del self._made[name]


def awaits_binding(pod: Object) -> bool:
    """Whether a pod may be bound: it is not, it is live, and nothing holds it back."""
    held_back = pod["metadata"].get(_DELETED) or spec(pod).get("schedulingGates")
    return not (node_of(pod) or is_finished(pod) or held_back)


def waiting_store() -> Store[str]:
    """Return a store of the uids of pods of other classes that wait for a node."""
    return Store(lambda _name, raw, _old: raw["metadata"].get("uid") or None)


def _trim_container(raw: Object) -> Object:
    resources = raw.get("resources") or {}
    amounts = {name: resources[name][CPU] for name in SECTIONS if CPU in (resources.get(name) or {})}
    kept: dict[str, Any] = {}
    if amounts:
        kept["resources"] = {name: {CPU: amount} for name, amount in amounts.items()}
    if raw.get("restartPolicy"):
        kept["restartPolicy"] = raw["restartPolicy"]
    return kept


def _trim_topology(name: str, raw: Object, _old: object) -> Object:
    annotations = _some(raw["metadata"].get("annotations"), NODE_ANNOTATIONS)
    return {
        "metadata": {"name": name, "annotations": annotations},
        "topologyPolicies": raw.get("topologyPolicies"),
    }


def _some(given: Mapping[str, str] | None, names: Iterable[str]) -> dict[str, str]:
    return {name: given[name] for name in names if name in given} if given else {}
