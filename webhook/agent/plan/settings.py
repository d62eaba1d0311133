"""What the plan depends on besides pods and CPUs: what is switched on, and what the node is like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from webhook.pods.quantities import NANO
from webhook.protocol import QoSClass


class Weights(StrEnum):
    """How a runtime turns CPU shares into a weight of cgroup v2."""

    LINEAR = "linear"  # runc before 1.3.2, the kubelet, koordlet
    LOGARITHMIC = "logarithmic"  # runc from 1.3.2 and crun from 1.23 on


class MemoryQoS(NamedTuple):
    """Protection of memory for one class, in percent (NodeSLO ``memoryQOS``); 0: none.

    Attributes:
        minimum: of the request, that is never reclaimed.
        low: of the request, that is reclaimed last.
        throttling: of the way from request to limit, where reclaim begins.
    """

    minimum: int = 0
    low: int = 0
    throttling: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one node.

    Attributes:
        cpusets: whether CPU sets are written.
        limits: whether batch and mid resources become shares, quotas and limits of memory.
        idle: whether BE pods run only where nothing else wants to (``cpu.idle``).
        memory: by class, where memory is protected.
        kubelet_static: the kubelet's CPU manager has the policy static.
        ratio: CPU normalization of the node, in billionths.
        allocatable_memory: bytes, for containers without a limit of memory.
        weights: the formula of the node's container runtime.
        page: bytes; the kernel keeps limits of memory in pages.
    """

    cpusets: bool = True
    limits: bool = True
    idle: bool = True
    memory: Mapping[QoSClass, MemoryQoS] = field(default_factory=dict)
    kubelet_static: bool = False
    ratio: int = NANO
    allocatable_memory: int = 0
    weights: Weights = Weights.LINEAR
    page: int = 4096


DEFAULTS: Final = Settings()
