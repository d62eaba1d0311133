"""How far one quota is raised from one second to the next; pure.

By a fifth at most, and only from what stands, so that a write that did not come about is not made up for. It
falls by a fifth as soon as others need the CPUs, or nobody knows whether they do. Source: koordlet's
``applyCFSQuotaBurst``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from webhook.agent.bursting.pool import Load, Pool
from webhook.agent.measuring.throttling import Throttled

_WHOLE: Final = 100
_UP: Final = 120
_DOWN: Final = 80
_SAVES_BELOW: Final = 60
"""Percent of its limit: who uses less saves for later."""


class Bounds(NamedTuple):
    """Between what a quota may stand, in microseconds of a period.

    Attributes:
        base: by its limit, as the kubelet writes it.
        most: that it may be raised to.
    """

    base: int
    most: int


@dataclass(frozen=True, slots=True)
class Raised:
    """A quota above its base.

    Attributes:
        quota: microseconds of a period.
        inputs: from which it follows, as text; those of the moment when it was decided.
    """

    quota: int
    inputs: Mapping[str, str] = field(default_factory=dict, compare=False)


Raises = Mapping[str, Raised]
"""The raised quotas of a pod, by the name of the container; "" is the pod's own cgroup."""


class State(NamedTuple):
    """What the last round came to.

    Attributes:
        pool: the share pool; None: unknown.
        raised: quotas above their base, by namespace/name of the pod.
        more: milli-cores that these are above it.
    """

    pool: Pool | None
    raised: Mapping[str, Raises]
    more: int

    def report(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "pool": self.pool.terms() if self.pool is not None else {},
            "raised": {
                pod: {name or "the pod": each.quota for name, each in raises.items()}
                for pod, raises in self.raised.items()
            },
        }


@dataclass(slots=True)
class Bucket:
    """What a group may still use beyond its limit, in percent of it times seconds.

    Attributes:
        most: that can be saved.
        left: that is saved; less than nothing after it has used more.
    """

    most: int
    left: float

    @classmethod
    def full(cls, seconds: int, percent: int) -> "Bucket":
        """Return one with which a group may use so many percent of its limit for so many seconds."""
        most = seconds * max(0, percent - _WHOLE)
        return cls(most, most)

    def take(self, percent: float, seconds: float) -> None:
        """Account for some seconds in which a group used so many percent of its limit."""
        if percent >= _WHOLE or percent < _SAVES_BELOW:
            self.left -= (percent - _WHOLE) * seconds
        self.left = max(-float(self.most), min(float(self.most), self.left))


def next_quota(
    stands: int, bounds: Bounds, pool: Pool | None, throttled: Throttled | None, bucket: Bucket | None
) -> Raised:
    """Return what a quota is to be; one that is not above its base is not raised.

    Args:
        stands: what it is.
        bounds: between which it has to be.
        pool: at this moment; None: unknown.
        throttled: what became of the group in the last second; None: unknown.
        bucket: of the group; None: it may burst without an end.
    """
    inputs = {"limit": str(bounds.base), "most": str(bounds.most), "from": str(stands)}
    inputs |= {} if pool is None else pool.terms()
    if bucket is not None:
        inputs["saved"] = f"{bucket.left:.0f} of {bucket.most}"
    percent = _WHOLE
    if pool is None or throttled is None:
        percent, inputs["lowered"] = _DOWN, "nothing is known of its use"
    elif bucket is not None and bucket.left <= 0:
        percent, inputs["lowered"] = _DOWN, "nothing is saved"
    elif pool.load is Load.FULL:
        percent, inputs["lowered"] = _DOWN, "the share pool is in use"
    elif pool.load is Load.FREE and throttled.periods > 0:
        percent, inputs["throttled"] = _UP, f"{throttled.periods} periods"
    return Raised(max(bounds.base, min(bounds.most, stands * percent // _WHOLE)), inputs)
