"""Strategic merge patches on plain copies: an independent oracle.

Source: "Strategic Merge Patch", kubernetes/community, sig-api-machinery, and the merge
keys of the Kubernetes API reference, here for the lists that tests patch.
"""

from copy import deepcopy
from typing import Any

# Lists that are merged, by the path of field names that leads to them, and their merge
# key; "" for a list of scalars. All other lists are replaced.
MERGE_KEYS = {
    "metadata.finalizers": "",
    "metadata.ownerReferences": "uid",
    "spec.containers": "name",
    "spec.containers.env": "name",
    "spec.containers.ports": "containerPort",
    "spec.containers.volumeMounts": "mountPath",
    "spec.initContainers": "name",
    "spec.initContainers.env": "name",
    "spec.imagePullSecrets": "name",
    "spec.hostAliases": "ip",
    "spec.topologySpreadConstraints": "topologyKey",
    "spec.volumes": "name",
}


def merged(original: Any, patch: Any, path: str = "") -> Any:
    """Return what the patch makes of the original, which is left as it is."""
    if not isinstance(patch, dict) or not isinstance(original, dict):
        return fresh(patch)
    if patch.get("$patch") == "delete":
        return {}
    if patch.get("$patch") == "replace":
        return fresh(patch)
    result = deepcopy(original)
    if "$retainKeys" in patch:
        result = {k: v for k, v in result.items() if k in patch["$retainKeys"]}
    fields = {k for k in patch if not k.startswith("$")}
    fields |= {k.split("/", 1)[1] for k in patch if "/" in k and k.startswith("$")}
    for field in fields:
        at = f"{path}.{field}" if path else field
        order = patch.get(f"$setElementOrder/{field}")
        gone = patch.get(f"$deleteFromPrimitiveList/{field}", [])
        if isinstance(result.get(field), list):
            result[field] = [item for item in result[field] if item not in gone]
        if field in patch and patch[field] is None:
            result.pop(field, None)
        elif field in patch and isinstance(result.get(field), list) and at in MERGE_KEYS:
            result[field] = merged_list(result[field], patch[field], order, at)
        elif field in patch and isinstance(result.get(field), dict):
            result[field] = merged(result[field], patch[field], at)
        elif field in patch:
            result[field] = fresh(patch[field])
        elif order is not None and isinstance(result.get(field), list):
            result[field] = merged_list(result[field], [], order, at)
    return result


def merged_list(original: list[Any], patch: list[Any], order: list[Any] | None, at: str) -> list[Any]:
    """Merge a list by its merge key; what the patch adds goes before what was there."""
    key = MERGE_KEYS[at]

    def identity(item: Any) -> Any:
        return item[key] if key else item

    directives = [item for item in patch if isinstance(item, dict) and "$patch" in item]
    plain = [item for item in patch if item not in directives]
    if any(item["$patch"] == "replace" for item in directives):
        original = []
    deleted = [item[key] for item in directives if item["$patch"] == "delete"]
    old = {identity(item): item for item in original if identity(item) not in deleted}
    new = {identity(item): item for item in plain}
    both = {
        name: merged(old[name], new[name], at) if name in old and name in new else fresh((old | new)[name])
        for name in old | new
    }
    # The patch (or its $setElementOrder) says how those it names stand to each other, the
    # original how the others do, and how one of the others stands to a named one of the
    # original; a named one that is new stands as early as it can.
    named = [name for name in map(identity, plain if order is None else order) if name in both]
    others = [name for name in old if name not in named]
    places = list(old)
    result = []
    while named or others:
        if not named or (others and named[0] in old and places.index(others[0]) < places.index(named[0])):
            result.append(others.pop(0))
        else:
            result.append(named.pop(0))
    return [both[name] for name in dict.fromkeys(result)]


def fresh(patch: Any) -> Any:
    """Return what a patch puts where nothing was: without nulls and directives."""
    if isinstance(patch, dict):
        return {k: fresh(v) for k, v in patch.items() if v is not None and not k.startswith("$")}
    if isinstance(patch, list):
        return [fresh(v) for v in patch if not (isinstance(v, dict) and "$patch" in v)]
    return patch
