"""The last resort, decided: which pod's processes end where its node stays short of memory; pure.

Only a pod of class BE that was asked to end long ago, and has not: by the controller, whose order, budgets
and PodDisruptionBudgets have decided on it, or by its owner. The kubelet does not start its containers
again. Only for memory: CPU is taken back by suppression, memory goes with the processes that hold it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from webhook.eviction.asking import STALE_SECONDS, Ask
from webhook.eviction.candidates import Candidate, Use
from webhook.eviction.thresholds import Form

FORMS: Final = frozenset({Form.BE_MEMORY, Form.MEMORY})
"""By which processes may be killed: memory that is used, not what is requested."""

NOTICE_SECONDS: Final = 10.0
"""From the announcement to the end: whoever reads it may still act."""

PAUSE_SECONDS: Final = 12.0
"""Nobody else is announced for so long after a kill; by then the memory of every pod was measured again."""

GAP_SECONDS: Final = 3.0
"""Figures that are further apart say nothing of what was in between; nor is anything done on older ones."""


class Shortage(NamedTuple):
    """What a node asks for.

    Attributes:
        at: when it was measured, on a clock that never goes back.
        asks: in the order in which they are served; none: it is not short.
        uses: what pods use, by uid.
    """

    at: float
    asks: Sequence[Ask] = ()
    uses: Mapping[str, Use] = {}


class Kind(StrEnum):
    """What is to be done."""

    ANNOUNCE = "announced"
    WITHDRAW = "withdrawn"
    KILL = "killed"


class Step(NamedTuple):
    """One thing to do, with what justifies it.

    Attributes:
        kind: of it.
        pod: whose processes it is about.
        ask: of the node.
        used: by the pod, in bytes.
        ending: seconds for which it was seen ending.
    """

    kind: Kind
    pod: Candidate
    ask: Ask
    used: int
    ending: float


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered from one look to the next.

    Attributes:
        measured_at: when it was last measured that the node is short; None: it is not, or nobody knows.
        short_for: seconds for which it was found short; a time without figures does not count.
        ending_since: when each pod was first seen ending, by uid.
        notice: what was announced, and when; a time without figures does not count: it moves on by that.
        free_at: nobody is announced before.
        done: uids of pods whose processes were killed, or cannot be.
    """

    measured_at: float | None = None
    short_for: float = 0.0
    ending_since: Mapping[str, float] = field(default_factory=dict)
    notice: tuple[Step, float] | None = None
    free_at: float = 0.0
    done: frozenset[str] = frozenset()


def look(
    state: State, now: float, shortage: Shortage | None, pods: Sequence[Candidate], after: float
) -> tuple[State, Step | None]:
    """Return what is remembered after a look, and what is to be done now.

    Args:
        state: of the look before.
        now: on the clock of the shortage.
        shortage: None: nothing is known.
        pods: that were asked to end and whose processes run; only those of class BE count.
        after: seconds for which a pod has to have been ending, and its node short.
    """
    uids = {each.uid for each in pods}
    ending = {uid: state.ending_since.get(uid, now) for uid in uids}
    state = replace(state, ending_since=ending, done=state.done & uids)
    asks = [each for each in shortage.asks if each.form in FORMS and each.release > 0] if shortage else []
    if shortage is None or not asks or not 0 <= now - shortage.at <= STALE_SECONDS:
        return _calm(state)
    if now - shortage.at > GAP_SECONDS:
        return state, None  # a pause, as where the API server is slow: nothing is done, and nothing counts
    gap = shortage.at - state.measured_at if state.measured_at is not None else 0.0
    if gap > STALE_SECONDS:
        state, step = _calm(state)
        return replace(state, measured_at=shortage.at), step
    counted = gap if gap <= GAP_SECONDS else 0.0
    state = replace(state, measured_at=shortage.at, short_for=state.short_for + counted)
    if state.notice is not None and gap > counted:
        announced, at = state.notice
        state = replace(state, notice=(announced, min(at + gap, now)))
    late = [
        each
        for each in pods
        if each.be
        and each.uid not in state.done
        and now - ending[each.uid] >= after
        and state.short_for >= after
    ]
    fitting = [
        Step(Kind.ANNOUNCE, pod, ask, used, now - ending[pod.uid])
        for ask in asks
        for pod, used in _ordered(ask, late, shortage.uses)
    ]
    return _next(state, now, fitting)


def _ordered(ask: Ask, pods: Sequence[Candidate], uses: Mapping[str, Use]) -> Sequence[tuple[Candidate, int]]:
    """Return the pods that an ask may take and what each releases, in the order of evictions."""
    may = [each for each in pods if each.allows(ask, mid=False)]
    found = [(pod, pod.releases(ask, uses.get(pod.uid))) for pod in may]
    return sorted(
        (each for each in found if each[1] > 0), key=lambda each: each[0].place(ask, uses.get(each[0].uid))
    )


def _next(state: State, now: float, fitting: Sequence[Step]) -> tuple[State, Step | None]:
    """Announce the first, or carry out what was announced while it is still among those that fit."""
    if state.notice is None:
        if not fitting or now < state.free_at:
            return state, None
        return replace(state, notice=(fitting[0], now)), fitting[0]
    announced, at = state.notice
    still = next((each for each in fitting if each.pod.uid == announced.pod.uid), None)
    if still is None:
        return replace(state, notice=None), announced._replace(kind=Kind.WITHDRAW)
    if now - at < NOTICE_SECONDS:
        return state, None
    done = state.done | {still.pod.uid}
    return replace(state, notice=None, free_at=now + PAUSE_SECONDS, done=done), still._replace(kind=Kind.KILL)


def _calm(state: State) -> tuple[State, Step | None]:
    """Begin again: the node is not short, or nobody knows."""
    step = state.notice[0]._replace(kind=Kind.WITHDRAW) if state.notice is not None else None
    return replace(state, measured_at=None, short_for=0.0, notice=None), step
