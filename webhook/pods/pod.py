"""A Pod, read: labels, annotations, spec, containers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from webhook.protocol import ANNOTATION_MIRROR_POD

CONTAINER_LISTS: Final = ("initContainers", "containers")
SECTIONS: Final = ("requests", "limits")
FINISHED: Final = frozenset({"Succeeded", "Failed"})  # phases of a pod that runs on no CPU any more
_OBJECT: Final = (dict, Mapping)  # a dict is seen at once, other mappings by an abstract base class
ALWAYS: Final = "Always"  # the restartPolicy by which an init container is a native sidecar


class Container(NamedTuple):
    """A container of a pod: where it stands and what it is."""

    kind: str
    position: int
    value: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the container's name; the API server refuses pods without."""
        return self.value.get("name") or ""

    @property
    def sidecar(self) -> bool:
        """Return whether this is a native sidecar (an init container that keeps running)."""
        return self.kind == "initContainers" and self.value.get("restartPolicy") == ALWAYS

    def quantities(self, section: str) -> Mapping[str, Any]:
        """Return ``resources.requests`` or ``.limits``, empty where there are none."""
        return (self.value.get("resources") or {}).get(section) or {}


def mapping(value: object) -> Mapping[str, Any]:
    """Return what should be an object, for fields of which no type was checked; {} where it is none."""
    return value if value is not None and isinstance(value, _OBJECT) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """Return the objects in what should be a list of objects, for fields of which no type was checked."""
    return [item for item in value if isinstance(item, _OBJECT)] if isinstance(value, list) else []


def labels(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's labels."""
    return (pod.get("metadata") or {}).get("labels") or {}


def annotations(pod: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the pod's annotations."""
    return (pod.get("metadata") or {}).get("annotations") or {}


def is_mirror(pod: Mapping[str, Any]) -> bool:
    """Whether a pod only shows a static one, which the kubelet reads from a file and nobody can change."""
    return ANNOTATION_MIRROR_POD in annotations(pod)


def kubelet_uid(pod: Mapping[str, Any]) -> str:
    """Return the uid by which the kubelet knows a pod and names its cgroups; "" where it has none.

    Of a mirror pod that is the uid of its static pod, which is what the annotation holds.
    """
    return annotations(pod).get(ANNOTATION_MIRROR_POD) or (pod.get("metadata") or {}).get("uid") or ""


def spec(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the pod's spec."""
    return pod.get("spec") or {}


def containers(pod: Mapping[str, Any]) -> Iterator[Container]:
    """Yield init containers (sidecars among them), then containers."""
    of = spec(pod)
    for kind in CONTAINER_LISTS:
        for index, value in enumerate(of.get(kind) or ()):
            yield Container(kind, index, value)
