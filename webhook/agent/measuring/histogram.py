"""A decaying histogram: what was used, the further back the less it counts; pure.

Bounds of buckets grow by a twentieth, and a weight halves in each half-life. Source: the Vertical Pod
Autoscaler's decaying histograms, which koordlet uses, too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_GROWTH: Final = 1.05
_LEAST: Final = 1e-4
"""A bucket of less than this share of one new sample is empty."""

_MOST_SCALE: Final = 2.0**64
_MOST_HALVES: Final = 8.0
"""What one step decays at most: a clock that jumps ahead costs old samples their weight, not their place."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where bounds lie.

    Attributes:
        first: the upper bound of the first bucket, in cores or bytes.
        most: what the last bucket begins at or before.
    """

    first: float
    most: float

    def of(self, value: float) -> int:
        """Return the bucket of a value."""
        if value < self.first:
            return 0
        found = int(math.log(value * (_GROWTH - 1) / self.first + 1, _GROWTH))
        return min(found, int(math.log(self.most * (_GROWTH - 1) / self.first + 1, _GROWTH)))

    def end(self, bucket: int) -> float:
        """Return the upper bound of a bucket."""
        return self.first * (_GROWTH ** (bucket + 1) - 1) / (_GROWTH - 1)


CPU_BUCKETS: Final = Buckets(0.025, 1024.0)
MEMORY_BUCKETS: Final = Buckets(5.0 * 2**20, 2.0**41)


class Histogram:
    """One quantity of one subject.

    Times are seconds since the epoch: they have to hold over a restart. A clock that goes back costs nothing.
    """

    __slots__ = ("_at", "_buckets", "_half_life", "_scale", "_weights")

    def __init__(self, buckets: Buckets, half_life: float) -> None:
        """Begin empty; ``half_life`` in seconds."""
        self._buckets = buckets
        self._half_life = half_life
        self._weights: dict[int, float] = {}
        self._scale = 1.0
        self._at = 0.0

    def add(self, value: float, now: float) -> None:
        """Take a sample."""
        if self._weights and now > self._at:
            self._scale *= 2.0 ** min((now - self._at) / self._half_life, _MOST_HALVES)
        self._at = now
        bucket = self._buckets.of(value)
        self._weights[bucket] = self._weights.get(bucket, 0.0) + self._scale
        if self._scale > _MOST_SCALE:
            self._normalize()

    def percentile(self, percent: float) -> float:
        """Return the upper bound of the bucket below which so many percent of the weight lie; 0 if empty."""
        least = _LEAST * self._scale
        kept = sorted(each for each in self._weights.items() if each[1] >= least)
        threshold = sum(weight for _, weight in kept) * percent / 100
        below = 0.0
        for bucket, weight in kept:
            below += weight
            if below >= threshold * (1 - 1e-12):
                return self._buckets.end(bucket)
        return 0.0

    def to_json(self) -> dict[str, Any]:
        """Return what a file keeps of it."""
        self._normalize()
        weights = {str(bucket): round(weight, 6) for bucket, weight in sorted(self._weights.items())}
        return {"at": self._at, "weights": weights}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take back what ``to_json`` returned; raises ValueError for anything else."""
        try:
            at = float(kept["at"])
            weights = {int(bucket): float(weight) for bucket, weight in kept["weights"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a histogram lacks {error}") from None
        numbers = (at, *weights.values())
        highest = self._buckets.of(self._buckets.most)
        if not all(math.isfinite(each) and each >= 0 for each in numbers) or not all(
            0 <= bucket <= highest for bucket in weights
        ):
            raise ValueError("a histogram has numbers that no sample makes")
        self._at, self._scale, self._weights = at, 1.0, weights

    def _normalize(self) -> None:
        """Make a new sample's weight 1 again, and drop what has none left."""
        scaled = {bucket: weight / self._scale for bucket, weight in self._weights.items()}
        self._weights = {bucket: weight for bucket, weight in scaled.items() if weight >= _LEAST}
        self._scale = 1.0
