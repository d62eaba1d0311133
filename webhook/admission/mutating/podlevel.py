"""Pod-level resources (``spec.resources``, KEP-2837) of a pod whose resources are translated.

They allow only cpu, memory and hugepages, and no batch resources. So they are dissolved:
what they hold beyond the sum of the containers is distributed to the containers, before
these are translated.
"""

from collections.abc import Mapping
from typing import Final

from webhook.admission.editor import Cause
from webhook.admission.podedit import Denied, PodEdit
from webhook.admission.settings import PodLevelResources
from webhook.pods.pod import SECTIONS, Container, containers, spec
from webhook.pods.quantities import milli, text_of, units
from webhook.protocol import CPU, NATIVE_RESOURCES

_CAUSE: Final = Cause("pod-level resources", "dissolved into the containers")
WARNING: Final = "spec.resources: pod-level cpu and memory were moved to the containers for colocation"


def dissolve(pod: PodEdit, table: Mapping[str, str], policy: PodLevelResources) -> str | None:
    """Handle pod-level cpu and memory by ``policy``.

    Returns:
        A warning for the user, or None if nothing changed.

    Raises:
        Denied: the policy is ``deny`` and the pod has pod-level cpu or memory.
    """
    pod_level = spec(pod.value).get("resources")
    if not pod_level or policy == PodLevelResources.KEEP:
        return None
    present = [
        (section, resource)
        for section in SECTIONS
        for resource in NATIVE_RESOURCES
        if resource in (pod_level.get(section) or {})
    ]
    if not present:
        return None
    if policy == PodLevelResources.DENY:
        section, resource = present[0]
        raise Denied(
            f"spec.resources.{section}[{resource}]: pod-level resources cannot be colocated: "
            "set resources on the containers"
        )
    for section, resource in present:
        _distribute(pod, section, resource, pod_level[section][resource], table[resource])
        pod.open_object("spec").open_object("resources").open_object(section).remove(resource, _CAUSE)
    for resource in {resource for _, resource in present}:
        _raise_limits(pod, resource, table[resource])
    for section in {section for section, _ in present}:
        if not spec(pod.value)["resources"][section]:
            pod.open_object("spec").open_object("resources").remove(section, _CAUSE)
    if not spec(pod.value)["resources"]:
        pod.open_object("spec").remove("resources", _CAUSE)
    return WARNING


def _distribute(
    pod: PodEdit,
    section: str,
    resource: str,
    total: object,
    translated: str,
) -> None:
    """Distribute what ``total`` holds beyond the containers' own quantities to the containers."""
    running = [c for c in containers(pod.value) if c.kind == "containers" or c.sidecar]
    own = {(c.kind, c.position): _quantity(c, section, resource, translated) for c in running}
    rest = _count(resource, total) - sum(quantity or 0 for quantity in own.values())
    mains = [c for c in running if c.kind == "containers"]
    if rest <= 0 or not mains:
        return
    without = [c for c in mains if own[c.kind, c.position] is None]
    if without:
        floors = [
            (_quantity(c, "requests", resource, translated) or 0) if section == "limits" else 0
            for c in without
        ]
        for container, share in zip(without, _shares(rest, floors), strict=True):
            _set(pod, container, section, resource, share, translated)
    else:
        first = mains[0]
        quantity = (own[first.kind, first.position] or 0) + rest
        _set(pod, first, section, resource, quantity, translated)


def _shares(total: int, floors: list[int]) -> list[int]:
    """Split ``total`` into equal shares, except that no share is below its floor.

    If the total is not divisible, the first shares are larger by one. The shares add up to
    the total unless the floors alone exceed it.
    """
    shares = list(floors)
    remaining = sorted(range(len(floors)), key=floors.__getitem__)
    while remaining and floors[remaining[-1]] > max(total, 0) // len(remaining):
        total -= floors[remaining.pop()]
    for rank, i in enumerate(sorted(remaining)):
        share, more = divmod(max(total, 0), len(remaining))
        shares[i] = share + (rank < more)
    return shares


def _raise_limits(pod: PodEdit, resource: str, translated: str) -> None:
    """Raise limits below requests, which the API server would refuse."""
    for container in list(containers(pod.value)):
        request = _quantity(container, "requests", resource, translated)
        limit = _quantity(container, "limits", resource, translated)
        if container.kind == "containers" and limit is not None and request is not None and request > limit:
            _set(pod, container, "limits", resource, request, translated)


def _quantity(container: Container, section: str, resource: str, translated: str) -> int | None:
    """Return a container's own quantity, in milli-cores or bytes, None if it has none."""
    quantities = container.quantities(section)
    if translated in quantities:
        return units(text_of(quantities[translated]))
    return _count(resource, quantities[resource]) if resource in quantities else None


def _count(resource: str, raw: object) -> int:
    text = text_of(raw)
    return milli(text) if resource == CPU else units(text)


def _set(
    pod: PodEdit, container: Container, section: str, resource: str, quantity: int, translated: str
) -> None:
    edit = pod.resources(container).open_object(section)
    edit.set(translated, str(quantity), _CAUSE)
    edit.remove(resource, _CAUSE)
