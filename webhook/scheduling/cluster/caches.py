"""The watch caches of load awareness: nodes, their metrics, and bound pods, each trimmed to a few numbers."""

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from itertools import islice
from typing import Any

from webhook.kube.cache.indexer import Indexer
from webhook.kube.cache.store import Store
from webhook.scheduling.loadaware.loadsettings import LoadSettings
from webhook.scheduling.loadaware.nodeload import NodeLoad, judge
from webhook.scheduling.loadaware.nodeshape import NodeShape, read_shape
from webhook.scheduling.loadaware.nodeusage import NodeUsage, read_usage
from webhook.scheduling.loadaware.podload import PodLoad, read_assigned

Object = Mapping[str, Any]


class Loads:
    """What is watched of the load of nodes, and how each node is judged by it.

    Attributes:
        settings: by which nodes are judged.
        held: the pods that are about to be bound to a node; whoever changes that says so to ``note``.
        changed: called with the name of each node that is judged otherwise, or as out of date, from then on.
        note: takes the name of a node that is to be judged again.
        nodes, metrics, pods: what is watched.
    """

    def __init__(self, settings: LoadSettings, clock: Callable[[], float] = time.time) -> None:
        """Begin empty; ``clock`` gives seconds since the epoch."""
        self.settings = settings
        self.held: Callable[[str], tuple[PodLoad, ...]] = lambda _: ()
        self.changed: Callable[[str], object] = lambda _: None
        self._clock = clock
        self._news: deque[str] = deque()
        self.note = note = self._news.append
        resources = settings.resources
        self.nodes: Store[NodeShape] = Store(lambda _name, raw, _old: read_shape(raw, resources))
        self.metrics: Store[NodeUsage] = Store(lambda _name, raw, _old: read_usage(raw, resources))
        self.pods: Indexer[PodLoad] = Indexer(self._read_pod, lambda pod: pod.node)
        self.nodes.observers.append(lambda key, _old, _new: note(key[1]))
        self.metrics.observers.append(lambda key, _old, _new: note(key[1]))
        self.pods.observers.append(self._pod_changed)
        self._stale: dict[str, None] = {}
        self._judged: dict[str, NodeLoad] = {}
        self._expiring: list[tuple[float, str]] = []

    def table(self) -> Mapping[str, NodeLoad]:
        """Return how nodes are judged, by name; only those are judged again where something has changed.

        Used by one thread at a time.
        """
        self.judge(sys.maxsize)
        return self._judged

    def judge(self, most: int) -> bool:
        """Judge so many of the nodes again where something has changed, and say whether some are left."""
        while self._news:
            self._stale[self._news.popleft()] = None
        for name in list(islice(self._stale, most)):
            del self._stale[name]
            self._judge(name)
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now:
            self.changed(heappop(self._expiring)[1])
        return bool(self._stale)

    def _judge(self, name: str) -> None:
        shape = self.nodes.values.get(("", name))
        if shape is None:
            self._judged.pop(name, None)
        else:
            pods = (*self.pods.on_node(name), *self.held(name))
            load = judge(shape, self.metrics.values.get(("", name)), pods, self.settings)
            known = _ends(self._judged[name]) if name in self._judged else frozenset()
            self._judged[name] = load
            now = self._clock()
            for moment in _ends(load) - known:  # a known one stands there, or is over
                if now < moment < math.inf:
                    heappush(self._expiring, (moment, name))
        self.changed(name)

    def _pod_changed(self, _key: tuple[str, str], old: PodLoad | None, new: PodLoad | None) -> None:
        for pod in (old, new):
            if pod is not None:
                self.note(pod.node)

    def _read_pod(self, _name: str, raw: Object, old: PodLoad | None) -> PodLoad | None:
        same = old is not None and old.uid == (raw["metadata"].get("uid") or "")
        heard_of = old.scheduled if old is not None and same else self._clock()
        return read_assigned(raw, self.settings, heard_of)


def _ends(load: NodeLoad) -> frozenset[float]:
    """Return when a node is judged otherwise although nothing changes, in seconds since the epoch."""
    return frozenset((load.score_until, load.prod.until, load.other.until))
