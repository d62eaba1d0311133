"""How much of the share pool is in use: whether quotas may be raised, stay, or have to fall; pure.

Source: koordlet's ``getNodeStateForBurst``. Here the pool is the CPUs on which online pods run, not the
machine less what others request. Amounts are milli-cores.
"""

from enum import StrEnum
from math import ceil
from typing import Final, NamedTuple

from webhook.agent.measuring.usage import Loads
from webhook.agent.plan.plan import Plan
from webhook.protocol import QoSClass

_CORE: Final = 1000
_WHOLE: Final = 100
_COOL: Final = 90
"""Percent of the threshold: below that quotas may rise."""


class Load(StrEnum):
    """What the use of the pool means for quotas."""

    FREE = "free"  # they may rise
    COOLING = "cooling"  # they stay
    FULL = "full"  # they fall


class Pool(NamedTuple):
    """The share pool at one moment.

    Attributes:
        size: of all its CPUs.
        used: of these, by online pods and by what is no pod's.
        threshold: percentage of the node's NodeSLO.
    """

    size: int
    used: int
    threshold: int

    @property
    def load(self) -> Load:
        """Return what it means."""
        if self.used * _WHOLE >= self.size * self.threshold:
            return Load.FULL
        cool = self.used * _WHOLE * _WHOLE < self.size * self.threshold * _COOL
        return Load.FREE if cool else Load.COOLING

    def terms(self) -> dict[str, str]:
        """Return it as text."""
        return {"pool": f"{self.used} of {self.size}", "threshold": f"{self.threshold}%"}


class Members(NamedTuple):
    """Who belongs to the share pool.

    Attributes:
        size: milli-cores of its CPUs.
        others: the uids of the pods that run elsewhere, and of those that give way.
    """

    size: int
    others: frozenset[str]


def members_of(plan: Plan, pinned: frozenset[str] = frozenset()) -> Members:
    """Return who belongs to the share pool: not pods with CPUs of their own, and not BE pods.

    Args:
        plan: which CPUs are in the pool, and who runs elsewhere.
        pinned: the uids of the pods to which the kubelet has given CPUs, which are in no pool.
    """
    cpus = plan.cpus.state.shared_pool()
    placements = plan.cpus.placements
    others = {uid for uid, place in placements.items() if place.cpus.isdisjoint(cpus)}
    others |= {each.pod.uid for each in plan.all_pods if each.pod.qos == QoSClass.BE}
    return Members(len(cpus) * _CORE, frozenset(others | (pinned - placements.keys())))


def pool_of(loads: Loads, members: Members, threshold: int) -> Pool:
    """Return the share pool; others who could not be measured count.

    Args:
        loads: at this moment.
        members: who belongs to it.
        threshold: percentage of the node's NodeSLO.
    """
    elsewhere = sum(used for uid, used in loads.by_pod.items() if uid in members.others)
    used = ceil(round((loads.node - elsewhere) * _CORE, 6))
    return Pool(members.size, max(0, used), threshold)
