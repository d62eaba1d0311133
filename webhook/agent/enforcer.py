"""Enforces on one node: what is watched becomes a plan each second, and the plan stands in its cgroups.

What was known last of node, pods and NodeSLO is kept in the state folder: an agent that starts while the API
server is away goes on with it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

from webhook.agent.bursting.burster import Burster
from webhook.agent.findings import Findings
from webhook.agent.inputs import Inputs, inputs_of
from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.machine.host import Host
from webhook.agent.machine.kubelet import Kubelet
from webhook.agent.metrics import PREFIX
from webhook.agent.plan.agentpod import AgentPod, Mode
from webhook.agent.plan.plan import Plan
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.unbuilt import unbuilt
from webhook.agent.statefolder import StateFolder
from webhook.agent.suppression.suppressor import Suppressor
from webhook.agent.watched import Watched
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import ActionLedger
from webhook.agent.writing.processes import Processes
from webhook.agent.writing.reconciler import Reconciler, Round
from webhook.agent.writing.restore import Restored
from webhook.agent.writing.writer import MOST_BUSY
from webhook.cpuset.topology import Topology
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.protocol import KubeQoS
from webhook.slo.nodeslo import read_nodeslo

_KNOWN: Final = "known.json"
_KEEP_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What a plan is made of, as the API server said it.

    Attributes:
        node: as far as it is of use, see ``watched.KnownNode``.
        pods: of the node.
        slo: the spec of its NodeSLO; None where there is none.
    """

    node: Mapping[str, Any]
    pods: tuple[AgentPod, ...]
    slo: Mapping[str, Any] | None = None


