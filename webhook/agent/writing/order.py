"""In which order differences are written, so that the kernel takes each of them: pure.

What only the ledger is to know comes first: it is known by the file of a group above, which may be written
next. A cgroup may not be narrower than those below it. So parents are widened first, from the top down, and
narrowed last, from the bottom up; a parent that moves to other CPUs has the old and the new ones meanwhile.
Source: docs/agent.md, "The order of writes", tried on a kernel for version 1.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from webhook.agent.plan.target import UNLIMITED, Knob, Value, Why
from webhook.cpuset.cpulist import format_cpulist

_KNOWN, _WIDEN, _BELOW_NARROWER, _BELOW_WIDER, _NARROW, _REST = range(6)

_BOUNDS: Final = (Knob.PERIOD, Knob.QUOTA, Knob.CPUS, Knob.MEMORY)
"""Of which a cgroup may not have less than those below it; the period first, as a quota is meant for it."""

_REST_ORDER: Final = (
    Knob.BURST,
    Knob.IDLE,
    Knob.SHARES,
    Knob.MIN,
    Knob.LOW,
    Knob.HIGH,
    Knob.OOM_SCORE_ADJ,
    Knob.NICE,
)
"""Shares come after idle: leaving that state resets them. The others depend on no other cgroup."""


class Difference(NamedTuple):
    """A file that does not hold what it should.

    Attributes:
        path: of the file.
        knob: what it holds.
        below: whether its cgroup stands below that of a pod, which has to contain it.
        text: what it holds now.
        wanted_text: what is to be written.
        current: what it holds, parsed.
        wanted: what it should hold, parsed.
        why: it should.
        expected: what the agent wrote there before, where somebody else changed that; else "".
        before: what the ledger is to name as ``old``, where the agent has not written it yet, but it is its
            all the same: nothing is written; else "", and what is found is.
        lent: whether the file is whoever's changes it, also since it was looked at.
    """

    path: str
    knob: Knob
    below: bool
    text: str
    wanted_text: str
    current: Value
    wanted: Value
    why: Why
    expected: str = ""
    before: str = ""
    lent: bool = False

    @property
    def settled(self) -> bool:
        """Return whether the file holds it already: only the ledger is to know."""
        return self.text == self.wanted_text

    @property
    def widens(self) -> bool:
        """Return whether it allows something that was not before."""
        return _wider(self.knob, self.wanted, self.current)


def left(difference: Difference) -> Difference:
    """Return what lets a file be as somebody else made it: only the ledger is to know."""
    why = difference.why._replace(inputs={**difference.why.inputs, "left": "to whoever changed it"})
    return difference._replace(wanted_text=difference.text, wanted=difference.current, why=why)


class Step(NamedTuple):
    """One write, which may be only a part of the difference."""

    difference: Difference
    text: str


def ordered(differences: Iterable[Difference]) -> list[Step]:
    """Return the writes that bring every file to what it should hold."""
    steps = [each for difference in differences for each in _steps(difference)]
    steps.sort(key=lambda each: each[:3])
    return [step for *_, step in steps]


def _steps(difference: Difference) -> list[tuple[int, int, str, Step]]:
    knob, current, wanted = difference.knob, difference.current, difference.wanted
    if difference.before:
        return [(_KNOWN, 0, difference.path, Step(difference, difference.wanted_text))]
    if knob not in _BOUNDS:
        return [(_REST, _REST_ORDER.index(knob), difference.path, Step(difference, difference.wanted_text))]
    rank = _BOUNDS.index(knob)
    if difference.below:
        phase = _BELOW_WIDER if _wider(knob, wanted, current) else _BELOW_NARROWER
        return [(phase, rank, difference.path, Step(difference, difference.wanted_text))]
    whole = Step(difference, difference.wanted_text)
    if not _wider(knob, wanted, current):
        return [(_NARROW, rank, difference.path, whole)]
    if isinstance(wanted, frozenset) and isinstance(current, frozenset) and wanted and not current <= wanted:
        both = Step(difference, format_cpulist(wanted | current))
        return [(_WIDEN, rank, difference.path, both), (_NARROW, rank, difference.path, whole)]
    return [(_WIDEN, rank, difference.path, whole)]


def _wider(knob: Knob, wanted: Value, current: Value) -> bool:
    """Whether a value allows something that another one does not."""
    if isinstance(wanted, frozenset) and isinstance(current, frozenset):
        return not wanted <= current if wanted else bool(current)  # empty: the group's above, in version 2
    if isinstance(wanted, frozenset) or isinstance(current, frozenset):
        raise TypeError(f"{knob}: a set of CPUs and a number")
    if knob is Knob.PERIOD:
        return wanted < current  # the same quota in a shorter time
    return current != UNLIMITED and (wanted == UNLIMITED or wanted > current)
