"""The last resort, carried out: announced and done, each by an Event, the log and a line of the ledger.

Nothing is done on figures or pods that are not of this moment: not while the API server is away, either.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from webhook.agent.eviction.lastresort import NOTICE_SECONDS, Kind, Shortage, State, Step, look
from webhook.agent.findings import Findings
from webhook.agent.metrics import PREFIX
from webhook.agent.plan.agentpod import Mode
from webhook.agent.plan.target import Why
from webhook.agent.pods import NodePod
from webhook.agent.watched import Watched
from webhook.agent.writing.kill import Kills
from webhook.agent.writing.ledger import LAST_RESORT
from webhook.eviction.asking import bytes_text
from webhook.kube.events import NORMAL, WARNING, Event, EventRecorder

REFUSED: Final = "refused"
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Killer:
    """Looks once a second; not for use from several threads.

    Attributes:
        shortage: what the node asks for, as it was found last; None: nothing is known.
        after: seconds for which a pod has to have been ending, and its node short.
        clock: of the shortage.
    """

    _watched: Watched
    _kills: Kills
    _findings: Findings
    _events: EventRecorder
    registry: CollectorRegistry
    shortage: Callable[[], Shortage | None]
    after: float
    clock: Callable[[], float] = time.monotonic
    _state: State = field(default=State(), init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._counter = Counter(
            f"{PREFIX}_last_resort",
            "Pods whose processes were to be killed, by what became of that.",
            ["outcome"],
            registry=self.registry,
        )

    def look(self) -> None:
        """Look once, and do what is to be done."""
        pods = {each.object_uid: each for each in self._watched.pods_now() if each.leaving is not None}
        in_contact = self._watched.synced and self._watched.reflectors["pods"].contact.error is None
        shortage = self.shortage() if in_contact else None
        may = [pod for pod in pods.values() if shortage and shortage.asks and self._may(pod)]
        candidates = [pod.leaving for pod in may if pod.leaving is not None]
        self._state, step = look(self._state, self.clock(), shortage, candidates, self.after)
        if step is not None:
            self._do(step, pods.get(step.pod.uid))

    def end(self) -> None:
        """Look no more, for a while or at all: what was announced is withdrawn."""
        announced, self._state = self._state.notice, State()
        if announced is not None:
            self._do(announced[0]._replace(kind=Kind.WITHDRAW), None)

    def _may(self, pod: NodePod) -> bool:
        """Whether the processes of a pod that was asked to end may be killed, and can be."""
        of = pod.planned
        if pod.leaving is None or not pod.leaving.be or of.mode is not Mode.ENFORCE or not of.has_cgroup:
            return False
        group = self._group(pod)
        if not self._kills.runs(group):
            return False
        obstacle = self._kills.obstacle(group)
        if obstacle:
            self._findings.say(f"pod {of.name} could not be killed as the last resort: {obstacle}")
        return not obstacle

    def _group(self, pod: NodePod) -> str:
        return self._kills.hierarchy.pod(pod.kube_qos, pod.planned.uid)

    def _do(self, step: Step, pod: NodePod | None) -> None:
        """Do one thing, and say so."""
        outcome, problem = str(step.kind), ""
        try:
            if not self._carried_out(step, pod):
                self._state = replace(self._state, notice=None)
                return
        except OSError as error:
            outcome, problem = REFUSED, error.strerror or str(error)
        reason, text = _words(step, self._watched.node_name, problem)
        self._counter.labels(outcome).inc()
        of = step.pod
        _log.warning("pod %s/%s: %s", of.namespace, of.name, text)
        kind = NORMAL if step.kind is Kind.WITHDRAW else WARNING
        self._events.record(Event(of.namespace, of.name, of.uid, kind, reason, text))

    def _carried_out(self, step: Step, pod: NodePod | None) -> bool:
        """Write what is to be written; False where the pod's group is gone. OSError as the kernel answers."""
        if step.kind is Kind.WITHDRAW:
            return True
        if pod is None:
            return False
        why = Why(LAST_RESORT, pod.planned.name, _inputs(step))
        try:
            (self._kills.kill if step.kind is Kind.KILL else self._kills.announce)(self._group(pod), why)
        except FileNotFoundError:
            return False
        return True


def _words(step: Step, node: str, problem: str) -> tuple[str, str]:
    """Return the reason of an Event, and what it says."""
    given = (
        f"{step.ask}; it was asked to end {step.ending:.0f} s ago or more, and uses {bytes_text(step.used)}"
    )
    if problem:
        return "LastResortFailed", f"its processes on {node} were not killed: {problem}: {given}"
    if step.kind is Kind.ANNOUNCE:
        soon = f"its processes on {node} are killed in {NOTICE_SECONDS:g} s as the last resort"
        return "LastResort", f"{soon}: {given}"
    if step.kind is Kind.KILL:
        return "KilledForNode", f"its processes on {node} were killed as the last resort: {given}"
    return "LastResortWithdrawn", f"its processes on {node} are not killed: not all of it holds any more"


def _inputs(step: Step) -> dict[str, str]:
    return {
        "form": str(step.ask.form),
        **{name: str(value) for name, value in step.ask.figures.items()},
        "release": str(step.ask.release),
        "uses": str(step.used),
        "ending": f"{step.ending:.0f} s",
        **({"in": f"{NOTICE_SECONDS:g} s"} if step.kind is Kind.ANNOUNCE else {}),
    }
