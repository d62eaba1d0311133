"""When processes are killed as the last resort, and that nothing else ever leads to it."""

import itertools
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eviction.builders import GI, candidate, cpu_ask, memory_ask
from webhook.agent.eviction.lastresort import (
    FORMS,
    GAP_SECONDS,
    NOTICE_SECONDS,
    PAUSE_SECONDS,
    Kind,
    Shortage,
    State,
    Step,
    look,
)
from webhook.eviction.asking import STALE_SECONDS
from webhook.eviction.candidates import Candidate, Use
from webhook.eviction.thresholds import Form

AFTER = 20.0
SHORT = (memory_ask(),)
MID = {"koordinator.sh/qosClass": "LS", "koordinator.sh/priority-class": "koord-mid"}
USES = {f"uid-{name}": Use(0, size * GI) for name, size in (("a", 1), ("b", 2), ("small", 1))}


class Looks:
    """Looks one after the other, and what they came to."""

    def __init__(self) -> None:
        self.now, self.state, self.steps = 1000.0, State(), list[tuple[float, Kind, str]]()
        self.last: Step | None = None

    def look(
        self,
        *pods: Candidate,
        asks: Any = SHORT,
        uses: Any = None,
        known: bool = True,
        age: float = 0,
    ) -> Step | None:
        """Look once."""
        given = Shortage(self.now - age, asks, USES if uses is None else uses) if known else None
        self.state, step = look(self.state, self.now, given, pods, AFTER)
        if step is not None:
            self.steps.append((self.now, step.kind, step.pod.name))
            self.last = step
        return step

    def each_second(self, seconds: int, *pods: Candidate, **more: Any) -> None:
        """Look each second."""
        for _ in range(seconds):
            self.now += 1
            self.look(*pods, **more)

    @property
    def kinds(self) -> list[tuple[Kind, str]]:
        """What was done, without the times."""
        return [(kind, name) for _, kind, name in self.steps]


def test_it_is_announced_and_then_done() -> None:
    """After so many seconds of both, ten seconds later, with figures; once."""
    looks = Looks()
    looks.each_second(200, candidate("a"))
    (announced, _, _), (killed, _, _) = looks.steps
    assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.KILL, "a")]
    assert announced == 1001 + AFTER
    assert killed == announced + NOTICE_SECONDS
    step = looks.last
    assert step is not None
    assert (step.ask.release > 0, step.used, step.ending) == (True, GI, AFTER + NOTICE_SECONDS)


def test_one_after_the_other_in_the_order_of_evictions() -> None:
    """The greater use first; the next when all figures are new."""
    looks = Looks()
    looks.each_second(100, candidate("a"), candidate("b"))
    assert looks.kinds == [
        (Kind.ANNOUNCE, "b"), (Kind.KILL, "b"), (Kind.ANNOUNCE, "a"), (Kind.KILL, "a"),
    ]  # fmt: skip
    times = [at for at, _, _ in looks.steps]
    assert times[2] - times[1] == PAUSE_SECONDS


@pytest.mark.parametrize(
    ("pod", "more"),
    [
        (candidate("a", labels=MID), {}),
        (candidate("a", labels={"koordinator.sh/eviction-enabled": "false"}), {}),
        (candidate("a", annotations={"koordinator.sh/eviction-policy": '["BECPUEvict"]'}), {}),
        (candidate("a"), {"asks": (cpu_ask(),)}),
        (candidate("a"), {"asks": ()}),
        (candidate("a"), {"asks": (memory_ask(60),)}),
        (candidate("a"), {"asks": (memory_ask(form=Form.MEMORY, priority=9000),)}),
        (candidate("a"), {"uses": {}}),
        (candidate("a"), {"uses": {"uid-a": Use(100, 0)}}),
        (candidate("a"), {"known": False}),
        (candidate("a"), {"age": GAP_SECONDS + 0.5}),
        (candidate("a"), {"age": -1.0}),
    ],
    ids=[
        "mid", "kept", "not by this form", "CPU", "nothing", "not short", "not enabled for it",
        "use unknown", "no use", "unknown", "old", "from the future",
    ],
)  # fmt: skip
def test_nobody_without_all_of_it(pod: Candidate, more: dict[str, Any]) -> None:
    """Only BE pods that may be evicted, only for memory, only by figures of this moment."""
    looks = Looks()
    looks.each_second(100, pod, **more)
    assert looks.steps == []


def test_a_moment_of_anything_else_begins_it_again() -> None:
    """Recovered, unknown, or not looked at for a while: it is withdrawn, and time starts anew."""
    for pause in ({"asks": ()}, {"known": False}):
        looks = Looks()
        looks.each_second(25, candidate("a"))
        looks.each_second(1, candidate("a"), **pause)
        looks.each_second(int(AFTER), candidate("a"))
        assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.WITHDRAW, "a")]
    looks = Looks()
    looks.each_second(25, candidate("a"))
    looks.now += STALE_SECONDS
    looks.each_second(int(AFTER), candidate("a"))
    assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.WITHDRAW, "a")]


