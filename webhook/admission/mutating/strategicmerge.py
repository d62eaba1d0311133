"""Strategic merge patches, applied as recorded edits.

Source: Kubernetes, "Strategic merge patch" (sig-api-machinery) and the behaviour of the
API server: maps are merged, null deletes, lists with a merge key are merged by element
and other lists are replaced; elements that the patch adds come before the old ones.
``webhook.admission.profiles.podpatch`` has checked the patch.
"""

from collections.abc import Mapping
from typing import Any

from webhook.admission.editor import Cause, ListEdit, ObjectEdit
from webhook.admission.podedit import Denied
from webhook.admission.profiles.podpatch import (
    DELETE_FROM_PRIMITIVE_LIST,
    DIRECTIVE,
    RETAIN_KEYS,
    SET_ELEMENT_ORDER,
)
from webhook.admission.profiles.podschema import POD, Field, object_types
from webhook.pods.text import shown

_MAP_FIELD = Field("any")  # a value of a map of scalars


def merge(pod: ObjectEdit, patch: Mapping[str, Any], cause: Cause) -> None:
    """Apply a checked strategic merge patch to a pod under edit."""
    _object(pod, patch, object_types()[POD], cause)


def _object(edit: ObjectEdit, patch: Mapping[str, Any], fields: Mapping[str, Field], cause: Cause) -> None:
    directive = patch.get(DIRECTIVE)
    if directive in {"replace", "delete"}:
        wanted = {} if directive == "delete" else _plain(patch)
        for key in [key for key in edit.value if key not in wanted]:
            edit.remove(key, cause)
        for key, value in wanted.items():
            edit.set(key, value, cause)
        return
    if RETAIN_KEYS in patch:
        kept = patch[RETAIN_KEYS]
        for key in [key for key in edit.value if key not in kept]:
            edit.remove(key, cause)
    for key, value in patch.items():
        if key.startswith("$"):
            _list_directive(edit, key, value, patch, fields, cause)
        elif value is None:
            edit.remove(key, cause)
        else:
            _value(edit, key, value, fields.get(key, _MAP_FIELD), patch, cause)


def _list_directive(
    edit: ObjectEdit,
    key: str,
    value: list[Any],
    patch: Mapping[str, Any],
    fields: Mapping[str, Field],
    cause: Cause,
) -> None:
    kind, _, name = key.partition("/")
    present = edit.get(name)
    if not isinstance(present, list):
        return
    if f"{kind}/" == DELETE_FROM_PRIMITIVE_LIST:
        items = edit.open_list(name)
        for i in range(len(items.value) - 1, -1, -1):
            if items.value[i] in value:
                items.remove(i, cause)
    elif f"{kind}/" == SET_ELEMENT_ORDER and name not in patch:
        # If the patch contains the list itself, the merge of the list sets the order.
        merge_key = fields[name].merge_key
        items = edit.open_list(name)
        _reorder(items, list(items.value), _identities(value, merge_key), merge_key, cause)


def _value(
    edit: ObjectEdit,
    key: str,
    value: Any,  # noqa: ANN401 — any JSON value
    field: Field,
    patch: Mapping[str, Any],
    cause: Cause,
) -> None:
    present = edit.get(key)
    if isinstance(value, dict) and isinstance(present, dict):
        _object(edit.open_object(key), value, object_types().get(field.type, {}), cause)
    elif isinstance(value, list) and isinstance(present, list) and field.merge_key is not None:
        order = patch.get(SET_ELEMENT_ORDER + key)
        _list(edit.open_list(key), value, order, field, cause)
    else:
        edit.set(key, _plain(value), cause)


def _list(items: ListEdit, patch: list[Any], order: list[Any] | None, field: Field, cause: Cause) -> None:
    merge_key, fields = field.merge_key, object_types().get(field.type, {})
    added = [item for item in patch if not (isinstance(item, dict) and DIRECTIVE in item)]
    _identities(items.value, merge_key)  # denies elements that are no objects
    if any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch):
        for i in range(len(items.value) - 1, -1, -1):
            items.remove(i, cause)
    for item in patch:
        if isinstance(item, dict) and item.get(DIRECTIVE) == "delete":
            gone = item.get(merge_key)
            for i in range(len(items.value) - 1, -1, -1):
                if items.value[i].get(merge_key) == gone:
                    items.remove(i, cause)
    server_order = list(items.value)
    for item in added:
        index = _find(items.value, item, merge_key)
        if index is None:
            items.insert(len(items.value), _plain(item), cause)
        elif merge_key:
            _object(items.open_object(index), item, fields, cause)
    _reorder(items, server_order, _identities(order or added, merge_key), merge_key, cause)


def _reorder(
    items: ListEdit, before: list[Any], wanted: list[Any], merge_key: str | None, cause: Cause
) -> None:
    """Put the elements that the patch names in its order, and the others between them.

    The others keep their order; each comes before the named elements that it preceded.
    Elements that the patch adds come first.
    """
    present = _identities(items.value, merge_key)
    old = _identities(before, merge_key)
    named = sorted((i for i, p in enumerate(present) if p in wanted), key=lambda i: wanted.index(present[i]))
    others = [i for i, p in enumerate(present) if p not in wanted]
    result: list[int] = []
    while others and named:
        left, right = present[others[0]], present[named[0]]
        first = left in old and right in old and old.index(left) < old.index(right)
        result.append((others if first else named).pop(0))
    items.arrange(result + others + named, cause)


def _identities(elements: list[Any], merge_key: str | None) -> list[Any]:
    """Return what identifies each element: the value of the merge key, or a scalar itself."""
    if not merge_key:
        return elements
    for element in elements:
        if not isinstance(element, dict):
            raise Denied(f"a list of objects identified by {merge_key!r} holds {shown(element)}")
    return [element.get(merge_key) for element in elements]


def _find(elements: list[Any], wanted: Any, merge_key: str | None) -> int | None:  # noqa: ANN401
    identities = _identities(elements, merge_key)
    identity = wanted[merge_key] if merge_key else wanted
    return identities.index(identity) if identity in identities else None


def _plain(value: Any) -> Any:  # noqa: ANN401 — any JSON value
    """Return a copy of a patch value as a new value: without directives and nulls."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [
            _plain(item)
            for item in value
            if not (isinstance(item, dict) and item.get(DIRECTIVE) in {"delete", "replace"})
        ]
    return value
