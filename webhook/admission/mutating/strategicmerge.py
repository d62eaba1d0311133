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
        kept = set(patch[RETAIN_KEYS])
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
        _remove(edit.open_list(name), set(value), "", cause)
    elif f"{kind}/" == SET_ELEMENT_ORDER and name not in patch:
        # If the patch contains the list itself, the merge of the list sets the order.
        merge_key = fields[name].merge_key
        items = edit.open_list(name)
        present = _identities(items.value, merge_key)
        _reorder(items, present, present, _identities(value, merge_key), cause)


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
    added: list[Any] = []
    deleted: set[Any] = set()
    replaced = False
    for item in patch:
        directive = item.get(DIRECTIVE) if isinstance(item, dict) else None
        if directive is None:
            added.append(item)
        elif directive == "delete":
            deleted.add(item.get(merge_key))
        replaced = replaced or directive == "replace"
    before = _remove(items, None if replaced else deleted, merge_key, cause)
    present = list(before)
    places = _places(present)
    wanted = _identities(added, merge_key)
    for identity, item in zip(wanted, added, strict=True):
        index = places.get(identity)
        if index is None:
            places[identity] = len(present)
            present.append(identity)
            items.insert(len(items.value), _plain(item), cause)
        elif merge_key:
            _object(items.open_object(index), item, fields, cause)
    _reorder(items, before, present, _identities(order, merge_key) if order else wanted, cause)


def _remove(items: ListEdit, gone: set[Any] | None, merge_key: str | None, cause: Cause) -> list[Any]:
    """Remove the elements with these identities, None for all; return the identities that are left."""
    identities = _identities(items.value, merge_key)
    kept = [i for i, identity in enumerate(identities) if gone is not None and identity not in gone]
    items.arrange(kept, cause)
    return [identities[i] for i in kept]


def _reorder(items: ListEdit, before: list[Any], present: list[Any], wanted: list[Any], cause: Cause) -> None:
    """Put the elements that the patch names in its order, and the others between them.

    The others keep their order; each comes before the named elements that it preceded.
    Elements that the patch adds come first.

    Args:
        items: the list under edit.
        before: the identities of its elements before the patch added some.
        present: the identities of its elements now.
        wanted: the identities that the patch names.
        cause: the cause of the change.
    """
    old, ranks = _places(before), _places(wanted)
    named = [i for i, identity in enumerate(present) if identity in ranks]
    named.sort(key=lambda i: ranks[present[i]])
    result: list[int] = []
    following = iter(named)
    right = next(following, None)
    for i, left in enumerate(present):
        if left in ranks:
            continue
        while right is not None and not (left in old and old[left] < old.get(present[right], -1)):
            result.append(right)
            right = next(following, None)
        result.append(i)
    items.arrange(result + ([] if right is None else [right, *following]), cause)


def _places(identities: list[Any]) -> dict[Any, int]:
    """Return where each identity stands first."""
    return {identity: i for i, identity in reversed(list(enumerate(identities)))}


def _identities(elements: list[Any], merge_key: str | None) -> list[Any]:
    """Return what identifies each element: the value of the merge key, or a scalar itself."""
    identities = []
    for element in elements:
        if merge_key and not isinstance(element, dict):
            raise Denied(f"a list of objects identified by {merge_key!r} holds {shown(element)}")
        identity = element.get(merge_key) if merge_key else element
        if isinstance(identity, (dict, list)):
            raise Denied(
                f"what identifies an element of a list must be a single value, not {shown(identity)}"
            )
        identities.append(identity)
    return identities


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
