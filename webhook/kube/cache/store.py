"""The cache of one watched kind, filled by a reflector."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
_Key = tuple[str, str]


@dataclass(eq=False)
class Store(Generic[Value]):
    """The objects of one kind, each trimmed to a ``Value``.

    Made of what trims an object, given its name and the value that is kept of it; None is not kept.

    Attributes:
        lock: may be shared between stores, to read them as they are at one moment.
        news: called after each change, in whatever thread.
        observers: called with key, old and new value of all that changes; under the lock, in whatever thread.
        values: by namespace ("" for cluster-scoped kinds) and name.
        revision: counts changes.
        synced: everything has been listed once.
    """

    _read: Callable[[str, Mapping[str, Any], Value | None], Value | None]
    lock: threading.Lock = field(default_factory=threading.Lock)
    news: Callable[[], None] = lambda: None
    observers: list[Callable[[_Key, Value | None, Value | None], None]] = field(
        default_factory=list, init=False
    )
    values: dict[_Key, Value] = field(default_factory=dict, init=False)
    revision: int = field(default=0, init=False)
    synced: bool = field(default=False, init=False)

    def listed(self, raw: Mapping[str, Any]) -> tuple[_Key, Value | None]:
        """Return the key of an object of a list, and what is kept of it."""
        key = _key(raw)
        old = self.values.get(key)
        value = self._read(key[1], raw, old)
        # An equal value that is kept already need not take memory twice.
        return key, old if old == value else value

    def replace(self, listed: Iterable[tuple[_Key, Value | None]]) -> None:
        """Take a whole list: what is not in it does not exist."""
        values = {key: value for key, value in listed if value is not None}
        with self.lock:
            if values != self.values or not self.synced:
                self._take(values)
            self.synced = True
        self.news()

    def changed(self, raw: Mapping[str, Any]) -> None:
        """Take an object that was created or changed."""
        key = _key(raw)
        value = self._read(key[1], raw, self.values.get(key))
        self._put(key, value)

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """Take an object that was deleted, in its last state."""
        self._put(_key(raw), None)

    def learn(self, raw: Mapping[str, Any], instead_of: Value | None) -> None:
        """Take an object from the answer to a call, unless the watch has brought a change meanwhile.

        An answer may be read long after it was sent: what the watch brings is newer, and comes only once.

        Args:
            raw: the object.
            instead_of: the value that was kept of it before the call; None: none.
        """
        key = _key(raw)
        value = self._read(key[1], raw, instead_of)
        with self.lock:
            if value is None or self.values.get(key) is not instead_of:
                return
            self._set(key, value)
        self.news()

    def _put(self, key: _Key, value: Value | None) -> None:
        with self.lock:
            if self.values.get(key) == value:
                return
            self._set(key, value)
        self.news()

    def _take(self, values: dict[_Key, Value]) -> None:
        """Keep other values; the lock is held."""
        before, self.values = self.values, values
        self.revision += 1
        if self.observers:
            for key in before.keys() | values.keys():
                self._report(key, before.get(key), values.get(key))

    def _set(self, key: _Key, value: Value | None) -> None:
        """Keep another value; the lock is held."""
        old = self.values.get(key)
        if value is None:
            del self.values[key]
        else:
            self.values[key] = value
        self.revision += 1
        self._report(key, old, value)

    def _report(self, key: _Key, old: Value | None, new: Value | None) -> None:
        if old is not new:
            for observer in self.observers:
                observer(key, old, new)


def _key(raw: Mapping[str, Any]) -> _Key:
    metadata = raw["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])
