"""The watch caches of load awareness: nodes, their metrics, and bound pods, each trimmed to a few numbers."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from webhook.kube.indexer import Indexer
from webhook.kube.store import Store
from webhook.scheduling.loadaware.loadsettings import LoadSettings
from webhook.scheduling.loadaware.nodeload import NodeLoad, NodeShape, judge, read_shape
from webhook.scheduling.loadaware.nodeusage import NodeUsage, read_usage
from webhook.scheduling.loadaware.podload import PodLoad, read_assigned

Object = Mapping[str, Any]
Value = TypeVar("Value")
_Key = tuple[str, str]


class _Noted(Store[Value]):
    """A store that names what changes in it."""

    def __init__(self, read: Callable[..., Value | None], note: Callable[[str | None], None]) -> None:
        super().__init__(read)
        self._note = note

    def _take(self, values: dict[_Key, Value]) -> None:
        super()._take(values)
        self._note(None)

    def _set(self, key: _Key, value: Value | None) -> None:
        super()._set(key, value)
        self._note(key[1])


class _NotedPods(Indexer[PodLoad]):
    """Pods by node, which name the nodes where something changes."""

    def __init__(self, read: Callable[..., PodLoad | None], note: Callable[[str | None], None]) -> None:
        super().__init__(read, lambda pod: pod.node)
        self._note = note

    def _take(self, values: dict[_Key, PodLoad]) -> None:
        super()._take(values)
        self._note(None)

    def _set(self, key: _Key, value: PodLoad | None) -> None:
        old = self.values.get(key)
        super()._set(key, value)
        for each in (old, value):
            if each is not None:
                self._note(each.node)


class Loads:
    """What is watched of the load of nodes, and how each node is judged by it.

    Attributes:
        settings: by which nodes are judged.
        held: the pods that are about to be bound to a node; whoever changes that says so to ``note``.
        nodes, metrics, pods: what is watched.
    """

    def __init__(self, settings: LoadSettings, clock: Callable[[], float] = time.time) -> None:
        """Begin empty; ``clock`` gives seconds since the epoch."""
        self.settings = settings
        self.held: Callable[[str], tuple[PodLoad, ...]] = lambda _: ()
        self._clock = clock
        self._news: deque[str | None] = deque()
        self.note = note = self._news.append
        resources = settings.resources
        self.nodes: Store[NodeShape] = _Noted(lambda _name, raw, _old: read_shape(raw, resources), note)
        self.metrics: Store[NodeUsage] = _Noted(lambda _name, raw, _old: read_usage(raw, resources), note)
        self.pods: Indexer[PodLoad] = _NotedPods(self._read_pod, note)
        self._judged: dict[str, NodeLoad] = {}

    def table(self) -> Mapping[str, NodeLoad]:
        """Return how nodes are judged, by name; only those are judged again where something has changed.

        Used by one thread at a time.
        """
        changed: set[str] = set()
        while self._news:
            name = self._news.popleft()
            changed.update([each for _, each in list(self.nodes.values)] if name is None else [name])
            if name is None:
                changed.update(self._judged)
        for name in changed:
            shape = self.nodes.values.get(("", name))
            if shape is None:
                self._judged.pop(name, None)
                continue
            pods = (*self.pods.on_node(name), *self.held(name))
            self._judged[name] = judge(shape, self.metrics.values.get(("", name)), pods, self.settings)
        return self._judged

    def _read_pod(self, _name: str, raw: Object, old: PodLoad | None) -> PodLoad | None:
        same = old is not None and old.uid == (raw["metadata"].get("uid") or "")
        heard_of = old.scheduled if old is not None and same else self._clock()
        return read_assigned(raw, self.settings, heard_of)
