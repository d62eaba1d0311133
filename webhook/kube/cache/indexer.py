"""A store of pods that knows which of them are on a node."""

from collections.abc import Callable
from typing import TypeVar

from webhook.kube.cache.store import Store

Value = TypeVar("Value")
_Key = tuple[str, str]


class Indexer(Store[Value]):
    """Pods by node; named after client-go's, which has an index for each question.

    Attributes:
        node_of: the name of the node that a value is on; "": none, so no question finds it.
    """

    def __init__(self, read: Callable[..., Value | None], node_of: Callable[[Value], str]) -> None:
        """Begin empty."""
        super().__init__(read)
        self.node_of = node_of
        self._on_nodes: dict[str, dict[_Key, Value]] = {}
        self._listed: dict[str, tuple[Value, ...]] = {}

    def nodes(self) -> list[str]:
        """Return the nodes that pods are on."""
        with self.lock:
            return list(self._on_nodes)

    def on_node(self, node: str) -> tuple[Value, ...]:
        """Return the pods on a node; by name; the same tuple as long as none of them has changed."""
        with self.lock:
            return self._pods(node)

    def _pods(self, node: str) -> tuple[Value, ...]:
        if node not in self._on_nodes:
            return ()
        if node not in self._listed:
            there = self._on_nodes[node]
            self._listed[node] = tuple(there[key] for key in sorted(there))
        return self._listed[node]

    def _take(self, values: dict[_Key, Value]) -> None:
        super()._take(values)
        before, self._listed = self._listed, {}
        self._on_nodes = {}
        for key, value in values.items():
            self._enter(key, value)
        for node, pods in before.items():
            if pods == self._pods(node):
                self._listed[node] = pods

    def _set(self, key: _Key, value: Value | None) -> None:
        old = self.values.get(key)
        super()._set(key, value)
        if old is not None and (node := self.node_of(old)):
            there = self._on_nodes[node]
            del there[key]
            if not there:
                del self._on_nodes[node]
            self._listed.pop(node, None)
        if value is not None:
            self._enter(key, value)

    def _enter(self, key: _Key, value: Value) -> None:
        if node := self.node_of(value):
            self._on_nodes.setdefault(node, {})[key] = value
            self._listed.pop(node, None)
