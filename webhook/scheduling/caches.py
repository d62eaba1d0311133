"""The watch caches of load awareness: nodes, their metrics, and bound pods, each trimmed to a few numbers."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from webhook.kube.indexer import Indexer
from webhook.kube.store import Store
from webhook.scheduling.loadsettings import LoadSettings
from webhook.scheduling.nodeload import NodeLoad, NodeShape, judge, read_shape
from webhook.scheduling.nodeusage import NodeUsage, read_usage
from webhook.scheduling.podload import PodLoad, read_assigned

Object = Mapping[str, Any]


class Loads:
    """What is watched of the load of nodes, and what is made of it, node by node.

    Attributes:
        settings: by which nodes are judged.
        nodes, metrics, pods: what is watched.
    """

    def __init__(self, settings: LoadSettings, clock: Callable[[], float] = time.time) -> None:
        """Begin empty; ``clock`` gives seconds since the epoch."""
        self.settings = settings
        self._clock = clock
        resources = settings.resources
        self.nodes: Store[NodeShape] = Store(lambda _name, raw, _old: read_shape(raw, resources))
        self.metrics: Store[NodeUsage] = Store(lambda _name, raw, _old: read_usage(raw, resources))
        self.pods: Indexer[PodLoad] = Indexer(self._read_pod, lambda pod: pod.node)
        self._judged: dict[str, tuple[tuple[object, ...], NodeLoad]] = {}

    def of(self, node: str, held: tuple[PodLoad, ...] = ()) -> NodeLoad | None:
        """Judge a node; None: it is not known.

        Args:
            node: its name.
            held: pods that are about to be bound to it; the same tuple as long as they are the same.
        """
        shape = self.nodes.values.get(("", node))
        if shape is None:
            return None
        usage = self.metrics.values.get(("", node))
        pods = self.pods.on_node(node)
        known = self._judged.get(node)
        if known is not None:
            (its_shape, its_usage, its_pods, its_held), load = known
            if its_shape is shape and its_usage is usage and its_pods is pods and its_held is held:
                return load
        load = judge(shape, usage, (*pods, *held), self.settings)
        self._judged[node] = (shape, usage, pods, held), load
        return load

    def forget_deleted(self) -> None:
        """Drop what was made of Nodes that do not exist any more."""
        for name in [name for name in list(self._judged) if ("", name) not in self.nodes.values]:
            self._judged.pop(name, None)

    def _read_pod(self, _name: str, raw: Object, old: PodLoad | None) -> PodLoad | None:
        same = old is not None and old.uid == (raw["metadata"].get("uid") or "")
        heard_of = old.scheduled if old is not None and same else self._clock()
        return read_assigned(raw, self.settings, heard_of)
