"""Strategic merge patches, applied as recorded edits.

Source: Kubernetes, "Strategic merge patch" (sig-api-machinery) and the behaviour of the
API server: maps are merged, null deletes, lists with a merge key are merged by element
and other lists are replaced; elements that the patch adds come before the old ones.
``webhook.admission.profiles.podpatch`` has checked the patch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from webhook.admission.editor import Cause, ListEdit, ObjectEdit
from webhook.admission.podedit import Denied
from webhook.admission.profiles.podpatch import (
    DELETE_FROM_PRIMITIVE_LIST,
    RETAIN_KEYS,
    SET_ELEMENT_ORDER,
)
from webhook.admission.profiles.podschema import DIRECTIVE, POD, Field, object_types
from webhook.pods.text import shown
from webhook.protocol import COLOCATION_RESOURCES

_MAP_FIELD = Field("any")  # a value of a map of scalars


class _Run(NamedTuple):
    """One application of a patch: its cause, and whether an earlier call applied it."""

    cause: Cause
    again: bool


def merge(pod: ObjectEdit, patch: Mapping[str, Any], cause: Cause, *, again: bool = False) -> None:
    """Apply a checked strategic merge patch to a pod under edit.

    Args:
        pod: the pod.
        patch: the patch.
        cause: the cause of the changes.
        again: the patch was applied on an earlier call. Labels and annotations stay as they
            are, and so does what may have been added to lists and resources since.
    """
    if again and "metadata" in patch:
        metadata = {k: v for k, v in patch["metadata"].items() if k not in {"labels", "annotations"}}
        patch = {**patch, "metadata": metadata}
    _object(pod, patch, object_types()[POD], _Run(cause, again))


def _object(edit: ObjectEdit, patch: Mapping[str, Any], fields: Mapping[str, Field], run: _Run) -> None:
    directive = patch.get(DIRECTIVE)
    if directive in {"replace", "delete"}:
        wanted = {} if directive == "delete" else _plain(patch)
        for key in [key for key in edit.value if key not in wanted]:
            edit.remove(key, run.cause)
        for key, value in wanted.items():
            edit.set(key, value, run.cause)
        return
    if RETAIN_KEYS in patch:
        kept = set(patch[RETAIN_KEYS])
        for key in [key for key in edit.value if key not in kept]:
            edit.remove(key, run.cause)
    for key, value in patch.items():
        if key.startswith("$"):
            _list_directive(edit, key, value, patch, fields, run.cause)
        else:
            _value(edit, key, value, fields.get(key, _MAP_FIELD), patch, run)


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
        _remove(items, _identities(items.value, ""), set(value), cause)
    elif f"{kind}/" == SET_ELEMENT_ORDER and name not in patch:
        # If the patch contains the list itself, the merge of the list sets the order.
        merge_key = fields[name].merge_key
        items = edit.open_list(name)
        present = _identities(items.value, merge_key)
        wanted = _identities(value, merge_key)
        _reorder(items, present, _places(present), len(present), wanted, cause)


def _value(
    edit: ObjectEdit,
    key: str,
    value: Any,  # noqa: ANN401 — any JSON value
    field: Field,
    patch: Mapping[str, Any],
    run: _Run,
) -> None:
    if run.again and _stays(edit, key, value, field):
        edit.restore(key)
        if value is None or (field.merge_key is None and not isinstance(value, dict)):
            return
        value = _plain(value)
    present = edit.get(key)
    if value is None:
        edit.remove(key, run.cause)
    elif isinstance(value, dict) and isinstance(present, dict):
        _object(edit.open_object(key), value, object_types().get(field.type, {}), run)
    elif isinstance(value, list) and isinstance(present, list) and field.merge_key is not None:
        order = patch.get(SET_ELEMENT_ORDER + key)
        _list(edit.open_list(key), value, order, field, run)
    else:
        edit.set(key, _plain(value), run.cause)


def _stays(edit: ObjectEdit, key: str, value: Any, field: Field) -> bool:  # noqa: ANN401 — any JSON value
    """Whether a later call leaves what it finds at ``key``, though the patch would take it away.

    Others add elements to lists, which they do not replace: admission plugins tolerations and
    volumes, webhooks containers. Translation, LimitRanger and the GPU shorthand change resources.
    """
    found = (edit.source or {}).get(key)
    if key == "resources":
        return bool(value != _plain(value))
    if key in COLOCATION_RESOURCES or (value is None and isinstance(found, list)):
        return found is not None
    if not isinstance(value, list) or not isinstance(found, list):
        return False
    if field.merge_key is None:
        return found[: len(value)] == value
    return any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in value)


def _list(items: ListEdit, patch: list[Any], order: list[Any] | None, field: Field, run: _Run) -> None:
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
    present = _identities(items.value, merge_key)
    if replaced or deleted:
        present = _remove(items, present, set(present) if replaced else deleted, run.cause)
    places, count = _places(present), len(present)
    wanted = _identities(added, merge_key)
    for identity, item in zip(wanted, added, strict=True):
        index = places.get(identity)
        if index is None:
            places[identity] = len(present)
            present.append(identity)
            items.insert(len(items.value), _plain(item), run.cause)
        elif merge_key:
            _object(items.open_object(index), item, fields, run)
    if order and run.again and len(present) == count:
        return  # where the patch itself brought the list, the first call left it in the patch's order
    wanted = _identities(order, merge_key) if order else wanted
    _reorder(items, present, places, count, wanted, run.cause)


def _remove(items: ListEdit, identities: list[Any], gone: set[Any], cause: Cause) -> list[Any]:
    """Remove the elements that are identified so; return the identities of those that are left."""
    kept = [i for i, identity in enumerate(identities) if identity not in gone]
    items.arrange(kept, cause)
    return [identities[i] for i in kept]


def _reorder(
    items: ListEdit, present: list[Any], places: dict[Any, int], count: int, wanted: list[Any], cause: Cause
) -> None:
    """Put the elements that the patch names in its order, and the others between them.

    The others keep their order; each comes before the named elements that it preceded.
    Elements that the patch adds come first.

    Args:
        items: the list under edit.
        present: the identities of its elements; those that the patch added are at the end.
        places: where each identity stands first.
        count: how many elements the patch did not add.
        wanted: the identities that the patch names.
        cause: the cause of the change.
    """
    ranks = _places(wanted)
    named = [i for i, identity in enumerate(present) if identity in ranks]
    named.sort(key=lambda i: ranks[present[i]])
    result: list[int] = []
    following = iter(named)
    right = next(following, None)
    for i, left in enumerate(present):
        if left in ranks:
            continue
        while right is not None and not places[left] < places[present[right]] < count:
            result.append(right)
            right = next(following, None)
        result.append(i)
    items.arrange(result + ([] if right is None else [right, *following]), cause)


def _places(identities: list[Any]) -> dict[Any, int]:
    """Return where each identity stands first."""
    return dict(zip(reversed(identities), range(len(identities) - 1, -1, -1), strict=True))


def _identities(elements: list[Any], merge_key: str | None) -> list[Any]:
    """Return what identifies each element: the value of the merge key, or a scalar itself."""
    if merge_key:
        for element in elements:
            if not isinstance(element, dict):
                raise Denied(f"a list of objects identified by {merge_key!r} holds {shown(element)}")
        elements = [element.get(merge_key) for element in elements]
    for identity in elements:
        if isinstance(identity, (dict, list)):
            raise Denied(f"a list element must be identified by a single value, not {shown(identity)}")
    return list(elements)


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
