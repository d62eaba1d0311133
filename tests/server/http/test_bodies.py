"""The accounting of bodies: never more than the limit, in order, and nothing is left behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.server.http.bodies import (
    GRACE_SECONDS,
    LEAST_BYTES,
    LEAST_RATE,
    MAX_BODY,
    MOST_WAITING,
    SMALL_BODY,
    Bodies,
    Share,
    expected,
)

MIB = 2**20


class Body:
    """A body that notes what happens to it."""

    def __init__(self):
        self.room = self.lost = 0
        self.share = Share(self.on_room, self.on_lost)

    def on_room(self):
        """Count."""
        self.room += 1

    def on_lost(self):
        """Count."""
        self.lost += 1


def test_the_limit_covers_what_json_makes_of_an_object():
    """Six bytes for one, two copies of 1.5 MiB; and one such body fits what all large ones may take."""
    assert 18 * MIB < MAX_BODY <= LEAST_BYTES * 3 // 4
    with pytest.raises(ValueError, match="too few"):
        Bodies(LEAST_BYTES - 1)


def test_large_bodies_wait_in_the_order_of_their_coming():
    """A small one of them does not overtake; each is admitted once, when there is room."""
    bodies = Bodies(64 * MIB)
    first, second, third, fourth = (Body() for _ in range(4))
    assert bodies.reserve(first.share, 20 * MIB) is True
    assert bodies.reserve(second.share, 20 * MIB) is True
    assert bodies.reserve(third.share, 20 * MIB) is False
    assert bodies.reserve(fourth.share, SMALL_BODY + 1) is False
    bodies.shrink(first.share, 12 * MIB + 1)
    assert (third.room, fourth.room) == (0, 0)
    bodies.shrink(first.share, 8 * MIB)
    assert (third.room, fourth.room) == (1, 0)
    bodies.release(second.share)
    assert (third.room, fourth.room) == (1, 1)
    for body in (first, second, third, fourth):
        bodies.release(body.share)
        bodies.release(body.share)
    assert (bodies.small, bodies.large, bodies.waiting) == (0, 0, {})


def test_only_some_may_wait():
    """What waits has been read in part, so the number is bounded; who goes makes place."""
    bodies = Bodies(64 * MIB)
    held = [Body() for _ in range(2 + MOST_WAITING)]
    assert [bodies.reserve(body.share, MAX_BODY) for body in held] == [True] * 2 + [False] * MOST_WAITING
    late = Body()
    assert bodies.reserve(late.share, MAX_BODY) is None
    bodies.release(held[5].share)
    assert bodies.reserve(late.share, MAX_BODY) is False


def test_large_bodies_take_nothing_of_the_small_ones():
    """While the rest is full, as many small bodies as ever are held, none of them is lost."""
    bodies = Bodies(64 * MIB)
    for _ in range(40):
        bodies.reserve(Body().share, 7 * MIB)
    small = [Body() for _ in range(64)]
    assert all(bodies.hold(body.share, SMALL_BODY) for body in small)
    assert sum(body.lost for body in small) == 0


def test_the_oldest_small_body_on_its_way_makes_room():
    """Those that hold what they began cannot keep newer ones out; what is being decided on stays."""
    bodies = Bodies(64 * MIB)
    decided = Body()
    assert bodies.hold(decided.share, SMALL_BODY, arriving=False)
    small = [Body() for _ in range(63)]
    assert all(bodies.hold(body.share, SMALL_BODY) for body in small)
    assert all(bodies.hold(Body().share, SMALL_BODY) for _ in range(3))
    assert [body.lost for body in small] == [1] * 3 + [0] * 60
    assert decided.lost == 0


def test_where_none_is_on_its_way_the_new_one_goes():
    """Nothing that is being decided on is dropped."""
    bodies = Bodies(64 * MIB)
    decided = [Body() for _ in range(4)]
    assert all(bodies.hold(body.share, 4 * MIB, arriving=False) for body in decided)
    late = Body()
    assert not bodies.hold(late.share, 1)
    assert late.lost == 0
    assert bodies.small == 16 * MIB


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "keep", "reserve", "shrink", "release"]),
        st.integers(0, 9),
        st.integers(0, MAX_BODY),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_the_limit_holds_and_all_is_given_back(steps):
    """No order of calls takes more than the limit, admits one twice, or leaves bytes behind."""
    limit = 32 * MIB
    bodies = Bodies(limit)
    everybody = [Body() for _ in range(10)]
    for step, index, number in steps:
        body = everybody[index]
        share = body.share
        if step in {"hold", "keep"}:
            bodies.hold(share, number % (SMALL_BODY + 1), arriving=step == "hold")
        elif step == "reserve":
            body.room = 0
            bodies.reserve(share, number)
        elif step == "shrink":
            bodies.shrink(share, number)
        else:
            bodies.release(share)
        assert 0 <= bodies.small <= limit // 4
        assert 0 <= bodies.large <= limit - limit // 4
        assert len(bodies.waiting) <= MOST_WAITING
        assert all(each.room <= 1 for each in everybody)
        if bodies.waiting:
            assert bodies.large + next(iter(bodies.waiting.values())) > limit - limit // 4
    for body in everybody:
        bodies.release(body.share)
    assert (bodies.small, bodies.large, bodies.waiting) == (0, 0, {})


def test_a_body_may_lag_behind_the_least_rate_by_some_seconds():
    """Nothing is expected at first, and then a rate."""
    assert expected(0) < 0
    assert expected(GRACE_SECONDS) == 0
    assert expected(GRACE_SECONDS + 7) == 7 * LEAST_RATE
