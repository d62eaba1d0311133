"""The resources that a pod requests, and its limits, as kube-scheduler counts them.

Source: Kubernetes' ``component-helpers/resource`` (PodRequests) with KEP-753 (native sidecars)
and KEP-2837 (resources at the pod's level).
"""

from collections.abc import Mapping
from typing import Any, Final

from webhook.pods.pod import ALWAYS, spec
from webhook.pods.quantities import NANO, QuantityError, non_negative, text_of
from webhook.protocol import HUGEPAGES_PREFIX, NATIVE_RESOURCES

_NANO_IN_MILLI: Final = NANO // 1000


def pod_request(pod: Mapping[str, Any], resource: str) -> int:
    """Return how much of a resource a pod requests, in thousandths of the resource's unit.

    The containers and native sidecars together, or the greatest init container with the sidecars
    started before it, where that is more. A request at the pod's level replaces both; it counts
    for cpu, memory and huge pages only. Overhead is added in each case. Every quantity is
    rounded up to a thousandth, as the API server stores it.

    Args:
        pod: a v1 Pod of which the shape is right (see ``admission.podedit.check_shape``).
        resource: such as ``cpu`` or ``kubernetes.io/batch-cpu``.

    Raises:
        QuantityError: a quantity cannot be read or is negative; the message begins with the field.
    """
    return _without_overhead(pod, resource, "requests") + _overhead(pod, resource)


def pod_limit(pod: Mapping[str, Any], resource: str) -> int:
    """Return the limit of a pod, summed up as its request is; overhead is added to a limit that exists.

    Raises:
        QuantityError: as ``pod_request``.
    """
    total = _without_overhead(pod, resource, "limits")
    return total + _overhead(pod, resource) if total else 0


def containers_request(pod: Mapping[str, Any], resource: str, section: str = "requests") -> int:
    """Return what the containers of a pod request, as in ``pod_request``, without pod level and overhead."""
    of = spec(pod)
    running = sidecars = starting = 0
    for i, container in enumerate(of.get("initContainers") or ()):
        field = "spec.initContainers[{}].resources"
        amount = _milli(container.get("resources"), section, resource, field, i) or 0
        starting = max(starting, sidecars + amount)
        if container.get("restartPolicy") == ALWAYS:
            sidecars += amount
    for i, container in enumerate(of.get("containers") or ()):
        field = "spec.containers[{}].resources"
        running += _milli(container.get("resources"), section, resource, field, i) or 0
    return max(running + sidecars, starting)


def _without_overhead(pod: Mapping[str, Any], resource: str, section: str) -> int:
    total = None
    if resource in NATIVE_RESOURCES or resource.startswith(HUGEPAGES_PREFIX):
        total = _milli(spec(pod).get("resources"), section, resource, "spec.resources")
    return containers_request(pod, resource, section) if total is None else total


def _overhead(pod: Mapping[str, Any], resource: str) -> int:
    return _milli(spec(pod), "overhead", resource, "spec") or 0


def _milli(
    resources: Mapping[str, Any] | None, section: str, resource: str, field: str, *at: int
) -> int | None:
    """Return an amount in a section of ``resources``; ``field`` and ``at`` are put together for an error."""
    requests = resources.get(section) if resources else None
    raw = requests.get(resource) if requests else None
    if raw is None:
        return None
    try:
        return -(-non_negative(raw if isinstance(raw, str) else text_of(raw)) // _NANO_IN_MILLI)
    except QuantityError as error:
        raise QuantityError(f"{field.format(*at)}.{section}[{resource}]: {error}") from None
