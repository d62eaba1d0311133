"""What BE work gets of its budget: CPUs that change as little as can be, or a quota; pure.

It shrinks at once and grows by a tenth of the machine in a round.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from webhook.agent.plan.target import PERIOD
from webhook.agent.suppression.budget import Budget
from webhook.cpuset.sharing import NodeState
from webhook.cpuset.suppression import MIN_CPUS, be_count, growth
from webhook.slo.keys import CFS_QUOTA, CPUSET

LEAST_QUOTA: Final = 2000
"""Microseconds of all BE pods together: koordlet's own least."""

_CORE: Final = 1000
_STEPS: Final = 100  # a quota is a whole number of these parts of the machine


@dataclass(frozen=True, slots=True)
class Options:
    """What the administrator of the agents says.

    Attributes:
        least_cpus: CPUs that BE work keeps under the policy cpuset.
        pressure_percent: of the time in which some task of an online pod waited for a CPU, above which BE
            work gives way more than its budget says; 0: pressure is not looked at.
    """

    least_cpus: int = MIN_CPUS
    pressure_percent: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pods that are suppressed get.

    Attributes:
        policy: by which it was made: ``keys.CPUSET`` or ``keys.CFS_QUOTA``.
        cpus: on which they run; empty where no CPU is left that they may use.
        quota: microseconds of CPU in a period, of all of them together.
        inputs: from which it follows, as text; those of the moment when it was made.
    """

    policy: str
    cpus: frozenset[int] = frozenset()
    quota: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict, compare=False)


class State(NamedTuple):
    """What the last round came to.

    Attributes:
        decision: what BE pods get; None: nothing is known of what they have.
        budget: of the moment; None: it is not known.
    """

    decision: Decision | None
    budget: Budget | None


def decide(
    budget: Budget,
    options: Options,
    node: NodeState,
    before: Decision | None = None,
    *,
    pressure: str = "",
) -> Decision:
    """Decide what BE work gets.

    Args:
        budget: of this moment.
        options: of the agents.
        node: who holds which CPUs.
        before: what it has: from there it grows; None: that is not known, and it gets its budget.
        pressure: why it gives way by a step more than the budget says; "" where it need not.
    """
    if budget.thresholds.cpu_suppress_policy == CFS_QUOTA:
        return _settled(_quota(budget, before, pressure), before)
    return _settled(_cpus(budget, options, node, before, pressure), before)


def hold(node: NodeState, before: Decision) -> Decision:
    """Return what stands, where nothing is known of this moment: as many CPUs, none of them an LSE pod's."""
    if before.policy == CFS_QUOTA:
        return before
    pool = node.be_pool()
    if before.cpus <= pool and before.cpus:
        return before
    cpus = node.be_cpus(max(1, len(before.cpus)), before.cpus)
    return Decision(CPUSET, cpus, inputs={**before.inputs, "held": "nothing is known of what is used"})


def _settled(after: Decision, before: Decision | None) -> Decision:
    """Return the decision that stands, with its reasons, where the new one says the same."""
    return before if before is not None and before == after and before.inputs else after


def _cpus(
    budget: Budget, options: Options, node: NodeState, before: Decision | None, pressure: str
) -> Decision:
    machine = node.topology.size
    old = before.cpus if before is not None and before.policy == CPUSET else None
    current = None if old is None else len(old)
    least = options.least_cpus
    wanted = max(least, -(-budget.amount // _CORE))
    count = be_count(budget.amount, cpus=machine, current=current, least=least)
    if pressure:
        count = min(count, max(least, (machine if current is None else current) - growth(machine)))
    cpus = node.be_cpus(count, old or ())
    inputs = {
        **budget.terms(),
        **({"leastCPUs": str(least)} if wanted == least and budget.amount < least * _CORE else {}),
        **({"pressure": pressure} if pressure else {}),
        **_grown(None if current is None else str(current), wanted > count, pressure),
        "cpus": f"{len(cpus)} of {machine}",
    }
    return Decision(CPUSET, cpus, inputs=inputs)


def _quota(budget: Budget, before: Decision | None, pressure: str) -> Decision:
    whole = budget.capacity * PERIOD // _CORE
    part = max(1, whole // _STEPS)
    wanted = max(LEAST_QUOTA, budget.amount * PERIOD // _CORE // part * part)
    current = before.quota if before is not None and before.policy == CFS_QUOTA else None
    quota = wanted if current is None else min(wanted, current + growth(whole))
    if pressure:
        quota = max(LEAST_QUOTA, min(quota, (whole if current is None else current) - growth(whole)))
    inputs = {
        **budget.terms(),
        **({"pressure": pressure} if pressure else {}),
        **_grown(None if current is None else str(current), wanted > quota, pressure),
        "quota": f"{quota} of {whole}",
    }
    return Decision(CFS_QUOTA, quota=quota, inputs=inputs)


def _grown(current: str | None, less: bool, pressure: str) -> dict[str, str]:  # noqa: FBT001
    """Return that there was more to have than one step from what it has."""
    return {"from": current} if current is not None and less and not pressure else {}
