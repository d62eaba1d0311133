"""A NodeSLO's spec as an agent reads it: typed, with defaults, and with a word for what cannot be meant.

A strategy with a value that cannot be meant counts as absent, as a whole: half of one might do what nobody
wants. Strategies that our agent does not carry out are not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from webhook.capacity.strategy import StrategyError
from webhook.pods.text import shown
from webhook.protocol import QoSClass
from webhook.slo.keys import (
    AUTO,
    BURST,
    BURST_CONFIG,
    CFS_QUOTA_BURST_ONLY,
    CPU_BURST_ONLY,
    KEYS,
    MEMORY_QOS,
    NO_BURST,
    QOS_CONFIG,
    THRESHOLD,
    THRESHOLD_CONFIG,
)
from webhook.slo.rules import Reading, Table

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CLASSES: Final = {
    "lsrClass": (QoSClass.LSE, QoSClass.LSR),
    "lsClass": (QoSClass.LS,),
    "beClass": (QoSClass.BE,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedThreshold:
    """When BE pods are suppressed and evicted: ``resourceUsedThresholdWithBE``.

    Percentages of what the node has, unless said otherwise; None: not set, and what needs it is off.

    Attributes:
        enable: whether anything of this is done.
        cpu_suppress_threshold_percent: up to which CPU is used, BE pods included.
        cpu_suppress_min_percent: what BE pods have at least.
        cpu_suppress_policy: ``keys.CPUSET`` or ``keys.CFS_QUOTA``.
        memory_evict_threshold_percent: from which on BE pods are evicted.
        memory_evict_lower_percent: down to which.
        cpu_evict_be_satisfaction_upper_percent: of what BE pods request: up to which room is made.
        cpu_evict_be_satisfaction_lower_percent: of the same: down to which nothing is done.
        cpu_evict_be_usage_threshold_percent: of their limit: with less use nothing is done.
        cpu_evict_time_window_seconds: over which satisfaction is the mean.
        cpu_evict_policy: ``keys.BY_REAL_LIMIT`` or ``keys.BY_ALLOCATABLE``.
        cpu_evict_threshold_percent: of CPU used, from which on pods up to a priority are evicted.
        cpu_evict_lower_percent: down to which.
        evict_enabled_priority_threshold: the greatest ``spec.priority`` of pods that are evicted by usage.
        cpu_allocatable_evict_threshold_percent: of the allocatable amount that may be requested.
        cpu_allocatable_evict_lower_percent: down to which.
        memory_allocatable_evict_threshold_percent: the same of memory.
        memory_allocatable_evict_lower_percent: the same of memory.
        allocatable_evict_priority_threshold: the greatest priority of pods that are evicted by requests.
    """

    enable: bool
    cpu_suppress_threshold_percent: int
    cpu_suppress_min_percent: int | None = None
    cpu_suppress_policy: str
    memory_evict_threshold_percent: int
    memory_evict_lower_percent: int | None = None
    cpu_evict_be_satisfaction_upper_percent: int | None = None
    cpu_evict_be_satisfaction_lower_percent: int | None = None
    cpu_evict_be_usage_threshold_percent: int | None = None
    cpu_evict_time_window_seconds: int | None = None
    cpu_evict_policy: str
    cpu_evict_threshold_percent: int | None = None
    cpu_evict_lower_percent: int | None = None
    evict_enabled_priority_threshold: int | None = None
    cpu_allocatable_evict_threshold_percent: int | None = None
    cpu_allocatable_evict_lower_percent: int | None = None
    memory_allocatable_evict_threshold_percent: int | None = None
    memory_allocatable_evict_lower_percent: int | None = None
    allocatable_evict_priority_threshold: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryQoS:
    """How the memory of a class is protected and throttled: ``memoryQOS``, as far as Linux itself can.

    Attributes:
        enable: whether anything of this is done.
        min_limit_percent: of the request: never reclaimed (``memory.min``).
        low_limit_percent: of the request: reclaimed last (``memory.low``).
        throttling_percent: of the way from request to limit: from there on throttled (``memory.high``);
            0: never.
    """

    enable: bool = False
    min_limit_percent: int = 0
    low_limit_percent: int = 0
    throttling_percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CPUBurst:
    """How far online pods may exceed their quota: ``cpuBurstStrategy``.

    Attributes:
        policy: one of ``keys``.
        cpu_burst_percent: of the limit: what a group may save up.
        cfs_quota_burst_percent: of the limit: up to which a quota is raised.
        cfs_quota_burst_period_seconds: how long a group may use the most of that before it has to use less
            than its limit; -1: without an end.
        share_pool_threshold_percent: of the share pool: with so much of it in use quotas fall. Of the node;
            no pod has one of its own.
    """

    policy: str = NO_BURST
    cpu_burst_percent: int = 1000
    cfs_quota_burst_percent: int = 300
    cfs_quota_burst_period_seconds: int = -1
    share_pool_threshold_percent: int = 50

    @property
    def is_on(self) -> bool:
        """Whether pods may burst at all."""
        return self.policy != NO_BURST

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel is to keep unused quota."""
        return self.policy in (CPU_BURST_ONLY, AUTO)

    @property
    def by_quota(self) -> bool:
        """Whether quotas are raised while a pod is throttled."""
        return self.policy in (CFS_QUOTA_BURST_ONLY, AUTO)


