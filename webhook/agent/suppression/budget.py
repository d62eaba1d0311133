"""How much CPU BE work may use at this moment: a sum, each of whose terms can be shown.

Source: koordlet's ``calculateBESuppressCPU``. Here *others* are all that is not suppressed, pods that are
not known included. Amounts are milli-cores.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from webhook.agent.measuring.usage import Loads
from webhook.cpuset.suppression import be_budget
from webhook.slo.nodeslo import UsedThreshold

_CORE: Final = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """What BE work may use, and why.

    Attributes:
        capacity: of the machine.
        thresholds: of the NodeSLO.
        suppressed: what the pods that are suppressed use.
        pods: what all others use.
        system: what no pod uses.
        reserved: what is kept from pods; counts in place of ``system`` where it is more.
    """

    capacity: int
    thresholds: UsedThreshold
    suppressed: int
    pods: int
    system: int
    reserved: int = 0

    @property
    def others(self) -> int:
        """Return what counts as used by others."""
        return self.pods + max(self.system, self.reserved)

    @property
    def amount(self) -> int:
        """Return the budget; less than nothing where others use more than the threshold."""
        return be_budget(
            self.capacity,
            self.others,
            threshold_percent=self.thresholds.cpu_suppress_threshold_percent,
            min_percent=self.thresholds.cpu_suppress_min_percent or 0,
        )

    def terms(self) -> dict[str, str]:
        """Return the sum as text: what is offered, less what others use, comes to the budget."""
        offered = f"{self.thresholds.cpu_suppress_threshold_percent}% of {self.capacity}"
        least = self.thresholds.cpu_suppress_min_percent
        system = "reserved" if self.reserved > self.system else "system"
        return {
            "threshold": offered,
            "pods": f"-{self.pods}",
            system: f"-{max(self.system, self.reserved)}",
            **({"least": f"{least}% of {self.capacity}"} if least else {}),
            "budget": str(self.amount),
        }


def budget_of(
    loads: Loads, suppressed: frozenset[str], cpus: int, thresholds: UsedThreshold, reserved: int = 0
) -> Budget:
    """Return the budget of BE work; rounded so that others are never counted for less than they use.

    Args:
        loads: at this moment.
        suppressed: the uids of the pods that are.
        cpus: of the machine.
        thresholds: of the NodeSLO.
        reserved: milli-cores that are kept from pods.
    """
    own = sum(used for uid, used in loads.by_pod.items() if uid in suppressed)
    return Budget(
        capacity=cpus * _CORE,
        thresholds=thresholds,
        suppressed=floor(own * _CORE),
        pods=max(0, _up(loads.pods - own)),
        system=max(0, _up(loads.node - loads.pods)),
        reserved=reserved,
    )


def _up(cores: float) -> int:
    """Return milli-cores, rounded up; what is lost in the counters' last digits is none."""
    return ceil(round(cores * _CORE, 6))