@dataclass(eq=False)
class Enforcer:
    """Plans and, in the mode enforce, writes; not for use from several threads.

    Attributes:
        ledger: of actions.
        settings: what is switched on.
        proc: the host's /proc, where processes are looked for if the settings ask for something of them.
        events: where refusals are reported; None: nowhere.
        suppressor: of BE pods; None: they are never suppressed.
        burster: of online pods' quotas; None: they are never raised.
        clock: seconds that never go back.
        sleep: waits.
        last: what the last round did; None before the first one.
    """

    _watched: Watched
    _hierarchy: Hierarchy
    _host: Host
    _folder: StateFolder
    _findings: Findings
    ledger: ActionLedger
    registry: CollectorRegistry
    enforce: bool = False
    settings: Settings = field(default_factory=Settings)
    proc: Path = Path("/proc")
    events: EventRecorder | None = None
    suppressor: Suppressor | None = None
    burster: Burster | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    last: Round | None = field(default=None, init=False)
    _made: Inputs | None = field(default=None, init=False)
    _seen: tuple[object, ...] = field(default=(), init=False)
    _kept: Known | None = field(default=None, init=False)
    _kept_at: float = field(default=0.0, init=False)
    _known: Known | None = field(default=None, init=False)
    _slo: Mapping[str, Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        knobs = self.settings.for_processes
        self._reconciler = Reconciler(
            self._hierarchy,
            KernelFiles(),
            self.ledger,
            enforce=self.enforce,
            processes=Processes(self.proc, knobs, self.clock) if knobs else None,
            clock=self.clock,
        )
        self._rounds = Counter(
            f"{PREFIX}_cgroup_rounds",
            "Rounds in which cgroups were compared with what is planned.",
            registry=self.registry,
        )
        self._writes = Counter(
            f"{PREFIX}_cgroup_writes", "Writes to cgroups, by outcome.", ["outcome"], registry=self.registry
        )
        self._refused = Counter(
            f"{PREFIX}_cgroup_refusals",
            "Files that the kernel did not take.",
            ["file"],
            registry=self.registry,
        )
        self._differences = Gauge(
            f"{PREFIX}_cgroup_differences",
            "Files of the pods looked at last that did not hold what is planned.",
            registry=self.registry,
        )
        self._stopped = Gauge(
            f"{PREFIX}_cgroup_writes_stopped", "Whether nothing can be written.", registry=self.registry
        )

    def look(self) -> None:
        """Do one round."""
        known = self._current()
        hardware, kubelet = self._host.hardware(), self._host.kubelet()
        if known is None or hardware is None:
            return
        if not self.enforce:
            self.ledger.look_again()
        if not self.enforce and self.ledger.originals:
            self._findings.say(
                f"{len(self.ledger.originals)} files hold what an agent in the mode {Mode.ENFORCE} wrote and "
                f"did not give back: set the mode {Mode.ENFORCE}, then {Mode.OBSERVE} again"
            )
        self._rounds.inc()
        node, settings = self._inputs(known, hardware.cpus, kubelet)
        adjust = partial(self._adjusted, settings=settings)
        done = self.last = self._reconciler.round(known.pods, node, settings, adjust)
        for outcome, count in done.written.counts.items():
            self._writes.labels(outcome).inc(count)
        self._differences.set(len(done.differences))
        self._stopped.set(bool(done.stopped))
        problems = (*done.problems, *filter(None, (done.stopped, self.ledger.problem)))
        for finding in (*done.plan.findings, *problems):
            self._findings.say(finding)
        for refusal in done.written.refusals:
            self._refused.labels(refusal.file).inc()
            _log.warning("cgroup write refused: %s", refusal.message)
            self._report(refusal.pod, refusal.message, done)

    def pinned(self) -> Mapping[str, frozenset[int]] | None:
        """Return what the kubelet seems to have given to pods, by uid; None before the first round."""
        return self._reconciler.pinned.sets if self.last is not None else None

    def stand_by(self) -> None:
        """Give back what was written and nobody has changed since, then forget node and pods.

        Somebody else works here, also after a restart without the API server.
        """
        if self.enforce and self.ledger.originals:
            self._give_back(changed=False)
        self._forget()

    def _forget(self) -> None:
        for each in (self.suppressor, self.burster):
            if each is not None:
                each.forget()
        if self._known is not None or self._kept is not None:
            self._known, self._kept = None, None
            self._folder.write(_KNOWN, None)

    def leave(self, why: str) -> None:
        """Write back what was there before, and write no more; files that are busy are tried some times."""
        self._reconciler.enforce = False
        _log.info("%s: giving back what was written", why)
        for rest in reversed(range(MOST_BUSY)):
            if not self._give_back(changed=True).written.again or not rest:
                break
            self.sleep(1.0)
        self._forget()

    def _give_back(self, *, changed: bool) -> Restored:
        """Write back what was there before, and log what became of it."""
        before = len(self.ledger.originals)
        done = self._reconciler.give_back(changed=changed)
        left = len(self.ledger.originals)
        for path, expected, found in done.foreign:
            _log.warning("%s: somebody else had changed %s to %s", path, expected, found)
        for refusal in done.written.refusals:
            _log.error("not given back: %s", refusal.message)
        for outcome, count in done.written.counts.items():
            self._writes.labels(outcome).inc(count)
        if left != before:
            rest = f", {left} not yet" if left else ""
            _log.warning("%d files are as they were before the agent, or gone%s", before - left, rest)
        return done

    def report(self) -> Mapping[str, object]:
        """Say what /readyz shows."""
        done = self.last
        return {
            "mode": str(Mode.ENFORCE if self._reconciler.enforce else Mode.OBSERVE),
            "pods": len(done.plan.pods) if done is not None else 0,
            "stopped": done.stopped if done is not None else "",
            "ledger": self.ledger.problem,
            "filesWritten": len(self.ledger.originals),
            "suppression": self.suppressor.report() if self.suppressor is not None else {"on": False},
            "bursts": self.burster.report() if self.burster is not None else {"on": False},
        }

    def _adjusted(self, plan: Plan, *, settings: Settings) -> Plan:
        """Return what the plan is at this moment."""
        for each in (self.suppressor, self.burster):
            plan = plan if each is None else each.adjust(plan, settings)
        return plan

    def _current(self) -> Known | None:
        """Return node, pods and NodeSLO, as watched; before that, as they were known last."""
        node = self._watched.node
        if not self._watched.synced or node is None:
            if self._known is None:
                self._known = _read_known(self._folder.read(_KNOWN))
                if self._known is not None:
                    _log.warning(
                        "the API server has not answered yet: %d pods as known last", len(self._known.pods)
                    )
            return self._known
        pods = tuple(pod.planned for pod in self._watched.pods_now())
        known = Known(node.object, pods, self._watched.slo)
        if known != self._kept and self.clock() - self._kept_at >= _KEEP_SECONDS:
            self._kept, self._kept_at = known, self.clock()
            self._folder.write(_KNOWN, known._asdict())
        self._known = known
        return known

    def _inputs(self, known: Known, cpus: Topology, kubelet: Kubelet | None) -> Inputs:
        """Return what the plan is made of; made again where anything changed that it depends on."""
        self._read_slo(self._watched.default_slo if known.slo is None else known.slo)
        seen = (known.node, cpus, kubelet, known.pods, self.settings)
        if self._made is None or seen != self._seen:
            self._seen = seen
            self._made = inputs_of(known.node, cpus, kubelet, known.pods, self.settings)
        return self._made

    def _read_slo(self, spec: Mapping[str, Any]) -> None:
        if spec is self._slo:
            return
        self._slo = spec
        self.settings = replace(self.settings, slo=read_nodeslo(spec))
        for each in unbuilt(spec, suppressed=self.suppressor is not None):
            self._findings.say(f"NodeSLO {self._watched.node_name}: {each}")

    def _report(self, pod: str, message: str, done: Round) -> None:
        namespace, _, name = pod.partition("/")
        uid = next((each.pod.uid for each in done.plan.pods if each.pod.name == pod), "")
        if self.events is not None and name:
            self.events.record(Event(namespace, name, uid, WARNING, "CgroupWriteRefused", message))


def _read_known(value: object) -> Known | None:
    """Return what was kept; None where it cannot be used."""
    if not isinstance(value, dict):
        return None
    try:
        pods = tuple(
            AgentPod(
                **{
                    **each,
                    "kube_qos": KubeQoS(each["kube_qos"]),
                    "mode": Mode(each["mode"]),
                    "findings": tuple(each["findings"]),
                }
            )
            for each in value["pods"]
        )
        return Known(value["node"], pods, value.get("slo"))
    except (KeyError, TypeError, ValueError):
        return None
