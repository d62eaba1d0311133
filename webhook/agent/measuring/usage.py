"""Counters over time into what is used: rates, means and percentiles; pure.

Times are seconds of a clock that never goes back. A counter that goes back, or runs faster than the machine
has CPUs, is another group's: it is taken up from there, and what lies between is not guessed.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from math import ceil
from operator import mul
from typing import Final, NamedTuple

NANOSECONDS: Final = 10**9
MOST_SAMPLES: Final = 3600
"""Of a node; where longer durations are asked for, every second one is kept, or every third."""

_SLACK: Final = 1.1
"""Counters are brought up to date at each tick: in a short time one may seem to run faster than the CPUs."""

_TICK: Final = 0.02


class Use(NamedTuple):
    """What is used: cores and bytes."""

    cpu: float
    memory: float


class Loads(NamedTuple):
    """What is used at one moment, in cores.

    Attributes:
        node: by everything.
        pods: by all pods.
        by_pod: by each pod that was measured, by uid.
    """

    node: float
    pods: float
    by_pod: Mapping[str, float]


class CpuMeter:
    """One group's CPU time, and how fast it runs.

    Attributes:
        seconds: CPU time since the first sample.
        cores: over the last step; None before the second sample, and after the counter went back.
        at: when the last sample was taken.
    """

    __slots__ = ("_counter", "at", "cores", "seconds")

    def __init__(self) -> None:
        """Begin without a sample."""
        self.seconds = 0.0
        self.cores: float | None = None
        self.at = 0.0
        self._counter = -1

    def take(self, at: float, nanoseconds: int, cpus: int) -> None:
        """Take the counter as it is now, on a machine with so many CPUs."""
        before, since = self._counter, at - self.at
        if before >= 0 and since <= 0:
            return
        self._counter, self.at = nanoseconds, at
        self.cores = None
        if before < 0 or nanoseconds < before:
            return
        used = (nanoseconds - before) / NANOSECONDS
        if used <= (since + _TICK) * cpus * _SLACK:
            self.seconds += used
            self.cores = used / since


class PodSample(NamedTuple):
    """A pod at one time: CPU seconds since its first sample, and bytes."""

    at: float
    seconds: float
    memory: int


class PodHistory:
    """What one pod used of late.

    Attributes:
        cpu: its CPU time, sampled each second.
        memory: bytes, of the last sample.
    """

    __slots__ = ("_samples", "cpu", "memory")

    def __init__(self) -> None:
        """Begin without a sample."""
        self.cpu = CpuMeter()
        self.memory = 0
        self._samples: deque[PodSample] = deque()

    def take(self, at: float, memory: int, seconds: float) -> None:
        """Keep the present moment as a sample, and forget what is older than ``seconds`` before it."""
        self.memory = memory
        self._samples.append(PodSample(at, self.cpu.seconds, memory))
        while self._samples[0].at < at - seconds:
            self._samples.popleft()

    def mean(self, now: float, seconds: float) -> Use | None:
        """Return the mean over the last ``seconds``, as far as they are known; None: they are not."""
        within = [each for each in self._samples if each.at >= now - seconds]
        if not within or within[-1].at <= within[0].at:
            return None
        first, last = within[0], within[-1]
        cpu = (last.seconds - first.seconds) / (last.at - first.at)
        return Use(cpu, sum(each.memory for each in within) / len(within))


class NodeSample(NamedTuple):
    """A node at one time: all of it, and what is no pod's."""

    at: float
    node: Use
    system: Use


class Window(NamedTuple):
    """Percentiles over a duration, by name (``p50`` …, and ``avg``), of the node and of what is no pod's."""

    seconds: float
    node: Mapping[str, Use]
    system: Mapping[str, Use]


class NodeHistory:
    """What a node used of late, a sample each second."""

    def __init__(self) -> None:
        """Begin without a sample."""
        self._samples: deque[NodeSample] = deque()
        self._taken = 0

    def __len__(self) -> int:
        """Return how many samples are kept."""
        return len(self._samples)

    @property
    def seconds(self) -> float:
        """Return how long the samples span."""
        return self._samples[-1].at - self._samples[0].at if self._samples else 0.0

    @property
    def last(self) -> NodeSample | None:
        """Return the newest sample."""
        return self._samples[-1] if self._samples else None

    def take(self, sample: NodeSample, seconds: float) -> None:
        """Keep a sample, and forget what is older than ``seconds`` before it."""
        self._taken += 1
        if self._samples and self._taken % ceil(seconds / MOST_SAMPLES):
            self._samples[-1] = sample  # the newest one is always there
        else:
            self._samples.append(sample)
        while self._samples[0].at < sample.at - seconds:
            self._samples.popleft()

    def mean(self, now: float, seconds: float) -> tuple[Use, Use] | None:
        """Return the means of node and system over the last ``seconds``; None: there is no sample."""
        within = self._within(now, seconds)
        if not within:
            return None
        steps = [after.at - before.at for before, after in pairwise(within)] or [1.0]
        later = within[1:] or within
        return _mean([each.node for each in later], steps), _mean([each.system for each in later], steps)

    def window(self, now: float, seconds: float, percents: Sequence[int]) -> Window | None:
        """Return percentiles over the last ``seconds``; None where samples span less than half of them."""
        within = self._within(now, seconds)
        if not within or within[-1].at - within[0].at < seconds / 2:
            return None
        return Window(
            seconds,
            _percentiles([each.node for each in within], percents),
            _percentiles([each.system for each in within], percents),
        )

    def _within(self, now: float, seconds: float) -> list[NodeSample]:
        start = bisect_left(self._samples, now - seconds, key=lambda each: each.at)
        return list(islice(self._samples, start, None))


def system_use(node: Use, pods: Use) -> Use:
    """Return what is no pod's; counters of both are read one after the other, so never below nothing."""
    return Use(max(0.0, node.cpu - pods.cpu), max(0.0, node.memory - pods.memory))


def _mean(uses: Sequence[Use], steps: Sequence[float]) -> Use:
    """Return the mean of uses, each of which lasted so many seconds: a process may have had to wait."""
    cpu, memory = zip(*uses, strict=True)
    return Use(sum(map(mul, cpu, steps)) / sum(steps), sum(map(mul, memory, steps)) / sum(steps))


def _percentiles(uses: Sequence[Use], percents: Sequence[int]) -> dict[str, Use]:
    """Return percentiles by the nearest rank, as koordlet's store has them, and the mean as ``avg``."""
    cpu, memory = (sorted(values) for values in zip(*uses, strict=True))
    ranks = {f"p{percent}": max(0, ceil(len(cpu) * percent / 100) - 1) for percent in percents}
    return {"avg": _mean(uses, [1.0] * len(uses))} | {
        name: Use(cpu[rank], memory[rank]) for name, rank in ranks.items()
    }
