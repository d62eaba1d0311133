"""Recorded edits: changes to a JSON tree that yield a JSON Patch with causes.

An edit copies only what it touches (the input tree is never modified) and records the
cause of each change. The JSON Patch is what differs at the end: only written values are
compared, a value that was changed back gives no operation, and a second run over the
patched tree gives none at all.

Source: RFC 6902 (JSON Patch), its operations add, replace and remove.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

_Edit = TypeVar("_Edit", "ObjectEdit", "ListEdit")


class Cause(NamedTuple):
    """The cause of a change: a profile and the field of its spec, or a built-in step."""

    source: str
    field: str

    def __str__(self) -> str:
        """Return the cause in the form of messages."""
        return f"{self.source}: {self.field}" if self.field else self.source


@dataclasses.dataclass(slots=True)
class Operation:
    """One operation of a JSON Patch. Each review makes some, so it is not frozen, which costs thrice as much.

    Attributes:
        noted: all causes of its value, in order of mention; some perhaps more than once.
    """

    op: str
    path: str
    value: Any
    noted: Sequence[Cause]

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes, each once, in order of first mention."""
        return tuple(dict.fromkeys(self.noted))


def json_patch(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return operations in the form of RFC 6902."""
    return [
        {"op": each.op, "path": each.path}
        if each.op == "remove"
        else {"op": each.op, "path": each.path, "value": each.value}
        for each in operations
    ]


@lru_cache(maxsize=512)  # the fields of a pod
def _escape(key: str) -> str:
    """Escape a key for a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class ObjectEdit:
    """A JSON object under edit.

    Attributes:
        source: the original object, None if it did not exist.
        value: the present object; read it freely, change it only through the methods.
    """

    __slots__ = ("_causes", "_children", "source", "value")

    def __init__(self, source: dict[str, Any] | None) -> None:
        """Open ``source`` for edits; None starts a new object."""
        self.source = source
        self.value: dict[str, Any] = dict(source) if source is not None else {}
        self._causes: dict[str, list[Cause]] = {}  # in the order of first writing
        self._children: dict[str, ObjectEdit | ListEdit] = {}

    def get(self, key: str) -> Any:  # noqa: ANN401 — any JSON value
        """Return the present value at ``key``, None if there is none."""
        return self.value.get(key)

    def set(self, key: str, value: Any, cause: Cause) -> None:  # noqa: ANN401 — any JSON value
        """Set ``key`` to a value, which is not copied and must not be modified afterwards."""
        if key in self.value and self.value[key] == value:
            return
        self.value[key] = value
        self._children.pop(key, None)
        self._causes.setdefault(key, []).append(cause)

    def remove(self, key: str, cause: Cause) -> None:
        """Remove ``key`` if it exists."""
        if key in self.value:
            del self.value[key]
            self._children.pop(key, None)
            self._causes.setdefault(key, []).append(cause)

    def restore(self, key: str) -> None:
        """Take back all changes at ``key``."""
        self._children.pop(key, None)
        if self.source is not None and key in self.source:
            self.value[key] = self.source[key]
        else:
            self.value.pop(key, None)

    def open_object(self, key: str) -> "ObjectEdit":
        """Open the object at ``key``; create it if it is missing or null."""
        child = self._children.get(key)
        if child is None:
            child = self._adopt(key, ObjectEdit(self.value.get(key)))
        assert isinstance(child, ObjectEdit)  # noqa: S101 — shapes were checked when the pod was read
        return child

    def open_list(self, key: str) -> "ListEdit":
        """Open the list at ``key``; create it if it is missing or null."""
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
        """Return the operations that turn the original object into the present one."""
        operations: list[Operation] = []
        self.collect("", operations)
        return operations

    def collect(self, path: str, into: list[Operation]) -> None:
        """Append the operations of this object, whose JSON Pointer is ``path``."""
        source, value, children = self.source or {}, self.value, self._children
        for key, causes in self._causes.items():
            at = f"{path}/{_escape(key)}"
            old, child = source.get(key), children.get(key)
            if child is not None and old is not None and child.source is old:
                child.collect(at, into)
            elif key not in value:
                if key in source:
                    into.append(Operation("remove", at, None, causes))
            elif (new := value[key]) != old or key not in source:
                if child is not None:
                    if not new and not causes:
                        continue  # opened, but left empty; what was set before it was emptied stays
                    causes = [*causes, *child.causes()]  # noqa: PLW2901 — with those of the child
                op = "replace" if key in source else "add"
                into.append(Operation(op, at, new, causes))

    def causes_at(self, parts: Sequence[str]) -> Iterator[Cause]:
        """Yield the causes of the changes at a place below this object, and around it."""
        if not parts:
            yield from self.causes()
            return
        yield from self._causes.get(parts[0], ())
        if child := self._children.get(parts[0]):
            yield from child.causes_at(parts[1:])

    def causes(self) -> Iterator[Cause]:
        """Yield the causes of all changes here and below."""
        for key, causes in self._causes.items():
            yield from causes
            if key in self._children:
                yield from self._children[key].causes()


class ListEdit:
    """A JSON list under edit.

    Attributes:
        source: the original list, None if it did not exist.
        value: the present list; read it freely, change it only through the methods.
    """

    __slots__ = ("_causes", "_edits", "_origins", "source", "value")

    def __init__(self, source: list[Any] | None) -> None:
        """Open ``source`` for edits; None starts a new list."""
        self.source = source
        self.value: list[Any] = list(source) if source is not None else []
        # For each element: its index in the source (None: it is new), and its edit.
        self._origins: list[int | None] = list(range(len(self.value)))
        self._edits: list[ObjectEdit | None] = [None] * len(self.value)
        self._causes: dict[Cause, None] = {}  # each once, in order of first mention

    def open_object(self, index: int) -> ObjectEdit:
        """Open the object at ``index``."""
        edit = self._edits[index]
        if edit is None:
            edit = self._edits[index] = ObjectEdit(self.value[index])
            self.value[index] = edit.value
        return edit

    def insert(self, index: int, value: Any, cause: Cause) -> None:  # noqa: ANN401 — any JSON value
        """Insert ``value`` before the element at ``index``."""
        self.value.insert(index, value)
        self._origins.insert(index, None)
        self._edits.insert(index, None)
        self._causes[cause] = None

    def arrange(self, order: list[int], cause: Cause) -> None:
        """Keep and reorder elements: ``order`` holds the index of each that stays once, in the new order."""
        if order != list(range(len(self.value))):
            self.value[:] = [self.value[i] for i in order]
            self._origins = [self._origins[i] for i in order]
            self._edits = [self._edits[i] for i in order]
            self._causes[cause] = None

    def collect(self, path: str, into: list[Operation]) -> None:
        """Append removals (last first), then additions in order, then edits of elements that stayed."""
        if self._causes and self.value == self.source:
            return  # what was removed was added again
        staying = self._collect_moves(path, into) if self._causes else None
        for i, (origin, edit) in enumerate(zip(self._origins, self._edits, strict=True)):
            if edit is not None and (staying is None or origin in staying):
                edit.collect(f"{path}/{i}", into)

    def _collect_moves(self, path: str, into: list[Operation]) -> set[int | None]:
        """Append the removals and additions; return the origins of the elements that stay."""
        causes = tuple(self._causes)
        staying: set[int | None] = set()
        highest = -1
        for origin in self._origins:  # an element that moved is removed and added again
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
                into.append(Operation("add", f"{path}/{i}", self.value[i], [*self._causes, *others]))
        return staying

    def causes_at(self, parts: Sequence[str]) -> Iterator[Cause]:
        """Yield the causes of the changes at a place below this list, which begins with an index."""
        if not parts:
            yield from self.causes()
            return
        index = int(parts[0])
        if self._origins[index] is None:
            yield from self._causes
        if edit := self._edits[index]:
            yield from edit.causes_at(parts[1:])

    def causes(self) -> Iterator[Cause]:
        """Yield the causes of all changes here and below."""
        yield from self._causes
        for edit in self._edits:
            if edit is not None:
                yield from edit.causes()
