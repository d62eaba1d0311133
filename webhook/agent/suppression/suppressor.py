"""Suppression each second: from what is used to what BE pods get, as long as the NodeSLO switches it on.

Where nothing is known of this second, or the NodeSLO cannot be read, BE pods keep what they have.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from webhook.agent.findings import Findings
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.measuring.sampler import Measures
from webhook.agent.measuring.usage import Loads
from webhook.agent.measuring.waiting import Waiting
from webhook.agent.plan.plan import Plan
from webhook.agent.plan.settings import Settings
from webhook.agent.suppression.budget import budget_of
from webhook.agent.suppression.decision import Decision, Options, State, decide, hold
from webhook.agent.suppression.overlay import online, suppressed, suppressible
from webhook.agent.suppression.standing import standing
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.present import Present
from webhook.slo.keys import CPUSET
from webhook.slo.nodeslo import NodeSLO, UsedThreshold

HELD_SECONDS: Final = 10.0
"""After so long without figures a finding says so."""


@dataclass(eq=False)
class Suppressor:
    """Decides once a second; not for use from several threads, but for ``state``.

    Attributes:
        options: of the administrator.
        clock: seconds that never go back.
        state: what the last round came to; None: nothing is suppressed.
        rounds: in which something was decided.
    """

    _hierarchy: Hierarchy
    _files: CgroupFiles
    _sampler: Measures
    _findings: Findings
    options: Options = field(default_factory=Options)
    clock: Callable[[], float] = time.monotonic
    state: State | None = field(default=None, init=False)
    rounds: int = field(default=0, init=False)
    _thresholds: UsedThreshold | None = field(default=None, init=False)
    _known_at: float | None = field(default=None, init=False)
    _made: tuple[Plan, Decision | None, Plan] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._waiting = Waiting(self._hierarchy, self.clock)
        self._present = Present(self._hierarchy, self._files)

    def adjust(self, plan: Plan, settings: Settings) -> Plan:
        """Return the plan of this second.

        Args:
            plan: without suppression.
            settings: with the NodeSLO, and what is kept from pods.
        """
        thresholds = self._read(settings.slo)
        if thresholds is not None and not thresholds.enable:
            self.state = self._known_at = None
            return plan
        with self._sampler.lock:
            loads = self._sampler.loads()
        self.state = self._decided(plan, thresholds, loads, settings.reserved)
        self.rounds += 1
        return self._with(plan, self.state.decision, kubelet_static=settings.kubelet_static)

    def forget(self) -> None:
        """Begin again: somebody else worked here meanwhile."""
        self.state = self._known_at = None

    def report(self) -> Mapping[str, object]:
        """Say what /readyz shows."""
        if self.state is None:
            return {"on": False}
        decision, budget = self.state
        return {
            "on": True,
            "held": budget is None,
            "budget": budget.terms() if budget is not None else {},
            "decision": dict(decision.inputs) if decision is not None else {},
        }

    def _read(self, slo: NodeSLO) -> UsedThreshold | None:
        """Return what holds: what the NodeSLO says, or said last; None: it could never be read."""
        if slo.threshold_read:
            self._thresholds = slo.threshold
        else:
            self._findings.say(
                "NodeSLO: what it said of suppression before remains; if nothing, BE pods keep what they have"
            )
        return self._thresholds

    def _decided(
        self, plan: Plan, thresholds: UsedThreshold | None, loads: Loads | None, reserved: int
    ) -> State:
        before = self.state.decision if self.state is not None else None
        policy = CPUSET if thresholds is None else thresholds.cpu_suppress_policy
        if before is None or before.policy != policy:
            before = standing(plan, policy, self._present) or before
        node = plan.cpus.state
        if loads is None or thresholds is None:
            self._say_held(loads)
            return State(hold(node, before) if before is not None else None, None)
        self._known_at = self.clock()
        budget = budget_of(loads, suppressible(plan, policy), node.topology.size, thresholds, reserved)
        return State(decide(budget, self.options, node, before, pressure=self._pressure(plan)), budget)

    def _pressure(self, plan: Plan) -> str:
        """Return which online pod waits too long for a CPU; "" where none does, or nobody asks."""
        limit = self.options.pressure_percent
        if not limit:
            return ""
        if lacking := self._waiting.lacking():
            self._findings.say(
                f"what online pods wait for a CPU is not known, so the budget alone counts: {lacking}"
            )
            return ""
        worst = self._waiting.look(online(plan))
        return f"{worst.pod} waited {worst.percent}%" if worst is not None and worst.percent > limit else ""

    def _say_held(self, loads: Loads | None) -> None:
        if self._known_at is None:
            self._known_at = self.clock()
        if loads is None and self.clock() - self._known_at >= HELD_SECONDS:
            self._findings.say(
                f"no figures of CPU use for {HELD_SECONDS:g} seconds: BE pods keep what they have: see why "
                "/proc/stat or cpuacct.usage (cpu.stat) of all pods cannot be read"
            )

    def _with(self, plan: Plan, decision: Decision | None, *, kubelet_static: bool) -> Plan:
        """Return the plan with a decision, the same object where both are the same."""
        made = self._made
        if made is None or made[0] is not plan or made[1] is not decision:
            after = suppressed(plan, decision, kubelet_static=kubelet_static)
            made = self._made = plan, decision, after
        return made[2]
