"""How far online pods may exceed their quota, where a NodeSLO says so.

By what they did not use before: the kernel keeps unused quota up to ``cpu.cfs_burst_us``
(``cpu.max.burst``), and lets a group use it up later, so that short peaks are not throttled. It takes no more
than the quota itself. By more quota while they are throttled: here stands what may be raised, and how far;
``webhook.agent.bursting`` decides from second to second. Source: Koordinator's ``cpuBurstStrategy`` and
``koordinator.sh/cpuBurst``; Linux' ``scheduler/sched-bwc``, "Burst feature".
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.limits import LimitsError, quota_of
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob, Target, Why
from webhook.pods.pod import annotations, containers, mapping, spec
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.requests import pod_limit
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_CPU_BURST, CPU, QoSClass
from webhook.slo.nodeslo import CPUBurst, read_burst

CPU_BURST: Final = "cpu-burst"
"""The rule of what the kernel keeps."""

QUOTA_BURST: Final = "quota-burst"
"""The rule of quotas that are raised."""

_WHOLE: Final = 100
_NEVER: Final = frozenset({QoSClass.LSE, QoSClass.LSR, QoSClass.BE})


class Quotas(NamedTuple):
    """The quotas of a pod as the kubelet writes them, in microseconds, which may be raised.

    Attributes:
        pod: of its own cgroup; None where it has none, for a container has no limit.
        containers: by name, of those that have one.
        whole: the pod has a limit of its own, so that what throttles it may be its own cgroup.
        strategy: of the pod.
    """

    pod: int | None
    containers: Mapping[str, int]
    whole: bool
    strategy: CPUBurst

    def most(self, quota: int) -> int:
        """Return up to how much a quota may be raised."""
        return max(quota, quota * self.strategy.cfs_quota_burst_percent // _WHOLE)


class PodBurst(NamedTuple):
    """What a pod may have besides its quotas.

    Attributes:
        pod: targets of its cgroup.
        containers: targets of those of its containers, by name.
        quotas: that may be raised; None: none.
    """

    pod: tuple[Target, ...] = ()
    containers: Mapping[str, tuple[Target, ...]] = {}
    quotas: Quotas | None = None


def pod_burst(pod: AgentPod, settings: Settings, findings: list[str]) -> PodBurst:
    """Return how far a pod may exceed its quotas; nothing for LSE, LSR and BE pods, and where that is off.

    What is planned follows from limits, as a quota does: while a pod is resized to less, the quota that
    stands is the greater one, and has to be able to shrink.

    Args:
        pod: the pod.
        settings: with the NodeSLO.
        findings: gets what is wrong with the pod's annotation.

    Raises:
        LimitsError: its limits cannot be read.
    """
    if not settings.slo.burst.is_on or pod.qos in _NEVER:
        return PodBurst()
    wanted = _wanted(pod, settings.slo.burst, findings)
    try:
        limits = {
            each.name: milli(text_of(each.quantities("limits")[CPU]))
            for each in containers(pod.value)
            if CPU in each.quantities("limits")
        }
        whole = pod_limit(pod.value, CPU)
        quotas = _quotas(pod, whole, limits, wanted) if wanted.by_quota else None
    except QuantityError as error:
        raise LimitsError(f"{pod.name}: {error}") from None
    if not (settings.burst and wanted.by_kernel):
        return PodBurst(quotas=quotas)
    return PodBurst(
        _targets(pod, whole, wanted),
        {name: _targets(pod, limit, wanted) for name, limit in limits.items()},
        quotas,
    )


def missing_burst(settings: Settings) -> list[str]:
    """Return a finding where a NodeSLO asks for what the kernel does not have."""
    if settings.burst or not settings.slo.burst.by_kernel:
        return []
    return ["NodeSLO: cpuBurstStrategy: this kernel has no cpu.cfs_burst_us or cpu.max.burst: Linux 5.14 has"]


def _wanted(pod: AgentPod, of_node: CPUBurst, findings: list[str]) -> CPUBurst:
    """Return what holds for a pod: its annotation counts for each field that it has."""
    text = annotations(pod.value).get(ANNOTATION_CPU_BURST)
    if not text:
        return of_node
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        findings.append(
            f"{pod.name}: annotation {ANNOTATION_CPU_BURST}: {shown(text)} is no JSON; it counts as absent"
        )
        return of_node
    problems: list[str] = []
    wanted = read_burst(raw, f"annotation {ANNOTATION_CPU_BURST}", problems, of_node)
    findings += [f"{pod.name}: {each}" for each in problems]
    return wanted


def _targets(pod: AgentPod, limit: int, wanted: CPUBurst) -> tuple[Target, ...]:
    if limit <= 0:
        return ()
    burst = quota_of(limit) * min(wanted.cpu_burst_percent, _WHOLE) // _WHOLE
    inputs = {"limit": f"{limit}m", "percent": f"{wanted.cpu_burst_percent}%"}
    return (Target(Knob.BURST, burst, Why(CPU_BURST, pod.name, inputs)),)


def _quotas(pod: AgentPod, whole: int, limits: Mapping[str, int], wanted: CPUBurst) -> Quotas | None:
    """Return what may be raised; None where nothing has a quota.

    Below a limit of the pod's own a container without one has that.

    Raises:
        QuantityError: the pod's own limit cannot be read.
    """
    of_pod = mapping(mapping(spec(pod.value).get("resources")).get("limits"))
    own = milli(text_of(of_pod[CPU])) if CPU in of_pod else 0
    of_containers = {each.name: limits.get(each.name) or own for each in containers(pod.value)}
    staying = [each.name for each in containers(pod.value) if each.kind == "containers" or each.sidecar]
    bounded = own or all(of_containers[name] for name in staying)
    found = Quotas(
        quota_of(whole) if bounded and whole > 0 else None,
        {name: quota_of(limit) for name, limit in of_containers.items() if limit > 0},
        own > 0,
        wanted,
    )
    return found if found.containers else None