def test_figures_that_come_late_are_a_pause() -> None:
    """In it nobody is announced or killed, and nothing counts; afterwards it goes on where it was."""
    looks = Looks()
    looks.each_second(1, candidate("a"))
    for _ in range(int(AFTER / 5)):
        looks.each_second(5, candidate("a"))  # of the first of these nobody knows what was before
        for age in range(1, 9):
            looks.each_second(1, candidate("a"), age=age)
    assert looks.steps == []  # 20 - 3 of some 50 seconds count
    looks.each_second(4, candidate("a"))
    assert looks.kinds == [(Kind.ANNOUNCE, "a")]
    looks.each_second(4, candidate("a"))
    for age in range(1, 10):
        looks.each_second(1, candidate("a"), age=age)
    looks.each_second(int(NOTICE_SECONDS) - 4, candidate("a"))  # nor does the first of these count
    assert looks.kinds == [(Kind.ANNOUNCE, "a")]
    looks.each_second(1, candidate("a"))
    assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.KILL, "a")]


def test_a_pause_before_a_notice_is_none_of_it() -> None:
    """It was given on figures of a moment before: it moves on by what was without any after it."""
    looks = Looks()
    looks.each_second(int(AFTER), candidate("a"))
    looks.now += 3
    looks.look(candidate("a"), age=2)
    looks.now += 5
    looks.look(candidate("a"))
    looks.each_second(int(NOTICE_SECONDS), candidate("a"))
    (announced, _, _), (killed, _, _) = looks.steps
    assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.KILL, "a")]
    assert killed - announced == 5 + NOTICE_SECONDS


def test_a_pause_that_is_too_long_begins_it_again() -> None:
    """Whether the figures grow old, or nobody looks: what was announced is withdrawn."""
    for looked in (True, False):
        looks = Looks()
        looks.each_second(25, candidate("a"))
        for age in range(1, int(STALE_SECONDS) + 2):
            if looked:
                looks.each_second(1, candidate("a"), age=age)
        if not looked:
            looks.now += STALE_SECONDS
        looks.each_second(int(AFTER), candidate("a"))
        assert looks.kinds == [(Kind.ANNOUNCE, "a"), (Kind.WITHDRAW, "a")]


def test_a_pod_that_ends_by_itself() -> None:
    """It is let alone, and the next is announced."""
    looks = Looks()
    looks.each_second(25, candidate("a"), candidate("b"))
    looks.each_second(15, candidate("a"))
    assert looks.kinds == [
        (Kind.ANNOUNCE, "b"), (Kind.WITHDRAW, "b"), (Kind.ANNOUNCE, "a"), (Kind.KILL, "a"),
    ]  # fmt: skip


PODS = [
    candidate("a"),
    candidate("b", labels={"koordinator.sh/priority": "1"}),
    candidate("small", annotations={"koordinator.sh/eviction-priority": "-3"}),
    candidate("mid", labels=MID),
    candidate("kept", labels={"koordinator.sh/eviction-enabled": "false"}),
]
ASKS = [(), SHORT, (cpu_ask(),), (cpu_ask(), memory_ask()), (memory_ask(60),)]


class Shown(NamedTuple):
    """What a look was shown: when, who was ending, whether the node was short by figures, and by new ones."""

    at: float
    ending: set[str]
    short: bool
    fresh: bool


@given(
    st.lists(
        st.tuples(
            st.integers(1, 30),  # so many looks
            st.sampled_from([0.5, 1.0, 2.5, 3.5]),  # so far apart
            st.sets(st.integers(0, len(PODS) - 1)),
            st.sampled_from([*ASKS, *[SHORT] * 6]),
            st.sampled_from([True] * 9 + [False]),
            st.sampled_from([0.0] * 6 + [3.5]),
        ),
        max_size=12,
    )
)
def test_what_led_to_each_kill(story: list[Any]) -> None:
    """Judged from everything that was shown before it: announced in time, justified at each look, once."""
    looks = Looks()
    shown: list[Shown] = []
    for count, apart, which, asks, known, age in story:
        pods = [PODS[i] for i in sorted(which)]
        for _ in range(count):
            looks.now += apart
            looks.look(*pods, asks=asks, known=known, age=age)
            short = known and any(each.form in FORMS and each.release > 0 for each in asks)
            shown.append(Shown(looks.now, {each.uid for each in pods}, short=short, fresh=not age))
            if looks.steps and looks.steps[-1][:2] == (looks.now, Kind.KILL):
                _judge(looks, shown)
    kills = [at for at, kind, _ in looks.steps if kind is Kind.KILL]
    assert all(later - at >= PAUSE_SECONDS + NOTICE_SECONDS for at, later in itertools.pairwise(kills))


def _judge(looks: Looks, shown: list[Shown]) -> None:
    """The last step is a kill: look back for as long as it needs reasons."""
    (announced, before, name), (now, _, killed) = looks.steps[-2:]
    assert (before, name) == (Kind.ANNOUNCE, killed)
    known = [each.at for each in shown if each.fresh and each.at >= announced]
    assert sum(b - a for a, b in itertools.pairwise(known) if b - a <= GAP_SECONDS) >= NOTICE_SECONDS
    pod = next(each for each in PODS if each.name == killed)
    assert pod.be
    assert pod.enabled != "false"
    ending = list(itertools.takewhile(lambda each: pod.uid in each.ending, reversed(shown)))
    assert announced - ending[-1].at >= AFTER
    short = list(itertools.takewhile(lambda each: each.short, reversed(shown)))
    fresh = [each.at for each in short if each.fresh]
    assert fresh[0] == now
    assert announced in fresh
    seen = 0.0
    for later, at in itertools.pairwise(fresh):
        if later - at > STALE_SECONDS:
            assert later <= announced
            break
        if later <= announced and later - at <= GAP_SECONDS:
            seen += later - at
    assert seen >= AFTER
    assert [kind for _, kind, who in looks.steps if who == killed].count(Kind.KILL) <= 1 + sum(
        pod.uid not in each.ending for each in shown
    )
