"""How memory is protected from reclaim, and throttled before its limit, where a NodeSLO switches that on.

What a pod requests, by its class's percentages, is protected in its cgroup and in those of its containers;
the kernel protects no more below a cgroup than above it, so the groups of all pods and of a class have the
sums. Source: Koordinator's ``memoryQOS``; Linux' ``admin-guide/cgroup-v2``, "Memory Interface Files".
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from webhook.agent.plan.agentpod import AgentPod, Mode
from webhook.agent.plan.limits import (
    LimitsError,
    amount_of,
    colocation_names,
    described,
    requested,
    text_of_limit,
)
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import UNLIMITED, Knob, Target, Why
from webhook.pods.pod import containers
from webhook.pods.quantities import QuantityError
from webhook.protocol import MEMORY, KubeQoS
from webhook.slo.nodeslo import MemoryQoS

MEMORY_QOS: Final = "memory-qos"

_ALL: Final = 100
_OFF: Final = MemoryQoS()


class Protection(NamedTuple):
    """Bytes that are never reclaimed, and bytes that are reclaimed last."""

    least: int = 0
    low: int = 0


UNPROTECTED: Final = Protection()


class PodMemory(NamedTuple):
    """Targets of a pod's cgroup, and of those of its containers by name; what counts for those above."""

    pod: tuple[Target, ...] = ()
    containers: Mapping[str, tuple[Target, ...]] = {}
    protection: Protection = UNPROTECTED


def pod_memory(pod: AgentPod, settings: Settings) -> PodMemory:
    """Return how a pod's memory is protected and throttled; nothing where that is off for its class.

    Raises:
        LimitsError: its resources cannot be read.
    """
    wanted = settings.slo.memory.get(pod.counts_as, _OFF)
    if not (settings.memory_qos and wanted.enable):
        return PodMemory()
    value = described(pod)
    names = colocation_names(value)
    name = MEMORY if names is None else names.memory
    try:
        request = requested(value, name)
        each_requests = {
            each.name: amount_of(each.quantities("requests"), name) or 0 for each in containers(value)
        }
        each_limit = {each.name: amount_of(each.quantities("limits"), name) for each in containers(value)}
    except QuantityError as error:
        raise LimitsError(f"{pod.name}: {error}") from None
    own = _protection(request, wanted, settings.page)
    found = {}
    for container, amount in each_requests.items():
        protected = _protection(amount, wanted, settings.page)
        limit = each_limit[container] or settings.memory
        why = Why(
            MEMORY_QOS, pod.name, {name: str(amount), "limit": text_of_limit(limit), **_percents(wanted)}
        )
        high = _high(amount, limit, protected, wanted, settings.page)
        found[container] = (*_targets(protected, why), Target(Knob.HIGH, high, why))
    why = Why(MEMORY_QOS, pod.name, {name: str(request), **_percents(wanted)})
    return PodMemory(tuple(_targets(own, why)), found, own)


def sums(
    pods: Iterable[tuple[AgentPod, Protection]], settings: Settings
) -> Mapping[KubeQoS, tuple[Target, ...]]:
    """Return the targets of the groups above pods: Guaranteed stands for the group of all of them.

    Empty where nothing is switched on.
    """
    if not settings.memory_qos or not any(each.enable for each in settings.slo.memory.values()):
        return {}
    mine = [(pod.kube_qos, protection) for pod, protection in pods if pod.mode is Mode.ENFORCE]
    found = {}
    for kind in KubeQoS:
        counted = [each for of, each in mine if kind in (of, KubeQoS.GUARANTEED)]
        total = Protection(sum(each.least for each in counted), sum(each.low for each in counted))
        found[kind] = tuple(_targets(total, Why(MEMORY_QOS, name_of(kind), {"pods": str(len(counted))})))
    return found


def name_of(kind: KubeQoS) -> str:
    """Return how reasons name the group of a class: Guaranteed stands for the group of all pods."""
    return "all pods" if kind is KubeQoS.GUARANTEED else f"{kind} pods"


def missing(settings: Settings) -> list[str]:
    """Return a finding where a NodeSLO asks for what the kernel does not have."""
    asked = [str(kind) for kind, each in settings.slo.memory.items() if each.enable]
    if settings.memory_qos or not asked:
        return []
    text = f"NodeSLO: memoryQOS of {', '.join(asked)}: memory is not protected, for this kernel's cgroups"
    return [f"{text} have no memory.min, memory.low and memory.high: those of version 2 do"]


def _protection(request: int, wanted: MemoryQoS, page: int) -> Protection:
    least, low = (
        request * percent // _ALL // page * page
        for percent in (wanted.min_limit_percent, wanted.low_limit_percent)
    )
    return Protection(least, max(least, low) if low else 0)


def _high(request: int, limit: int | None, own: Protection, wanted: MemoryQoS, page: int) -> int:
    """Return from where on a container is throttled; where no limit is known, nowhere."""
    percent = wanted.throttling_percent
    if not percent or limit is None:
        return UNLIMITED
    return max(own.least, (request + max(0, limit - request) * percent // _ALL) // page * page)


def _targets(protection: Protection, why: Why) -> Iterable[Target]:
    return Target(Knob.MIN, protection.least, why), Target(Knob.LOW, protection.low, why)


def _percents(wanted: MemoryQoS) -> Mapping[str, str]:
    return {
        "min": f"{wanted.min_limit_percent}%",
        "low": f"{wanted.low_limit_percent}%",
        "throttling": f"{wanted.throttling_percent}%",
    }
