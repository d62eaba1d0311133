"""A Node, as far as its capacity for batch work depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from webhook.capacity.amounts import NOTHING, Amounts, Reading, amounts
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.errors import CpuSetError
from webhook.pods.nodes.normalization import normalization_ratio
from webhook.pods.pod import annotations, labels
from webhook.pods.quantities import NANO
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_NODE_RESERVATION,
    ANNOTATION_THIRD_PARTY,
    BATCH,
    COLOCATION_RESOURCES,
    CPU,
    TRANSLATION,
)


@dataclass(frozen=True, slots=True)
class Node:
    """What is read of a Node.

    Attributes:
        name: of the node.
        capacity: ``status.capacity``.
        kubelet_reserved: capacity less allocatable, where that is more than nothing.
        annotation_reserved: of the annotation ``node.koordinator.sh/reservation``.
        third_party: what others than Kubernetes hold of the batch resources.
        third_party_read: whether that could be read.
        ratio: CPU normalization, in billionths; NANO where there is none.
        published: the colocation resources in ``status.allocatable``, in milli-cores and bytes.
        labels: of the node.
        annotations: of the node.
        findings: what could not be read, with its place.
    """

    name: str
    capacity: Amounts
    kubelet_reserved: Amounts = NOTHING
    annotation_reserved: Amounts = NOTHING
    third_party: Amounts = NOTHING
    third_party_read: bool = True
    ratio: int = NANO
    published: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    @property
    def reserved(self) -> Amounts:
        """Return what is kept from pods, by the kubelet or by the annotation, whichever is more."""
        return Amounts(*map(max, self.kubelet_reserved, self.annotation_reserved))


def read_node(obj: Mapping[str, Any]) -> Node:
    """Read a v1 Node; what cannot be read is left out and named in ``findings``.

    Raises:
        TypeError: labels or annotations are no map of texts; an API server stores no such Node.
    """
    for name, of in (("labels", labels(obj)), ("annotations", annotations(obj))):
        if not isinstance(of, Mapping):
            raise TypeError(f"metadata.{name} is no map")
        for key, value in of.items():
            if not isinstance(value, str):
                raise TypeError(f"metadata.{name}[{key}] is no text: quote it")
    reading = Reading([])
    status = obj.get("status") or {}
    capacity = reading.resources(status.get("capacity"), "status.capacity")
    allocatable = reading.resources(status.get("allocatable"), "status.allocatable")
    reserved = {each: max(0, capacity[each] - allocatable.get(each, 0)) for each in capacity}
    noted = annotations(obj)
    published = {
        name: amount // NANO
        for name in COLOCATION_RESOURCES
        if (raw := (status.get("allocatable") or {}).get(name)) is not None
        and (amount := reading.quantity(raw, f"status.allocatable[{name}]")) is not None
    }
    before = len(reading.findings)
    third_party = _third_party(noted, reading)
    third_party_read = len(reading.findings) == before
    return Node(
        name=(obj.get("metadata") or {}).get("name", ""),
        capacity=amounts(capacity),
        kubelet_reserved=amounts(reserved),
        annotation_reserved=_reservation(noted, reading),
        third_party=third_party,
        third_party_read=third_party_read,
        ratio=normalization_ratio(noted, reading.findings),
        published=published,
        labels=labels(obj),
        annotations=noted,
        findings=tuple(reading.findings),
    )


def _reservation(noted: Mapping[str, str], reading: Reading) -> Amounts:
    """Return the annotated reservation; a part that cannot be read discards it whole."""
    of = _json(noted, ANNOTATION_NODE_RESERVATION, reading)
    at = f"annotation {ANNOTATION_NODE_RESERVATION}"
    before = len(reading.findings)
    found = reading.resources(of.get("resources"), f"{at}.resources")
    if cpus := of.get("reservedCPUs"):
        try:
            found[CPU] = len(parse_cpulist(str(cpus), field=f"{at}.reservedCPUs")) * NANO
        except CpuSetError as error:
            reading.findings.append(str(error))
    return amounts(found) if len(reading.findings) == before else NOTHING


def _third_party(noted: Mapping[str, str], reading: Reading) -> Amounts:
    of = _json(noted, ANNOTATION_THIRD_PARTY, reading)
    at = f"annotation {ANNOTATION_THIRD_PARTY}.allocations"
    listed = of.get("allocations") or []
    if not isinstance(listed, list):
        reading.findings.append(f"{at}: {shown(listed)} is no list")
        return NOTHING
    held = dict.fromkeys(TRANSLATION[BATCH], 0)
    for i, each in enumerate(listed):
        if not isinstance(each, Mapping) or each.get("priority") != BATCH:
            continue
        resources = each.get("resources")
        for native, name in TRANSLATION[BATCH].items():
            raw = resources.get(name) if isinstance(resources, Mapping) else None
            if raw is not None:
                amount = reading.quantity(raw, f"{at}[{i}].resources[{name}]") or 0
                held[native] += amount // 1000 if native == CPU else amount
    return amounts(held)


def _json(noted: Mapping[str, str], key: str, reading: Reading) -> Mapping[str, Any]:
    text = noted.get(key)
    if not text or text == "null":
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        reading.findings.append(f"annotation {key}: {shown(text)} is no JSON object; it is ignored")
        return {}
    return value
