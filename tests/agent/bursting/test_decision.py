"""One quota from one second to the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.agent.bursting.decision import Bounds, Bucket, Raised, next_quota
from webhook.agent.bursting.pool import Load, Pool
from webhook.agent.measuring.throttling import Throttled

BOUNDS = Bounds(100_000, 300_000)
FREE, COOLING, FULL = (Pool(10_000, used, 50) for used in (4_499, 4_500, 5_000))
YES, NO = Throttled(3, 1.0), Throttled(0, 1.0)


@pytest.mark.parametrize(
    ("stands", "pool", "throttled", "after"),
    [
        (100_000, FREE, YES, 120_000),
        (120_000, FREE, YES, 144_000),
        (290_000, FREE, YES, 300_000),
        (300_000, FREE, YES, 300_000),
        (120_000, FREE, NO, 120_000),
        (120_000, COOLING, YES, 120_000),
        (120_000, COOLING, NO, 120_000),
        (150_000, FULL, YES, 120_000),
        (150_000, FULL, NO, 120_000),
        (110_000, FULL, YES, 100_000),
        (150_000, None, YES, 120_000),
        (150_000, FREE, None, 120_000),
        (100_000, None, None, 100_000),
        (400_000, FREE, NO, 300_000),
        (90_000, FREE, NO, 100_000),
    ],
)
def test_steps(stands, pool, throttled, after):
    """A fifth up where it was throttled and there is room, a fifth down without room or figures."""
    assert next_quota(stands, BOUNDS, pool, throttled, None) == Raised(after)


def test_the_loads_of_the_pool():
    """By the NodeSLO's threshold; of a pool without CPUs nothing is free."""
    assert [each.load for each in (FREE, COOLING, FULL)] == [Load.FREE, Load.COOLING, Load.FULL]
    assert Pool(10_000, 4_999, 50).load is Load.COOLING
    assert Pool(0, 0, 50).load is Load.FULL
    assert Pool(10_000, 0, 0).load is Load.FULL


def test_why():
    """Each decision names the figures from which it follows."""
    inputs = next_quota(100_000, BOUNDS, FREE, YES, Bucket(100, 40.0)).inputs
    assert inputs == {
        "limit": "100000",
        "most": "300000",
        "from": "100000",
        "pool": "4499 of 10000",
        "threshold": "50%",
        "saved": "40 of 100",
        "throttled": "3 periods",
    }
    for pool, throttled, bucket, why in [
        (FULL, NO, None, "the share pool is in use"),
        (None, NO, None, "nothing is known of its use"),
        (FREE, YES, Bucket(100, 0.0), "nothing is saved"),
    ]:
        assert next_quota(200_000, BOUNDS, pool, throttled, bucket).inputs["lowered"] == why


FIGURES = st.none() | st.builds(Throttled, st.integers(0, 10), st.just(1.0))
POOLS = st.none() | st.builds(Pool, st.integers(0, 64_000), st.integers(0, 64_000), st.integers(0, 100))
BUCKETS = st.none() | st.builds(Bucket, st.just(1000), st.floats(-1000, 1000))


@given(
    base=st.integers(1000, 10_000_000),
    percent=st.integers(100, 1000),
    part=st.floats(0, 1),
    pool=POOLS,
    throttled=FIGURES,
    bucket=BUCKETS,
)
def test_always(base, percent, part, pool, throttled, bucket):
    """Within its bounds, by a fifth at most; up only with figures that ask for it."""
    bounds = Bounds(base, base * percent // 100)
    stands = int(base + part * (bounds.most - base))
    after = next_quota(stands, bounds, pool, throttled, bucket).quota
    assert base <= after <= bounds.most
    assert stands * 4 // 5 <= after <= stands * 6 // 5
    if after > stands:
        assert pool is not None
        assert pool.used * 1000 < 9 * pool.size * pool.threshold
        assert throttled is not None
        assert throttled.periods > 0
        assert bucket is None or bucket.left > 0
    if pool is None or throttled is None or pool.used * 100 >= pool.size * pool.threshold:
        assert after == max(base, stands * 4 // 5)


def test_a_bucket():
    """Full it lasts for its seconds at the most, longer at less; it fills below 60 percent of the limit."""
    bucket = Bucket.full(10, 300)
    for _ in range(10):
        assert bucket.left > 0
        bucket.take(300, 1.0)
    assert bucket.left == 0
    bucket.take(80, 5.0)
    assert bucket.left == 0
    bucket.take(50, 0.5)
    assert bucket.left == 25
    bucket.take(150, 0.5)
    assert bucket.left == 0
    bucket.take(300, 1000.0)
    assert bucket.left == -2000
    bucket.take(0, 1000.0)
    assert bucket.left == 2000
    assert Bucket.full(0, 300).left == 0
