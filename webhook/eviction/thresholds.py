"""When a node asks for eviction: forms, and the thresholds of those that are on, from ``slo.eviction``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from webhook.protocol import MID, PRIORITY_BANDS

HIGHEST_PRIORITY: Final = next(band.highest for band in PRIORITY_BANDS if band.name == MID)
"""No pod above it is ever evicted: the highest of the class mid."""

WINDOW_SECONDS: Final = 60
"""Over which CPU is averaged where ``cpuEvictTimeWindowSeconds`` does not say: a spike is no reason."""


class Form(StrEnum):
    """Why a node may ask; the names of Koordinator's features, in the order in which they are served."""

    BE_CPU = "BECPUEvict"  # BE pods get too little of the CPU that they request
    BE_MEMORY = "BEMemoryEvict"  # the node's memory is used up; BE pods
    CPU_ALLOCATABLE = "CPUAllocatableEvict"  # pods request more than the node offers them now
    MEMORY_ALLOCATABLE = "MemoryAllocatableEvict"
    CPU = "CPUEvict"  # the node's CPU is used up; pods up to a priority
    MEMORY = "MemoryEvict"


class Satisfaction(NamedTuple):
    """By how much of the CPU that BE pods request they can get.

    Attributes:
        lower: percent of the requests, at most which is too little.
        upper: percent to which satisfaction is brought.
        usage: percent of what they can get, at least which they use.
        by_allocatable: what they can get is the node's batch-cpu, not what cgroups allow.
    """

    lower: int
    upper: int
    usage: int
    by_allocatable: bool


class Limits(NamedTuple):
    """From which percentage on a form asks, down to which, and for pods up to which priority; None: BE."""

    threshold: int
    lower: int
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a strategy says of eviction.

    Attributes:
        satisfaction: of BECPUEvict; None: it is off.
        limits: of the other forms that are on.
        window: seconds over which CPU is averaged.
        findings: what is wrong or not complete, with its field.
    """

    satisfaction: Satisfaction | None = None
    limits: Mapping[Form, Limits] = field(default_factory=dict)
    window: int = WINDOW_SECONDS
    findings: tuple[str, ...] = ()

    @property
    def off(self) -> bool:
        """Whether no form is on."""
        return self.satisfaction is None and not self.limits


OFF: Final = Thresholds()
