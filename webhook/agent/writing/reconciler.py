"""The rounds in which the cgroups of a node's pods are brought to what is planned, and kept there.

A pod is looked at when its plan changes, after a busy write, and every eight seconds; so, with a round each
second, whatever anybody else changes is right again within ten.
"""

import datetime as dt
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.agentpod import AgentPod, Mode
from webhook.agent.plan.plan import Plan, changed, make_plan
from webhook.agent.plan.settings import Settings, Weights
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.comparison import Comparison
from webhook.agent.writing.ledger import RESTORE, ActionLedger
from webhook.agent.writing.order import Difference, ordered
from webhook.agent.writing.own import left_alone
from webhook.agent.writing.pinned import Pinned
from webhook.agent.writing.processes import Processes
from webhook.agent.writing.restore import Restored, restore
from webhook.agent.writing.weights import runtime_weights
from webhook.agent.writing.writer import Writer, Written
from webhook.kube.timestamps import utc_now
from webhook.pods.nodes.nodetopology import NodeTopology

PERIOD_SECONDS: Final = 10.0
"""All files are looked at within this long; in the mode enforce so long nothing is written at first."""

MOST_WRITES: Final = 1000
"""Writes of one round; what is left follows in the next."""

_AGAIN_SECONDS: Final = PERIOD_SECONDS - 2.0  # a round may be late by one
_SPREAD: Final = 8


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did.

    Attributes:
        plan: that holds.
        looked_at: how many pods.
        files_read: how many files.
        differences: that were found: what is written, or would be.
        written: what became of the writes; nothing while the agent only observes.
        stopped: why nothing is written although it should be, "" otherwise.
        problems: see ``Comparison``.
    """

    plan: Plan
    looked_at: int
    files_read: int
    differences: tuple[Difference, ...]
    written: Written = field(default_factory=Written)
    stopped: str = ""
    problems: tuple[str, ...] = ()


class Reconciler:
    """Brings cgroups to the plan; not for use from several threads.

    Attributes:
        enforce: whether anything is written; may be changed between rounds.
        pinned: what the kubelet seems to have given away, where nobody says its policy.
    """

    def __init__(  # noqa: PLR0913 — a machine, and two clocks
        self,
        hierarchy: Hierarchy,
        files: CgroupFiles,
        ledger: ActionLedger,
        *,
        enforce: bool,
        processes: Processes | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        """Take where cgroups are, their files, the ledger, the host's processes, and two clocks.

        ``clock`` counts seconds that only grow; ``now`` says the time of day.
        """
        self.enforce = enforce
        self._hierarchy, self._files, self._ledger, self._clock = hierarchy, files, ledger, clock
        self._writer = Writer(files, ledger, hierarchy.version, clock=clock, now=now)
        self._comparison = Comparison(hierarchy, files, ledger, processes)
        self.pinned = Pinned(hierarchy, files, ledger, clock)
        self._inputs: tuple[object, ...] = ()
        self._lasting: Plan | None = None
        self._plan: Plan | None = None
        self._due: dict[str, float] = {}
        self._first: float | None = None
        self._has_written = False
        self._weights: Weights | None = None

    def round(
        self,
        pods: Sequence[AgentPod],
        node: NodeTopology,
        settings: Settings,
        adjust: Callable[[Plan], Plan] = lambda plan: plan,
    ) -> Round:
        """Look at the pods that are due, and write what differs.

        Args:
            pods: of the node; one that has not changed is best the same object as before.
            node: its CPUs, reservations and policies.
            settings: what is switched on.
            adjust: makes the plan what it is to be at this moment.
        """
        now = self._clock()
        self._first = now if self._first is None else self._first
        plan = self._held(adjust(self._planned(pods, node, settings)))
        may_write = self.enforce and now - self._first >= PERIOD_SECONDS
        if may_write and not self._has_written:
            self._due.clear()  # what was only observed until now is written at once
            self._has_written = True
        before = self._comparison.files_read
        found: list[Difference] = []
        mine: list[tuple[str, Difference]] = []
        due = [each for each in plan.all_pods if self._due.get(each.pod.uid, now) <= now]
        if self._weights is None:
            self._weights = runtime_weights(due, self._hierarchy, self._files)
        for each in due:
            uid = each.pod.uid
            differing = [
                difference
                for difference in self._comparison.differences(each, self._weights or settings.weights)
                if not self._writer.is_own(difference.path)
            ]
            found += [difference for difference in differing if not difference.settled]
            mine += [
                (uid, difference)
                for difference in differing
                if each.pod.mode is Mode.ENFORCE or difference.why.rule == RESTORE or difference.before
            ]
            # Of pods that came together, each has its own turn.
            self._due[uid] = now + (
                _AGAIN_SECONDS if uid in self._due else 1 + zlib.crc32(uid.encode()) % _SPREAD
            )
        for above in plan.classes:
            if self._due.get(above.qos, now) <= now:
                differing = list(self._comparison.of_class(above))
                found += [difference for difference in differing if not difference.settled]
                mine += [(str(above.qos), difference) for difference in differing]
                self._due[above.qos] = now + _AGAIN_SECONDS
        written, stopped = Written(), ""
        if may_write:
            written = self._write(mine, now)
            stopped = self._writer.stopped
        read = self._comparison.files_read - before
        problems = (*self._comparison.problems.values(), *self.pinned.problems)
        if own := self._writer.own:
            problems += (left_alone(own),)
        return Round(plan, len(due), read, tuple(found), written, stopped, problems)

    def give_back(self, pod: str | None = None, *, changed: bool = True) -> Restored:
        """Write back what was there before; see ``restore``."""
        version = self._hierarchy.version
        return restore(self._ledger, self._files, self._writer, version, pod, changed=changed)

    def _planned(self, pods: Sequence[AgentPod], node: NodeTopology, settings: Settings) -> Plan:
        """Return the plan; made again where anything changed that it depends on."""
        node = self.pinned.on(node, pods, settings)
        inputs = (tuple(pods), node, settings)
        if self._lasting is None or inputs != self._inputs:
            self._inputs = inputs
            self._lasting = make_plan(pods, node, possible(settings, self._hierarchy, self._files))
        return self._lasting

    def _held(self, plan: Plan) -> Plan:
        """Take a plan; pods of which it says something else than the last one are due."""
        if plan is self._plan:
            return plan
        fresh = changed(self._plan, plan)
        there = {each.pod.uid for each in plan.all_pods} | {str(each.qos) for each in plan.classes}
        self._due = {each: 0.0 if each in fresh else due for each, due in self._due.items() if each in there}
        self._plan = plan
        return plan

    def _write(self, found: Sequence[tuple[str, Difference]], now: float) -> Written:
        steps = ordered(difference for _, difference in found)
        written = self._writer.apply(steps[:MOST_WRITES])
        again = {*written.again, *(each.difference.path for each in steps[MOST_WRITES:])}
        self._due.update((uid, now) for uid, difference in found if difference.path in again)
        return written


def possible(settings: Settings, hierarchy: Hierarchy, files: CgroupFiles) -> Settings:
    """Return the settings without what the kernel does not have."""

    def there(controller: str, name: str) -> bool:
        path = hierarchy.file(controller, hierarchy.kubepods, name)
        try:
            return path is not None and bool(files.read(path))
        except OSError:
            return False

    return replace(
        settings,
        idle=settings.idle and there("cpu", "cpu.idle"),
        memory_qos=settings.memory_qos and there("memory", "memory.min"),
        burst=settings.burst and any(there("cpu", each) for each in ("cpu.cfs_burst_us", "cpu.max.burst")),
    )
