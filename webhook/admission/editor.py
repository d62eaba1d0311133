"""Recorded edits: changes to a JSON tree that note themselves.

An edit copies only what it touches (the tree that came in is never written to) and
remembers who wanted it. What differs at the end is the JSON Patch: nothing is
compared that was not written, a value that came back to what it was is no
operation, and a second run over the patched tree gives none at all.

Source: RFC 6902 (JSON Patch); of its operations add, replace and remove are used.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

_Edit = TypeVar("_Edit", "ObjectEdit", "ListEdit")


class Cause(NamedTuple):
    """Who wanted a change: a profile and the field of its spec, or a rule of ours."""

    source: str
    field: str

    def __str__(self) -> str:
        """Write the cause as messages show it."""
        return f"{self.source}: {self.field}" if self.field else self.source


class Operation(NamedTuple):
    """One operation of a JSON Patch, with everybody who had a part in its value."""

    op: str
    path: str
    value: Any
    causes: tuple[Cause, ...]


def json_patch(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return operations as RFC 6902 writes them."""
    return [
        {"op": op, "path": path} if op == "remove" else {"op": op, "path": path, "value": value}
        for op, path, value, _ in operations
    ]


def _distinct(causes: list[Cause]) -> tuple[Cause, ...]:
    """Return each cause once, in order of first mention."""
    return tuple(causes) if len(causes) == 1 else tuple(dict.fromkeys(causes))


