"""What patches and applies make of an object, as a real API server decides; pure."""

from copy import deepcopy

import jsonpatch

OWNED_MAPS = (("metadata", "annotations"), ("status", "capacity"), ("status", "allocatable"))
"""The maps of a node of which each key has an owner; of other objects each part has one."""
UNSAID = {"f:spec": {}}
"""What an entry of managedFields has that does not say it."""


class Refused(Exception):  # noqa: N818 — an answer, not a fault
    """The change is not made: an HTTP status, and the fields of a Status."""

    def __init__(self, status, reason, **more):
        super().__init__(status, reason)
        self.status, self.body = status, {"kind": "Status", "reason": reason, **more}


def json_patch(value, operations):
    """An operation that cannot be done, as a ``test`` that does not hold: a 422, and nothing changes."""
    try:
        return jsonpatch.apply_patch(value, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Refused(422, "Invalid") from error


def merge_patch(value, body):
    """Merge, with uid and resourceVersion as preconditions; nobody owns a key that is deleted."""
    _check(value, body)
    made = _merged(deepcopy(value), body)
    if "spec" in body:
        made["metadata"]["generation"] = value["metadata"].get("generation", 0) + 1
    if deleted := [path for path in _keys(body) if _at(body, path) is None]:
        entries = made["metadata"].get("managedFields", [])
        for path in deleted:
            for entry in entries:
                _drop(entry.get("fieldsV1", {}), [f"f:{part}" for part in path])
        made["metadata"]["managedFields"] = [e for e in entries if _paths(e.get("fieldsV1", {}), 3)]
    return made


def apply_keys(value, body, manager):
    """A server-side apply of keys of a node's maps."""
    return _applied(value, body, manager, _keys(body), depth=3)


def apply_parts(value, body, manager, *, status):
    """A server-side apply of an object's parts, or of its status; with preconditions as a merge patch."""
    _check(value, body)
    named = {"apiVersion", "kind"} | ({"metadata"} if body["metadata"].keys() <= {"name"} else set())
    parts = {"status"} if status else body.keys() - named
    return _applied(value, body, manager, {(part,) for part in parts}, depth=1)


def _applied(value, body, manager, paths, depth):
    """Set what is applied; another one's is a conflict.

    What the manager applied before and leaves out now goes, unless it is another's, too; and the whole map
    with it, as in a real one, if nobody owns a key of it.
    """
    value = deepcopy(value)
    entries = value["metadata"].get("managedFields", [])
    others = [each for each in entries if each["manager"] != manager]
    theirs = {
        path: each["manager"]
        for each in reversed(others)
        for path in _paths(each.get("fieldsV1", UNSAID), depth)
    }
    for path in paths:
        if path in theirs and _at(value, path) != _at(body, path):
            message = f'Apply failed with 1 conflict: conflict with "{theirs[path]}": .{".".join(path)}'
            raise Refused(409, "Conflict", message=message)
    before = {p for each in entries if each not in others for p in _paths(each.get("fieldsV1", {}), depth)}
    owned = {*paths, *theirs}
    for path in before - owned - {("metadata",), ("status",)}:
        parent = path[:-1]
        _drop(value, path if not parent or any(each[:-1] == parent for each in owned) else parent)
    fields = {}
    for *parents, name in paths:
        to, entry, new = value, fields, _at(body, (*parents, name))
        for part in parents:
            to, entry = to.setdefault(part, {}), entry.setdefault(f"f:{part}", {})
        to[name], entry[f"f:{name}"] = (to[name] | new if name == "metadata" else new), {}
    ours = [{"manager": manager, "operation": "Apply", "fieldsV1": fields}] if paths else []
    value["metadata"]["managedFields"] = others + ours
    return value


def _check(value, body):
    """The preconditions that a change may have."""
    for name in ("uid", "resourceVersion"):
        known = value["metadata"].get(name)
        if body.get("metadata", {}).get(name, known) != known:
            raise Refused(409, "Conflict")


def _keys(body):
    return {(*path, key) for path in OWNED_MAPS for key in _at(body, path)}


def _at(tree, path):
    for part in path:
        tree = tree.get(part, {})
    return tree


def _drop(tree, path):
    _at(tree, path[:-1]).pop(path[-1], None)


def _paths(fields, depth):
    """The fields of an entry of managedFields, so many levels deep."""
    if depth == 0:
        return {()}
    return {(name[2:], *rest) for name, below in fields.items() for rest in _paths(below, depth - 1)}


def _merged(old, patch):
    """A merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, new in patch.items():
        if new is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), new)
    return merged