_NO_CPU_BURST: Final = CPUBurst()


@dataclass(frozen=True, slots=True)
class NodeSLO:
    """What holds on a node.

    Attributes:
        threshold: of suppression and eviction.
        memory: by the class of pods; SYSTEM has none.
        findings: what cannot be meant, with its field, and what holds instead.
        threshold_read: whether ``threshold`` is what was written; False: something of it cannot be meant.
        burst: of pods that are not LSE, LSR or BE.
    """

    threshold: UsedThreshold
    memory: Mapping[QoSClass, MemoryQoS]
    findings: tuple[str, ...] = ()
    threshold_read: bool = True
    burst: CPUBurst = _NO_CPU_BURST


def read_nodeslo(spec: object) -> NodeSLO:
    """Read the spec of a NodeSLO; nothing of it has to be right."""
    findings: list[str] = []
    whole = _object(spec, "spec", findings)
    key = KEYS[THRESHOLD_CONFIG]
    threshold = _strategy(THRESHOLD, whole.get(key.spec), key.spec, findings)
    threshold_read = not findings
    at = KEYS[QOS_CONFIG].spec
    strategies = _object(whole.get(at), at, findings)
    memory: dict[QoSClass, MemoryQoS] = {}
    for name, classes in _CLASSES.items():
        strategy = _object(strategies.get(name), f"{at}.{name}", findings)
        found = _strategy(MEMORY_QOS, strategy.get("memoryQOS"), f"{at}.{name}.memoryQOS", findings)
        memory |= dict.fromkeys(classes, MemoryQoS(**_attributes(MemoryQoS, found)))
    values = _attributes(UsedThreshold, {**key.defaults, **threshold})
    at = KEYS[BURST_CONFIG].spec
    burst = read_burst(whole.get(at), at, findings)
    return NodeSLO(UsedThreshold(**values), memory, tuple(findings), threshold_read, burst)


def read_burst(raw: object, at: str, findings: list[str], below: CPUBurst = _NO_CPU_BURST) -> CPUBurst:
    """Read a strategy of bursts; what it does not say is as in the one below it.

    Args:
        raw: the JSON value.
        at: where it stands.
        findings: gets what cannot be meant.
        below: as said.
    """
    return replace(below, **_attributes(CPUBurst, _strategy(BURST, raw, at, findings)))


def _object(raw: object, at: str, findings: list[str]) -> Mapping[str, Any]:
    if isinstance(raw, Mapping):
        return raw
    if raw is not None:
        findings.append(f"{at}: {shown(raw)} is no JSON object; it counts as absent")
    return {}


def _strategy(rule: Table, raw: object, at: str, findings: list[str]) -> Mapping[str, Any]:
    """Return what is known of a strategy; {} where something of it cannot be meant."""
    reading = Reading()
    found: Mapping[str, Any] = {}
    try:
        found = {} if raw is None else reading.read(rule, raw, at)
    except StrategyError as error:
        reading.problems.append(str(error))
    findings += [f"{each}; {at} counts as absent" for each in reading.problems]
    return {} if reading.problems else found


def _attributes(
    kind: type[UsedThreshold | MemoryQoS | CPUBurst], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values by the attributes that hold them."""
    named = {_WORDS.sub("_", name).lower(): value for name, value in values.items()}
    return {each.name: named[each.name] for each in fields(kind) if each.name in named}


DEFAULT_SLO: Final = read_nodeslo(None)
"""What holds where nobody says anything: nothing is switched on."""
