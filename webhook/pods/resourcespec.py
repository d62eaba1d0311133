"""What a pod asks of its node's CPUs: whether it gets a CPU set, of how many CPUs, and how they lie.

An LSE or LSR pod of class prod that requests CPU and is to be bound by FullPCPUs or
SpreadByPCPUs gets CPUs of its own; every other pod runs on a pool, and so does a static pod: what
is written to its mirror does not reach it. The request is that of the pod as kube-scheduler counts it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.cpuset.allocation import BindPolicy, Exclusive, Request
from webhook.cpuset.errors import CpuSetError
from webhook.cpuset.hints import NumaPolicy
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import Pod
from webhook.pods.pod import annotations, is_mirror, labels, spec
from webhook.pods.priority import effective_class
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_NUMA_TOPOLOGY_SPEC,
    ANNOTATION_RESOURCE_SPEC,
    BATCH_CPU,
    CONSTRAINED_BURST,
    CPU,
    EXCLUSIVE_REQUIRED,
    LABEL_QOS_CLASS,
    POLICY_DEFAULT,
    PROD,
    QoSClass,
)

BOUND_CLASSES: Final = (QoSClass.LSE, QoSClass.LSR)

_BOUND_POLICIES: Final = {
    str(policy): policy for policy in (BindPolicy.FULL_PCPUS, BindPolicy.SPREAD_BY_PCPUS)
}


class ResourceSpecError(ValueError):
    """A request that cannot be read or met by any node; the message names field, value and remedy."""


class CPUSetRequest(NamedTuple):
    """A pod's request for CPUs of its own.

    Attributes:
        qos: LSE or LSR.
        cpus: how many, at least one.
        policy: how the CPUs lie on cores.
        required: the pod gets no CPUs at all rather than CPUs against the policy.
        exclusive: whether cores or NUMA nodes are shared with pods of the same policy.
        numa_policy: NONE where the pod leaves it to its node.
        numa_exclusive: NUMA nodes are not shared with pods that span several of them.
    """

    qos: QoS
    cpus: int
    policy: BindPolicy
    required: bool = False
    exclusive: Exclusive = Exclusive.NONE
    numa_policy: NumaPolicy = NumaPolicy.NONE
    numa_exclusive: bool = False


def read_resource_spec(
    pod: Mapping[str, Any], default: BindPolicy = BindPolicy.FULL_PCPUS
) -> CPUSetRequest | None:
    """Return a pod's request for CPUs of its own, None where it runs on a pool.

    Args:
        pod: a v1 Pod.
        default: the policy of a pod that states ``Default`` or none.

    Raises:
        ResourceSpecError: an annotation or a quantity cannot be read, or the CPUs are no whole number.
    """
    mine = labels(pod)
    if mine.get(LABEL_QOS_CLASS) not in BOUND_CLASSES or is_mirror(pod):
        return None
    if effective_class(mine, spec(pod).get("priority")) != PROD:
        return None
    amount = _requested(pod, CPU)
    if amount == 0:
        return None
    stated = _object(pod, ANNOTATION_RESOURCE_SPEC, '{"preferredCPUBindPolicy": "FullPCPUs"}')
    required = _policy(stated, "requiredCPUBindPolicy", default)
    policy = required or _policy(stated, "preferredCPUBindPolicy", default) or default
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
        exclusive=_exclusive(stated),
        numa_policy=_numa_policy(numa),
        numa_exclusive=numa.get("singleNUMANodeExclusive") == EXCLUSIVE_REQUIRED,
    )


def node_pod(pod: Mapping[str, Any], uid: str) -> Pod:
    """Return a v1 Pod as a node counts it: with CPUs of its own, or on the pool of its class.

    Raises:
        ResourceSpecError: as ``read_resource_spec``.
    """
    request = read_resource_spec(pod)
    if request is not None:
        asked = Request(0, request.policy, required=request.required, exclusive=request.exclusive)
        return Pod(uid, request.qos, request.cpus * 1000, asked)
    label = labels(pod).get(LABEL_QOS_CLASS, "")
    if label == QoSClass.BE:
        # Batch CPU is counted in thousandths already: 2k of it is two CPUs.
        return Pod(uid, QoS.BE, _requested(pod, BATCH_CPU) // 1000)
    # An LSE or LSR pod without CPUs of its own runs on the share pool.
    return Pod(uid, QoS.SYSTEM if label == QoSClass.SYSTEM else QoS.LS, _requested(pod, CPU))


def _requested(pod: Mapping[str, Any], resource: str) -> int:
    try:
        return pod_request(pod, resource)
    except QuantityError as error:
        raise ResourceSpecError(str(error)) from None


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


def _policy(stated: Mapping[str, Any], field: str, default: BindPolicy) -> BindPolicy | None:
    name = stated.get(field) or ""
    if name == "":
        return None
    if name == POLICY_DEFAULT:
        return default
    if name == CONSTRAINED_BURST:
        return BindPolicy.NONE
    if not isinstance(name, str) or name not in _BOUND_POLICIES:
        raise ResourceSpecError(
            f"annotation {ANNOTATION_RESOURCE_SPEC}: {field} {shown(name)} is unknown: "
            f"use {POLICY_DEFAULT}, {', '.join(_BOUND_POLICIES)} or {CONSTRAINED_BURST}"
        )
    return _BOUND_POLICIES[name]


def _exclusive(stated: Mapping[str, Any]) -> Exclusive:
    name = stated.get("preferredCPUExclusivePolicy") or Exclusive.NONE
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
