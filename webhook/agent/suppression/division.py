"""A common quota, divided among pods by weight: none gets more than its own limit, each gets the least."""

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

LEAST: Final = 1000
"""Microseconds of a period: the kernel takes no less."""


class Claim(NamedTuple):
    """What one pod may get.

    Attributes:
        weight: from 1 on.
        limit: microseconds of a period, from ``LEAST`` on; None: none.
    """

    weight: int
    limit: int | None = None


def divide(quota: int, claims: Sequence[Claim]) -> list[int]:
    """Return each claim's part, in microseconds of a period.

    The parts are proportional to the weights, but for those that would be less than ``LEAST`` or more than
    their limit; what a limit leaves goes to the others. Their sum is at most ``quota``, or ``LEAST`` each.
    """
    if not claims:
        return []
    edges = sorted(
        {Fraction(LEAST, each.weight) for each in claims}
        | {Fraction(each.limit, each.weight) for each in claims if each.limit is not None}
    )
    # The sum grows with the measure: the last edge at which it is not too much lies below the answer.
    place = bisect_right(edges, Fraction(quota), key=lambda edge: _sum(edge, claims))
    if place == 0:
        return [LEAST] * len(claims)
    edge = edges[place - 1]
    growing = [
        each
        for each in claims
        if Fraction(LEAST, each.weight) <= edge
        and (each.limit is None or edge < Fraction(each.limit, each.weight))
    ]
    if growing:
        edge += Fraction(quota - _sum(edge, claims), sum(each.weight for each in growing))
    return [int(_part(edge, each)) for each in claims]


def _sum(measure: Fraction, claims: Sequence[Claim]) -> Fraction:
    return sum((_part(measure, each) for each in claims), Fraction())


def _part(measure: Fraction, claim: Claim) -> Fraction:
    """Return a claim's part where a weight of 1 is worth ``measure``."""
    part = max(Fraction(LEAST), measure * claim.weight)
    return part if claim.limit is None else min(part, Fraction(max(LEAST, claim.limit)))
