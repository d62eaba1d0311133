"""How far online pods may exceed their quota by what they did not use before, where a NodeSLO says so.

The kernel keeps unused quota up to ``cpu.cfs_burst_us`` (``cpu.max.burst``), and lets a group use it up
later, so that short peaks are not throttled. It takes no more than the quota itself. Source: Koordinator's
``cpuBurstStrategy`` and ``koordinator.sh/cpuBurst``; Linux' ``scheduler/sched-bwc``, "Burst feature".
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.limits import LimitsError, quota_of
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob, Target, Why
from webhook.pods.pod import annotations, containers
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.pods.requests import pod_limit
from webhook.pods.text import shown
from webhook.protocol import ANNOTATION_CPU_BURST, CPU, QoSClass
from webhook.slo.nodeslo import CPUBurst, read_burst

CPU_BURST: Final = "cpu-burst"
"""The rule."""

_WHOLE: Final = 100
_NEVER: Final = frozenset({QoSClass.LSE, QoSClass.LSR, QoSClass.BE})


class PodBurst(NamedTuple):
    """Targets of a pod's cgroup, and of those of its containers by name."""

    pod: tuple[Target, ...] = ()
    containers: Mapping[str, tuple[Target, ...]] = {}


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
    if not (settings.burst and settings.slo.burst.by_kernel) or pod.qos in _NEVER:
        return PodBurst()
    wanted = _wanted(pod, settings.slo.burst, findings)
    if not wanted.by_kernel:
        return PodBurst()
    try:
        limits = {
            each.name: milli(text_of(each.quantities("limits")[CPU]))
            for each in containers(pod.value)
            if CPU in each.quantities("limits")
        }
        whole = pod_limit(pod.value, CPU)
    except QuantityError as error:
        raise LimitsError(f"{pod.name}: {error}") from None
    return PodBurst(
        _targets(pod, whole, wanted),
        {name: _targets(pod, limit, wanted) for name, limit in limits.items()},
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
