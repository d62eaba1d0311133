"""Pods read from Kubernetes manifests, as far as their CPUs go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.cpuset.allocation import BindPolicy, Exclusive, Request
from webhook.cpuset.errors import RequestError
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import Pod
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.protocol import ANNOTATION_RESOURCE_SPEC, BATCH_CPU, CPU, LABEL_QOS_CLASS

_POLICIES: Final = {
    "": BindPolicy.FULL_PCPUS,
    "Default": BindPolicy.FULL_PCPUS,
    "FullPCPUs": BindPolicy.FULL_PCPUS,
    "SpreadByPCPUs": BindPolicy.SPREAD_BY_PCPUS,
    "ConstrainedBurst": BindPolicy.NONE,
}
_MOST_REPLICAS: Final = 8192
_WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Job"})


def cpu_milli(value: object, field: str = "cpu") -> int:
    """Return a CPU quantity (``2``, ``"900m"``, ``"1.5"``) in thousandths, rounded up."""
    try:
        amount = milli(text_of(value))
    except QuantityError:
        amount = -1
    if amount < 0:
        raise RequestError(field, value, "is no CPU quantity", 'write it as 2, "1.5" or "900m"')
    return amount


def pods_of(document: object) -> Iterator[Pod]:
    """Yield the pods of one manifest: a Pod, a workload (once per replica) or a List.

    Other kinds have none. RequestError names the field that is malformed.
    """
    if isinstance(document, Mapping) and document.get("kind") == "List":
        # Lists do not nest; a document that refers to itself ends here as well.
        for item in _list(document, "items"):
            yield from _pods_of_one(item)
    else:
        yield from _pods_of_one(document)


def _pods_of_one(manifest: object) -> Iterator[Pod]:
    if not isinstance(manifest, Mapping):
        raise RequestError("manifest", manifest, "is no object", "give Kubernetes manifests")
    kind = manifest.get("kind")
    if kind == "Pod":
        yield _pod(manifest, _name(manifest))
    elif isinstance(kind, str) and kind in _WORKLOADS:
        spec = _object(manifest, "spec")
        replicas = spec.get("replicas", spec.get("parallelism", 1))
        if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas <= _MOST_REPLICAS:
            raise RequestError("spec.replicas", replicas, "is no count", f"give 0 to {_MOST_REPLICAS}")
        for number in range(replicas):
            name = _name(manifest)
            yield _pod(_object(spec, "template"), name if replicas == 1 else f"{name}-{number}")


def _pod(manifest: Mapping[str, Any], name: str) -> Pod:
    metadata = _object(manifest, "metadata")
    label = _object(metadata, "labels").get(LABEL_QOS_CLASS, "")
    qos = QoS(label) if label in list(QoS) else QoS.NONE
    spec = _object(manifest, "spec")
    resource = BATCH_CPU if qos is QoS.BE else CPU
    containers = sum(_wanted(item, resource) for item in _list(spec, "containers"))
    first = max((_wanted(item, resource) for item in _list(spec, "initContainers")), default=0)
    overhead = _amount(_object(spec, "overhead"), resource)
    text = _object(metadata, "annotations").get(ANNOTATION_RESOURCE_SPEC, "{}")
    return Pod(name, qos, max(containers, first) + overhead, _request(text))


def _request(text: object) -> Request:
    try:
        spec = json.loads(str(text))
    except ValueError:
        spec = None
    if not isinstance(spec, dict):
        raise RequestError(
            ANNOTATION_RESOURCE_SPEC,
            text,
            "is no JSON object",
            'write {"preferredCPUBindPolicy": "FullPCPUs"}',
        )
    required = spec.get("requiredCPUBindPolicy") or ""
    wished = required or spec.get("preferredCPUBindPolicy") or ""
    level = spec.get("preferredCPUExclusivePolicy") or "None"
    if not isinstance(wished, str) or wished not in _POLICIES:
        raise RequestError(
            "CPUBindPolicy",
            wished,
            "is unknown",
            f"use one of {', '.join(name for name in _POLICIES if name)}",
        )
    if level not in list(Exclusive):
        raise RequestError(
            "preferredCPUExclusivePolicy", level, "is unknown", f"use one of {', '.join(Exclusive)}"
        )
    return Request(0, _POLICIES[wished], required=bool(required), exclusive=Exclusive(level))


def _wanted(container: object, resource: str) -> int:
    if not isinstance(container, Mapping):
        raise RequestError("containers", container, "is no object", "give a list of containers")
    resources = _object(container, "resources")
    return _amount({**_object(resources, "limits"), **_object(resources, "requests")}, resource)


def _amount(amounts: Mapping[str, Any], resource: str) -> int:
    amount = cpu_milli(amounts.get(resource, 0), resource)
    # Batch CPU is counted in thousandths already: 2k of it is two CPUs.
    return amount // 1000 if resource == BATCH_CPU else amount


def _name(manifest: Mapping[str, Any]) -> str:
    name = _object(manifest, "metadata").get("name")
    if not isinstance(name, str) or not name:
        raise RequestError("metadata.name", name, "is no name", "name every pod and workload")
    return name


def _object(parent: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RequestError(field, value, "is no object", "write it as Kubernetes does")
    return value


def _list(parent: Mapping[str, Any], field: str) -> list[Any]:
    value = parent.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RequestError(field, value, "is no list", "write it as Kubernetes does")
    return value
