"""LimitRanges: the defaults that they give to containers, and whether they demand native resources.

Source: Kubernetes' admission plugin LimitRanger and the defaulting of ``v1 LimitRange``, as seen
on a kube-apiserver 1.37.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from webhook.pods.pod import SECTIONS
from webhook.protocol import NATIVE_RESOURCES

ANNOTATION: Final = "kubernetes.io/limit-ranger"
_CONTAINER: Final = "Container"
_BOUNDS: Final = ("min", "max", "maxLimitRequestRatio")
QUANTITIES: Final = (*_BOUNDS, "default", "defaultRequest")
"""Fields of an item that hold quantities by resource."""
# In the order in which the annotation names them.
_LISTS: Final = (("containers", "container"), ("initContainers", "init container"))

Quantities = Mapping[str, Any]


class LimitRange(NamedTuple):
    """What is kept of a ``v1 LimitRange``.

    Attributes:
        requests: default requests of containers, by resource.
        limits: default limits of containers, by resource.
        bounds_native: pods without native cpu or memory are refused.
    """

    name: str
    requests: Quantities
    limits: Quantities
    bounds_native: bool


def limit_range_of(name: str, items: Iterable[Mapping[str, Any]]) -> LimitRange:
    """Return a LimitRange, completed as the API server completes it.

    A default limit that an item does not state is its maximum; a default request is the default
    limit, else the minimum. Only items of the type Container have defaults. A later item wins.

    Args:
        name: of the LimitRange.
        items: ``spec.limits``, each with its type and all QUANTITIES.
    """
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    bounds_native = False
    for item in items:
        # Limits of a PersistentVolumeClaim do not concern pods.
        if item.get("type") in {_CONTAINER, "Pod"}:
            bounds_native |= any(one in item[bound] for bound in _BOUNDS for one in NATIVE_RESOURCES)
        if item.get("type") == _CONTAINER:
            limits |= {**item["max"], **item["default"]}
            requests |= {**item["min"], **item["max"], **item["default"], **item["defaultRequest"]}
    return LimitRange(name, requests, limits, bounds_native)


def set_defaults(pod: dict[str, Any], ranges: Iterable[LimitRange]) -> None:
    """Give the containers of a pod the defaults of a namespace's LimitRanges, in place.

    What a container states stays. The annotation says what was set, by the last LimitRange that
    set something. Fields of a wrong type are passed over.
    """
    for one in ranges:
        filled = []
        for field, kind in _LISTS:
            listed = pod["spec"].get(field)
            for container in listed if isinstance(listed, list) else ():
                if isinstance(container, dict):
                    filled += _set(container, one, kind)
        annotations = pod["metadata"].get("annotations") or {}
        if filled and isinstance(annotations, dict):
            text = f"LimitRanger plugin set: {'; '.join(filled)}"
            pod["metadata"]["annotations"] = {**annotations, ANNOTATION: text}


def _set(container: dict[str, Any], one: LimitRange, kind: str) -> list[str]:
    """Complete a container's resources; return what the annotation says of it."""
    resources = container.get("resources") or {}
    if not isinstance(resources, dict):
        return []
    filled = []
    for section, defaults in zip(SECTIONS, (one.requests, one.limits), strict=True):
        stated = resources.get(section) or {}
        missing = sorted(defaults.keys() - stated) if isinstance(stated, dict) else []
        if missing:
            resources[section] = {**stated, **{key: defaults[key] for key in missing}}
            container["resources"] = resources
            name = container.get("name", "")
            filled.append(f"{', '.join(missing)} {section.removesuffix('s')} for {kind} {name}")
    return filled
