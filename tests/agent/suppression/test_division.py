"""A common quota among pods: by weight, within limits, nothing lost that somebody may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.agent.suppression.division import LEAST, Claim, divide

CLAIMS = st.lists(
    st.builds(Claim, st.integers(1, 262_144), st.none() | st.integers(LEAST, 3_200_000)), max_size=12
)


@pytest.mark.parametrize(
    ("quota", "claims", "parts"),
    [
        (300_000, [Claim(1), Claim(2)], [100_000, 200_000]),
        (300_000, [Claim(1), Claim(2, 50_000)], [250_000, 50_000]),
        (300_000, [Claim(1, 20_000), Claim(2, 50_000)], [20_000, 50_000]),
        (3_000, [Claim(2), Claim(512)], [1000, 2000]),
        (500, [Claim(1), Claim(1)], [1000, 1000]),
        (900_000, [Claim(512), Claim(512, 100_000), Claim(1024)], [266_666, 100_000, 533_333]),
        (1_000_000, [], []),
    ],
)
def test_parts(quota, claims, parts):
    """Proportional; what a limit leaves goes to the others, the least is for everybody."""
    assert divide(quota, claims) == parts


@given(st.integers(0, 6_400_000), CLAIMS)
def test_the_quota_is_kept_and_nothing_is_lost(quota, claims):
    """Proportional between those that neither limit nor least holds."""
    parts = divide(quota, claims)
    assert len(parts) == len(claims)
    assert sum(parts) <= max(quota, LEAST * len(claims))
    for part, claim in zip(parts, claims, strict=True):
        assert LEAST <= part <= (claim.limit or quota + LEAST)
    free = [
        (part, claim.weight)
        for part, claim in zip(parts, claims, strict=True)
        if part > LEAST and (claim.limit is None or part < claim.limit - 1)
    ]
    if free:
        assert sum(parts) > quota - len(claims) - 1
    for part, weight in free:
        other, heavy = free[0]
        assert abs(part * heavy - other * weight) <= max(weight, heavy)
