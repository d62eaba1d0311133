"""What a pod asks of its node's CPUs: whether it gets a set, how many CPUs, and how they lie.

An LSE or LSR pod of class prod that requests CPU and is to be bound by FullPCPUs or
SpreadByPCPUs gets CPUs of its own; every other pod runs on a pool. The request is that of
the pod as kube-scheduler counts it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.cpuset import BindPolicy, CpuSetError, Exclusive, NumaPolicy, QoS
from webhook.pods.pod import Container, annotations, containers, labels, spec
from webhook.pods.priority import effective_class
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_NUMA_TOPOLOGY_SPEC,
    ANNOTATION_RESOURCE_SPEC,
    CPU,
    LABEL_QOS_CLASS,
    PROD,
    QoSClass,
)

BOUND_CLASSES: Final = (QoSClass.LSE, QoSClass.LSR)

_BOUND_POLICIES: Final = {
    "FullPCPUs": BindPolicy.FULL_PCPUS,
    "SpreadByPCPUs": BindPolicy.SPREAD_BY_PCPUS,
}
_CONSTRAINED_BURST: Final = "ConstrainedBurst"  # declared by Koordinator, and nothing more: no CPU set
_REQUIRED_EXCLUSION: Final = "Required"


class ResourceSpecError(ValueError):
    """A pod's wish that makes no sense; the message names field, value and remedy."""


class CPUSetRequest(NamedTuple):
    """CPUs of its own that a pod asks for.

    Attributes:
        qos: LSE or LSR.
        cpus: how many, one at least.
        policy: how they lie on cores.
        required: rather none than otherwise.
        exclusive: with whom cores or NUMA nodes are not to be shared.
        numa_policy: NONE where the pod leaves it to its node.
        numa_exclusive: a NUMA node is not to be shared with pods that span several.
    """

    qos: QoS
    cpus: int
    policy: BindPolicy
    required: bool = False
    exclusive: Exclusive = Exclusive.NONE
    numa_policy: NumaPolicy = NumaPolicy.NONE
    numa_exclusive: bool = False


def is_bound_class(pod_labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels may get CPUs of its own at all."""
    return pod_labels.get(LABEL_QOS_CLASS) in BOUND_CLASSES


def read_resource_spec(
    pod: Mapping[str, Any], default: BindPolicy = BindPolicy.FULL_PCPUS
) -> CPUSetRequest | None:
    """Return what a pod asks for, None where it runs on a pool.

    Args:
        pod: a v1 Pod.
        default: what the policy ``Default``, or none, means.

    Raises:
        ResourceSpecError: an annotation cannot be read, or the CPUs are no whole number.
    """
    mine = labels(pod)
    if not is_bound_class(mine) or effective_class(mine, spec(pod).get("priority")) != PROD:
        return None
    amount = requested_milli(pod)
    if amount == 0:
        return None
    wished = _object(pod, ANNOTATION_RESOURCE_SPEC, '{"preferredCPUBindPolicy": "FullPCPUs"}')
    required = _policy(wished, "requiredCPUBindPolicy", default)
    policy = required or _policy(wished, "preferredCPUBindPolicy", default) or default
    if policy is BindPolicy.NONE:
        return None
    if amount % 1000:
        raise ResourceSpecError(
            f"cpu {amount}m is no whole number of CPUs, which {mine[LABEL_QOS_CLASS]} pods have to "
            "request: round the containers' requests so that the pod's sum is whole"
        )
    numa = _object(pod, ANNOTATION_NUMA_TOPOLOGY_SPEC, '{"numaTopologyPolicy": "SingleNUMANode"}')
    return CPUSetRequest(
        qos=QoS(mine[LABEL_QOS_CLASS]),
        cpus=amount // 1000,
        policy=policy,
        required=required is not None,
        exclusive=_exclusive(wished),
        numa_policy=_numa_policy(numa),
        numa_exclusive=numa.get("singleNUMANodeExclusive") == _REQUIRED_EXCLUSION,
    )


def requested_milli(pod: Mapping[str, Any]) -> int:
    """Return the CPU that a pod requests, in thousandths.

    The sum of the containers and native sidecars, or the greatest init container with the
    sidecars that run beside it, if that is more; pod-level requests stand for both. Overhead
    comes on top. Source: Kubernetes' ``component-helpers/resource`` (PodRequests).

    Raises:
        ResourceSpecError: a quantity cannot be read.
    """
    running = sidecars = first = 0
    for container in containers(pod):
        amount = _milli(container.quantities("requests").get(CPU, 0), _field(container))
        if container.sidecar:
            sidecars += amount
            first = max(first, sidecars)
        elif container.kind == "initContainers":
            first = max(first, sidecars + amount)
        else:
            running += amount
    total = max(running + sidecars, first)
    of = spec(pod)
    whole = ((of.get("resources") or {}).get("requests") or {}).get(CPU)
    if whole is not None:
        total = _milli(whole, "spec.resources.requests[cpu]")
    return total + _milli((of.get("overhead") or {}).get(CPU, 0), "spec.overhead[cpu]")


def _field(container: Container) -> str:
    return f"spec.{container.kind}[{container.position}].resources.requests[cpu]"


def _milli(raw: object, field: str) -> int:
    try:
        return milli(text_of(raw))
    except QuantityError as error:
        raise ResourceSpecError(f"{field}: {error}") from None


def _object(pod: Mapping[str, Any], key: str, example: str) -> Mapping[str, Any]:
    text = annotations(pod).get(key)
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ResourceSpecError(
            f"annotation {key}: {shown(text)} is no JSON object: write for example {example}"
        )
    return value


def _policy(wished: Mapping[str, Any], field: str, default: BindPolicy) -> BindPolicy | None:
    name = wished.get(field) or ""
    if name == "":
        return None
    if name == "Default":
        return default
    if name == _CONSTRAINED_BURST:
        return BindPolicy.NONE
    if not isinstance(name, str) or name not in _BOUND_POLICIES:
        raise ResourceSpecError(
            f"annotation {ANNOTATION_RESOURCE_SPEC}: {field} {shown(name)} is unknown: "
            f"use Default, {', '.join(_BOUND_POLICIES)} or {_CONSTRAINED_BURST}"
        )
    return _BOUND_POLICIES[name]


def _exclusive(wished: Mapping[str, Any]) -> Exclusive:
    name = wished.get("preferredCPUExclusivePolicy") or Exclusive.NONE
    if name not in list(Exclusive):
        raise ResourceSpecError(
            f"annotation {ANNOTATION_RESOURCE_SPEC}: preferredCPUExclusivePolicy {shown(name)} is unknown: "
            f"use {', '.join(Exclusive)}"
        )
    return Exclusive(name)


def _numa_policy(numa: Mapping[str, Any]) -> NumaPolicy:
    name = numa.get("numaTopologyPolicy") or ""
    try:
        return NumaPolicy.parse(str(name))
    except CpuSetError as error:
        raise ResourceSpecError(f"annotation {ANNOTATION_NUMA_TOPOLOGY_SPEC}: {error}") from None
