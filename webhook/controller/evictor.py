"""Evicts batch pods for what nodes ask for, by the Eviction API, while this replica leads.

Each decision is noted in the status of the request before a pod is evicted, by a write that is refused if the
request has changed: two controllers that both believe to lead never act upon the same figures, and one that
comes later finds there what counts for the minute's budget.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event as Stop
from typing import Final, NamedTuple

from webhook.controller.evictionstate import REQUESTS, EvictionState
from webhook.controller.metrics import EvictionMetrics
from webhook.controller.standby import Standby
from webhook.eviction.asking import Ask
from webhook.eviction.budget import MINUTE, Budget, Eviction, Spending
from webhook.eviction.candidates import PENDING_SECONDS, Candidate
from webhook.eviction.request import REFUSED, NodeRequest, Noted, contradiction, status_body
from webhook.eviction.selection import Victim, select
from webhook.kube.apply import REFUSED_SECONDS, Pauses
from webhook.kube.client import MERGE_PATCH, ApiError
from webhook.kube.events import WARNING, Event, EventRecorder
from webhook.kube.lease import Lease
from webhook.kube.loop import run_loop
from webhook.kube.paths import member, pod
from webhook.protocol import AGENT_MANAGER

MEMORY_SECONDS: Final = 4.0
CPU_SECONDS: Final = 20.0
"""After an eviction a node is left alone for so long, as koordlet does."""

PROTECTED_SECONDS: Final = 30.0
"""A pod that a PodDisruptionBudget protects is asked about again after so long, or when the server says."""

_REMEMBERED: Final = 2 * MINUTE
_NAMED: Final = 3
_NUMBERS: Final = re.compile(r"[0-9]+")
_log = logging.getLogger(__name__)


class EvictionSettings(NamedTuple):
    """What an administrator chooses: pods a minute, and whether pods of the class mid may go."""

    budget: Budget = Budget(20, 4, 2)
    mid: bool = False


@dataclass(slots=True)
class _Node:
    """What is remembered of a node that has a request.

    Attributes:
        left_until: nobody is evicted there before, on the clock.
        unmet: whether the last figures asked for more than may go.
        said: keys of the findings that were logged since all was well.
    """

    left_until: float = 0.0
    unmet: bool = False
    said: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Evictor:
    """Serves requests; made of what is watched, whether this replica leads, settings, and where it reports.

    Attributes:
        watched: the cluster.
    """

    watched: EvictionState
    _leads: Callable[[], bool]
    _settings: EvictionSettings
    _metrics: EvictionMetrics
    _events: EventRecorder
    _standby: Standby = field(init=False)
    _spending: Spending = field(init=False)
    _learned: dict[Noted, float] = field(default_factory=dict, init=False)
    _void: set[Noted] = field(default_factory=set, init=False)
    _nodes: dict[str, _Node] = field(default_factory=dict, init=False)
    _pauses: Pauses = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing spent."""
        self._standby = Standby(lambda: self.watched.synced, self._leads, self._metrics.leader)
        self._spending = Spending(self._settings.budget)
        self._pauses = Pauses(self.watched.clock)

    @property
    def standby(self) -> str:
        """Return why it does nothing at the moment; "" while it works."""
        return self._standby.reason

    def watch(self, stop: Stop, interval: float = 1.0, lease: Lease | None = None) -> None:
        """Work until ``stop`` is set; meant to run in a thread. ``lease`` is released at the end."""
        run_loop(self.step, stop, name="evicting", interval=interval, lease=lease)

    def step(self) -> float | None:
        """Serve every request once, if this replica is to; raises ApiError."""
        try:
            if self._standby.look():
                return None
        finally:
            if self.standby:
                self._metrics.observe(())
        requests = [request for _, request in sorted(self.watched.requests.values.items())]
        self._nodes = {each.node: self._nodes.get(each.node) or _Node() for each in requests}
        self._learn(requests)
        self._pauses.forget_past()
        # Who was served least of late comes first: no node takes the whole budget of the cluster.
        requests.sort(key=lambda request: self._nodes[request.node].left_until)
        states = []
        for request in requests:
            if request.asks or request.absurd:
                states.append(self._serve(request))
            else:
                of = self._nodes[request.node]
                of.unmet = False
                of.said.clear()
        self._metrics.observe(states)
        return None

    def _learn(self, requests: Iterable[NodeRequest]) -> None:
        """Count what statuses say that was evicted, by us or by whoever led before."""
        clock, now = self.watched.clock(), self.watched.now()
        noted = {each: request.node for request in requests for each in request.noted}
        for each, node in noted.items():
            if each in self._learned:
                continue
            self._learned[each] = clock
            if each.outcome != REFUSED:
                age = min(max((now - each.at).total_seconds(), 0.0), MINUTE)
                self._count(each, node, clock - age)
        # What no status has is kept for a while: the watch may lag behind our own write, and lack it.
        self._learned = {
            each: at for each, at in self._learned.items() if each in noted or clock - at <= _REMEMBERED
        }
        self._void.intersection_update(self._learned)

    def _count(self, noted: Noted, node: str, at: float) -> None:
        self._spending.note(Eviction(noted.uid, node, noted.workload, at))
        wait = CPU_SECONDS if "CPU" in noted.form else MEMORY_SECONDS
        of = self._nodes[node]
        of.left_until = max(of.left_until, at + wait)

    def _serve(self, request: NodeRequest) -> str:
        """Evict what one node asks for; return what became of it, for the metrics."""
        watched, node = self.watched, request.node
        problem = request.problem(watched.now())
        if not problem and request.managers != {AGENT_MANAGER}:
            writers = " and ".join(sorted(request.managers)) or "nobody known"
            problem = f"{writers} wrote it, and not {AGENT_MANAGER} alone"
        problem = problem or contradiction(request, watched.node(node))
        if problem:
            self._say(node, _NUMBERS.sub("", problem), f"{problem}: nobody is evicted for it")
            return "invalid"
        known = self._nodes[node]
        if request.observed_at == request.served_at or watched.clock() < known.left_until:
            return "unmet" if known.unmet else "waiting"
        pods, pending = self._pods(request)
        room = self._spending.room(watched.clock())
        found = select(request.asks, pods, request.uses, pending, room, mid=self._settings.mid)
        for ask, why in found.unmet:
            kept = self._refused(node, ask)
            self._say(node, f"{ask.form} {why} {bool(kept)}", f"{ask}: {why}{kept}")
        done = not found.victims or (self._leads() and self._evict(request, found.victims))
        known.unmet = bool(found.unmet)
        if done and not found.unmet:
            known.said.clear()
        return "unmet" if known.unmet else "served"

    def _pods(self, request: NodeRequest) -> tuple[list[Candidate], list[Candidate]]:
        """Return the pods of a node that may go, and those that are on their way."""
        now = self.watched.now()
        asked = {
            each.uid
            for each in request.noted
            if each.outcome != REFUSED
            and each not in self._void
            and abs((now - each.at).total_seconds()) < PENDING_SECONDS
        }
        free, pending = [], []
        for each in self.watched.pods.on_node(request.node):
            if each.ended_at is not None:
                if (now - each.ended_at).total_seconds() < PENDING_SECONDS:
                    pending.append(each)
            elif each.uid in asked:
                pending.append(each)
            elif self._pauses.over(each.uid):
                free.append(each)
        return free, pending

    def _refused(self, node: str, ask: Ask) -> str:
        """Return which pods are left alone since the API server refused to evict them, "": none."""
        found = [
            f"{each.namespace}/{each.name}"
            for each in self.watched.pods.on_node(node)
            if not self._pauses.over(each.uid) and each.allows(ask, mid=self._settings.mid)
        ]
        more = f" and {len(found) - _NAMED} more" * (len(found) > _NAMED)
        names = ", ".join(sorted(found)[:_NAMED])
        return f"; refused by the Eviction API, as for a PodDisruptionBudget: {names}{more}" if found else ""

    def _evict(self, request: NodeRequest, victims: Iterable[Victim]) -> bool:
        """Note the decision, then carry it out; return whether it was noted."""
        watched, node = self.watched, request.node
        now, clock = watched.now(), watched.clock()
        kept = [
            each
            for each in request.noted
            if each not in self._void and abs((now - each.at).total_seconds()) < MINUTE
        ]
        made = {
            Noted(
                now.replace(microsecond=0),
                victim.pod.uid,
                victim.pod.namespace,
                victim.pod.name,
                victim.pod.workload,
                str(victim.ask.form),
            ): victim
            for victim in victims
        }
        version = self._note(request, request.version, [*kept, *made])
        if version is None:
            return False
        self._learned.update(dict.fromkeys(made, clock))
        self._void.update(made)  # until the API server was asked, none of them counts
        refused = set()
        for noted, victim in made.items():
            if not self._leads():
                return True
            self._void.discard(noted)
            self._count(noted, node, clock)
            if not self._call(victim, node):
                self._spending.strike([noted.uid])
                self._void.add(noted)
                refused.add(noted)
        if refused:
            if len(refused) == len(made):
                self._nodes[node].left_until = clock  # nobody went: others may with the next figures
            outcomes = [each._replace(outcome=REFUSED) if each in refused else each for each in made]
            self._note(request, version, [*kept, *outcomes])
        return True

    def _note(self, request: NodeRequest, version: str, noted: Iterable[Noted]) -> str | None:
        """Write a status; return the object's version, None where it has changed meanwhile."""
        body = status_body(version, request.observed_at or self.watched.now(), noted)
        path = f"{member(REQUESTS, request.node)}/status"
        try:
            answer = self.watched.api.call("PATCH", path, body=body, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.of_server:
                raise
            if error.status not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                what = "its status cannot be written, so nobody is evicted"
                self._say(request.node, what, f"{what}: {error}")
            return None
        self.watched.requests.learn(answer, request)
        return str(answer["metadata"]["resourceVersion"])

    def _call(self, victim: Victim, node: str) -> bool:
        """Evict one pod; return whether it goes. Raises ApiError where that is not known."""
        of, ask = victim.pod, victim.ask
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": of.namespace, "name": of.name},
            "deleteOptions": {"preconditions": {"uid": of.uid}},
        }
        try:
            self.watched.api.call("POST", f"{pod(of.namespace, of.name)}/eviction", body=body)
        except ApiError as error:
            outcome, wait = _refusal(error)
            if not outcome:
                raise
            self._metrics.evictions.labels(str(ask.form), outcome).inc()
            self._pauses.pause(of.uid, wait)
            _log.info("pod %s/%s on %s is not evicted (%s): %s", of.namespace, of.name, node, outcome, error)
            return False
        self._metrics.evictions.labels(str(ask.form), "evicted").inc()
        message = f"evicted from {node}: {ask}; {of.priority_class}, priority {of.priority}"
        _log.warning("pod %s/%s %s", of.namespace, of.name, message)
        self._events.record(Event(of.namespace, of.name, of.uid, WARNING, "EvictedForNode", message))
        return True

    def _say(self, node: str, key: str, what: str) -> None:
        """Log a finding about a node's request, unless one of that key was, since all was well."""
        said = self._nodes[node].said
        if key not in said:
            said.add(key)
            _log.warning("NodeEvictionRequest %s: %s", node, what)


def _refusal(error: ApiError) -> tuple[str, float]:
    """Return why a pod was not evicted, and for how long it is left alone; "" where nothing is known."""
    match error.status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "protected", max(PROTECTED_SECONDS, error.retry_after)
        case HTTPStatus.NOT_FOUND | HTTPStatus.CONFLICT:
            return "gone", PROTECTED_SECONDS
        case _ if not error.of_server:
            return "refused", REFUSED_SECONDS
    return "", 0.0
