"""What the plan depends on besides pods and CPUs: what is switched on, and what the node is like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from webhook.agent.plan.target import Knob
from webhook.pods.quantities import NANO
from webhook.slo.nodeslo import DEFAULT_SLO, NodeSLO


class Weights(StrEnum):
    """How a runtime turns CPU shares into a weight of cgroup v2."""

    LINEAR = "linear"  # runc before 1.3.2, the kubelet, koordlet
    LOGARITHMIC = "logarithmic"  # runc from 1.3.2 and crun from 1.23 on


class CPUManager(StrEnum):
    """By which policy a kubelet gives containers CPUs."""

    NONE = "none"  # all of them run on what their cgroups have
    STATIC = "static"  # those of Guaranteed pods that request whole CPUs have some for themselves
    UNKNOWN = "unknown"  # its files are not read, or do not say


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one node.

    Attributes:
        cpusets: whether CPU sets are written.
        limits: whether batch and mid resources become shares, quotas and limits of memory.
        shares_counted: scheduler and kubelet count the shares of a pod's cgroup as CPU that it requests.
        idle: whether BE pods run only where nothing else wants to (``cpu.idle``).
        cpu_manager: the policy of the kubelet's CPU manager.
        pinned: the uids of the pods to which it has given CPUs.
        ratio: CPU normalization of the node, in billionths.
        weights: the formula of the node's container runtime.
        memory_qos: the kernel can protect and throttle memory, as the NodeSLO asks for.
        burst: the kernel can keep unused quota for later, as the NodeSLO asks for.
        memory: bytes that the node has for pods; None: unknown.
        reserved: milli-cores of the node that are kept from pods.
        oom_score_adj: whether the annotation of that name holds for the processes of a pod.
        nice: the nice value of processes by the class of their pod; classes that are left out keep theirs.
        page: bytes; the kernel keeps limits of memory in pages.
        slo: what the node's NodeSLO asks for.
    """

    cpusets: bool = True
    limits: bool = True
    shares_counted: bool = False
    idle: bool = True
    cpu_manager: CPUManager = CPUManager.NONE
    pinned: frozenset[str] = frozenset()
    ratio: int = NANO
    weights: Weights = Weights.LINEAR
    memory_qos: bool = True
    burst: bool = True
    memory: int | None = None
    reserved: int = 0
    oom_score_adj: bool = False
    nice: Mapping[str, int] = field(default_factory=dict)
    page: int = 4096
    slo: NodeSLO = DEFAULT_SLO

    @property
    def kubelet_static(self) -> bool:
        """Return whether the kubelet is known to place pods without a class itself."""
        return self.cpu_manager is CPUManager.STATIC

    @property
    def for_processes(self) -> frozenset[Knob]:
        """Return what may be set of processes."""
        asked = {Knob.OOM_SCORE_ADJ: self.oom_score_adj, Knob.NICE: bool(self.nice)}
        return frozenset(knob for knob, is_asked in asked.items() if is_asked)


DEFAULTS: Final = Settings()