@lru_cache(maxsize=4096)
def _escape(key: str) -> str:
    """Escape a key for a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class ObjectEdit:
    """A JSON object under edit.

    Attributes:
        source: the object as it came, None where there was none.
        value: the object as it is now; read it freely, write only by the methods.
    """

    __slots__ = ("_causes", "_children", "source", "value")

    def __init__(self, source: dict[str, Any] | None) -> None:
        """Open ``source`` for edits; None starts an object that was not there."""
        self.source = source
        self.value: dict[str, Any] = dict(source) if source is not None else {}
        self._causes: dict[str, list[Cause]] = {}  # in the order of first writing
        self._children: dict[str, ObjectEdit | ListEdit] = {}

    def get(self, key: str) -> Any:  # noqa: ANN401 — any JSON value
        """Return the value at ``key`` as it is now, None where there is none."""
        return self.value.get(key)

    def set(self, key: str, value: Any, cause: Cause) -> None:  # noqa: ANN401 — any JSON value
        """Give ``key`` a value; the value is not copied and must not change afterwards."""
        if key in self.value and self.value[key] == value:
            return
        self.value[key] = value
        self._children.pop(key, None)
        self._causes.setdefault(key, []).append(cause)

    def remove(self, key: str, cause: Cause) -> None:
        """Take ``key`` away; nothing happens where it is not there."""
        if key in self.value:
            del self.value[key]
            self._children.pop(key, None)
            self._causes.setdefault(key, []).append(cause)

    def open_object(self, key: str) -> "ObjectEdit":
        """Open the object at ``key``, making one where there is none (or null)."""
        child = self._children.get(key)
        if child is None:
            child = self._adopt(key, ObjectEdit(self.value.get(key)))
        assert isinstance(child, ObjectEdit)  # noqa: S101 — shapes were checked when the pod was read
        return child

    def open_list(self, key: str) -> "ListEdit":
        """Open the list at ``key``, making one where there is none (or null)."""
        child = self._children.get(key)
        if child is None:
            child = self._adopt(key, ListEdit(self.value.get(key)))
        assert isinstance(child, ListEdit)  # noqa: S101 — as above
        return child

    def _adopt(self, key: str, child: "_Edit") -> "_Edit":
        self.value[key] = child.value
        self._children[key] = child
        self._causes.setdefault(key, [])
        return child

    def operations(self) -> list[Operation]:
        """Return what turns the object as it came into the object as it is."""
        operations: list[Operation] = []
        self.collect("", operations)
        return operations

    def collect(self, path: str, into: list[Operation]) -> None:
        """Add the operations of this object, which stands at ``path``."""
        source, value, children = self.source or {}, self.value, self._children
        for key, causes in self._causes.items():
            at = f"{path}/{_escape(key)}"
            old, child = source.get(key), children.get(key)
            if child is not None and old is not None and child.source is old:
                child.collect(at, into)
            elif key not in value:
                if key in source:
                    into.append(Operation("remove", at, None, _distinct(causes)))
            elif (new := value[key]) != old or key not in source:
                if child is not None:
                    if not new:
                        continue  # opened, and nothing put in
                    causes = [*causes, *child.causes()]  # noqa: PLW2901 — the child's count too
                op = "replace" if key in source else "add"
                into.append(Operation(op, at, new, _distinct(causes)))

    def causes(self) -> Iterator[Cause]:
        """Yield everybody who wrote here or below."""
        for key, causes in self._causes.items():
            yield from causes
            if key in self._children:
                yield from self._children[key].causes()


class ListEdit:
    """A JSON list under edit.

    Attributes:
        source: the list as it came, None where there was none.
        value: the list as it is now; read it freely, write only by the methods.
    """

    __slots__ = ("_causes", "_edits", "_origins", "source", "value")

    def __init__(self, source: list[Any] | None) -> None:
        """Open ``source`` for edits; None starts a list that was not there."""
        self.source = source
        self.value: list[Any] = list(source) if source is not None else []
        # For each element: where it stood in the source (None: it is new), and its edit.
        self._origins: list[int | None] = list(range(len(self.value)))
        self._edits: list[ObjectEdit | None] = [None] * len(self.value)
        self._causes: list[Cause] = []

    def open_object(self, index: int) -> ObjectEdit:
        """Open the object at ``index``."""
        edit = self._edits[index]
        if edit is None:
            edit = self._edits[index] = ObjectEdit(self.value[index])
            self.value[index] = edit.value
        return edit

    def insert(self, index: int, value: Any, cause: Cause) -> None:  # noqa: ANN401 — any JSON value
        """Put ``value`` before the element at ``index``."""
        self.value.insert(index, value)
        self._origins.insert(index, None)
        self._edits.insert(index, None)
        self._causes.append(cause)

    def remove(self, index: int, cause: Cause) -> None:
        """Take the element at ``index`` away."""
        del self.value[index], self._origins[index], self._edits[index]
        self._causes.append(cause)

    def arrange(self, order: list[int], cause: Cause) -> None:
        """Reorder: ``order`` holds each present index once, in the new order."""
        if order != list(range(len(self.value))):
            self.value[:] = [self.value[i] for i in order]
            self._origins = [self._origins[i] for i in order]
            self._edits = [self._edits[i] for i in order]
            self._causes.append(cause)

    def collect(self, path: str, into: list[Operation]) -> None:
        """Add removals (last first), then additions in order, then edits of what stayed."""
        staying = self._collect_moves(path, into) if self._causes else None
        for i, (origin, edit) in enumerate(zip(self._origins, self._edits, strict=True)):
            if edit is not None and (staying is None or origin in staying):
                edit.collect(f"{path}/{i}", into)

    def _collect_moves(self, path: str, into: list[Operation]) -> set[int | None]:
        """Add what changes the places of elements; return the origins of those that stay."""
        causes = _distinct(self._causes)
        staying: set[int | None] = set()
        highest = -1
        for origin in self._origins:  # an element that changed places is removed and added
            if origin is not None and origin > highest:
                staying.add(origin)
                highest = origin
        into += (
            Operation("remove", f"{path}/{origin}", None, causes)
            for origin in range(len(self.source or ()) - 1, -1, -1)
            if origin not in staying
        )
        for i, (origin, edit) in enumerate(zip(self._origins, self._edits, strict=True)):
            if origin not in staying:
                others = edit.causes() if edit is not None else ()
                into.append(
                    Operation("add", f"{path}/{i}", self.value[i], _distinct([*self._causes, *others]))
                )
        return staying

    def causes(self) -> Iterator[Cause]:
        """Yield everybody who wrote here or below."""
        yield from self._causes
        for edit in self._edits:
            if edit is not None:
                yield from edit.causes()
