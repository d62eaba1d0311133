"""Pod-level resources (``spec.resources``, KEP-2837) of a pod that is translated.

They know only cpu, memory and hugepages, so batch resources cannot stand there. They
are dissolved: what they ask for beyond the containers' own figures goes to the
containers, before these are translated.
"""

from collections.abc import Mapping
from typing import Final

from webhook.admission.editor import Cause
from webhook.admission.podedit import Denial, Denied, PodEdit
from webhook.admission.settings import PodLevelResources
from webhook.pods.pod import SECTIONS, Container, containers, spec
from webhook.pods.quantities import milli, text_of, units
from webhook.protocol import CPU, NATIVE_RESOURCES

CAUSE: Final = Cause("pod-level resources", "dissolved into the containers")
WARNING: Final = (
    "spec.resources: pod-level cpu and memory were given to the containers, which colocation needs"
)


def dissolve(pod: PodEdit, table: Mapping[str, str], policy: PodLevelResources) -> str | None:
    """Treat pod-level cpu and memory as ``policy`` says.

    Returns:
        A warning for the user, or None where there was nothing to do.

    Raises:
        Denied: the policy is ``deny`` and the pod has pod-level cpu or memory.
    """
    pod_level = spec(pod.value).get("resources") or {}
    present = [
        (section, resource)
        for section in SECTIONS
        for resource in NATIVE_RESOURCES
        if resource in (pod_level.get(section) or {})
    ]
    if not present or policy == PodLevelResources.KEEP:
        return None
    if policy == PodLevelResources.DENY:
        section, resource = present[0]
        raise Denied(
            Denial(
                f"spec.resources.{section}[{resource}]: pod-level resources cannot be colocated: "
                "set resources on the containers"
            )
        )
    for section, resource in present:
        _distribute(pod, section, resource, pod_level[section][resource], table[resource])
        pod.open_object("spec").open_object("resources").open_object(section).remove(resource, CAUSE)
    for resource in {resource for _, resource in present}:
        _raise_limits(pod, resource, table[resource])
    for section in {section for section, _ in present}:
        if not spec(pod.value)["resources"][section]:
            pod.open_object("spec").open_object("resources").remove(section, CAUSE)
    if not spec(pod.value)["resources"]:
        pod.open_object("spec").remove("resources", CAUSE)
    return WARNING


def _distribute(
    pod: PodEdit,
    section: str,
    resource: str,
    total: object,
    translated: str,
) -> None:
    """Give the containers what ``total`` holds beyond their own figures."""
    running = [c for c in containers(pod.value) if c.kind == "containers" or c.sidecar]
    own = {(c.kind, c.position): _figure(c, section, resource, translated) for c in running}
    rest = _count(resource, total) - sum(figure or 0 for figure in own.values())
    mains = [c for c in running if c.kind == "containers"]
    if rest <= 0 or not mains:
        return
    without = [c for c in mains if own[c.kind, c.position] is None]
    if without:
        floors = [
            (_figure(c, "requests", resource, translated) or 0) if section == "limits" else 0 for c in without
        ]
        for container, share in zip(without, _shares(rest, floors), strict=True):
            _give(pod, container, section, resource, share, translated)
    else:
        first = mains[0]
        figure = (own[first.kind, first.position] or 0) + rest
        _give(pod, first, section, resource, figure, translated)


def _shares(total: int, floors: list[int]) -> list[int]:
    """Return equal parts that keep the sum; who needs more than an equal part gets what it needs.

    The first parts are one larger where the total does not divide. The sum is kept
    unless the floors alone are more than the total.
    """
    shares = list(floors)
    open_ = list(range(len(floors)))
    while open_:
        share, more = divmod(max(total, 0), len(open_))
        needy = [i for i in open_ if floors[i] > share]
        if not needy:
            for rank, i in enumerate(open_):
                shares[i] = share + (rank < more)
            break
        total -= sum(floors[i] for i in needy)
        open_ = [i for i in open_ if i not in needy]
    return shares


def _raise_limits(pod: PodEdit, resource: str, translated: str) -> None:
    """Raise limits below requests, which the API server would refuse."""
    for container in list(containers(pod.value)):
        request = _figure(container, "requests", resource, translated)
        limit = _figure(container, "limits", resource, translated)
        if container.kind == "containers" and limit is not None and request is not None and request > limit:
            _give(pod, container, "limits", resource, request, translated)


def _figure(container: Container, section: str, resource: str, translated: str) -> int | None:
    """Return a container's own figure: milli-cores or bytes, None where it has none."""
    quantities = container.quantities(section)
    if translated in quantities:
        return units(text_of(quantities[translated]))
    return _count(resource, quantities[resource]) if resource in quantities else None


def _count(resource: str, raw: object) -> int:
    text = text_of(raw)
    return milli(text) if resource == CPU else units(text)


def _give(
    pod: PodEdit, container: Container, section: str, resource: str, figure: int, translated: str
) -> None:
    edit = pod.resources(container).open_object(section)
    edit.set(translated, str(figure), CAUSE)
    edit.remove(resource, CAUSE)
