"""What should stand where: a setting of a cgroup, its value, and why."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

UNLIMITED: Final = -1
"""A quota or a limit of memory that is none."""

PERIOD: Final = 100_000  # microseconds: the period of every quota here, and the kernel's default


class Knob(StrEnum):
    """A setting of a cgroup, whatever file holds it."""

    CPUS = "cpus"  # a set of CPU ids
    SHARES = "shares"  # the weight in cgroup v1's scale, 2 to 262144
    PERIOD = "period"  # microseconds
    QUOTA = "quota"  # microseconds of CPU per period, or UNLIMITED
    BURST = "burst"  # microseconds of unused quota that are kept for later
    IDLE = "idle"  # 1: runs only where nothing else wants to
    MEMORY = "memory"  # bytes, or UNLIMITED
    MIN = "min"  # bytes of memory that are never reclaimed
    LOW = "low"  # bytes of memory that are reclaimed last
    HIGH = "high"  # bytes of memory above which it is throttled, or UNLIMITED
    OOM_SCORE_ADJ = "oom-score-adj"  # of a process: from -1000, killed last, to 1000, killed first
    NICE = "nice"  # of a thread: from -20, before others of its cgroup, to 19


Value = int | frozenset[int]


class Why(NamedTuple):
    """The rule by which a value was found, the pod, and what the rule was given.

    Attributes:
        rule: its name, as docs/agent.md lists it.
        pod: namespace/name.
        inputs: from which the value follows, as text.
    """

    rule: str
    pod: str
    inputs: Mapping[str, str]


class Target(NamedTuple):
    """One setting of one cgroup."""

    knob: Knob
    value: Value
    why: Why
