"""Which file holds a setting, and what its text means, in both versions of cgroups: pure.

A value is what the file can hold: in version 2 a weight in the place of shares.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from webhook.agent.plan.settings import Weights
from webhook.agent.plan.target import PERIOD, UNLIMITED, Knob, Value
from webhook.agent.writing.cgroupfiles import NICE, OOM_SCORE_ADJ
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist

_ENDLESS: Final = 2**62  # bytes; version 1 shows no limit as the greatest number of whole pages
_LEAST_SHARES: Final = 2
_SPAN_OF_SHARES: Final = 262_142
_MOST_WEIGHT: Final = 10_000
_IDLE_SHARES: Final = 3
"""What the kernel shows as the shares of an idle cgroup; as its weight it shows 0."""


class File(NamedTuple):
    """A kind of file: the controller to which it belongs, and its name."""

    controller: str
    name: str


_PROTECTION: Final[Mapping[Knob, File]] = {
    Knob.MIN: File("memory", "memory.min"),
    Knob.LOW: File("memory", "memory.low"),
    Knob.HIGH: File("memory", "memory.high"),
}
"""Of version 2; some vendors' kernels have them in version 1."""

_OF_PROCESSES: Final[Mapping[Knob, File]] = {
    Knob.OOM_SCORE_ADJ: File("process", OOM_SCORE_ADJ),
    Knob.NICE: File("process", NICE),
}
"""No files of a cgroup: they are in /proc."""

_V1: Final[Mapping[Knob, File]] = {
    Knob.CPUS: File("cpuset", "cpuset.cpus"),
    Knob.SHARES: File("cpu", "cpu.shares"),
    Knob.PERIOD: File("cpu", "cpu.cfs_period_us"),
    Knob.QUOTA: File("cpu", "cpu.cfs_quota_us"),
    Knob.BURST: File("cpu", "cpu.cfs_burst_us"),
    Knob.IDLE: File("cpu", "cpu.idle"),
    Knob.MEMORY: File("memory", "memory.limit_in_bytes"),
    **_PROTECTION,
    **_OF_PROCESSES,
}
_V2: Final[Mapping[Knob, File]] = {
    Knob.CPUS: File("cpuset", "cpuset.cpus"),
    Knob.SHARES: File("cpu", "cpu.weight"),
    Knob.QUOTA: File("cpu", "cpu.max"),
    Knob.BURST: File("cpu", "cpu.max.burst"),
    Knob.IDLE: File("cpu", "cpu.idle"),
    Knob.MEMORY: File("memory", "memory.max"),
    **_PROTECTION,
    **_OF_PROCESSES,
}
_OF_VERSION: Final = {1: _V1, 2: _V2}
_BY_NAME: Final = {
    version: {file.name: knob for knob, file in table.items()} for version, table in _OF_VERSION.items()
}
EFFECTIVE_CPUS: Final = "cpuset.cpus.effective"
"""Of version 2: on which CPUs a group may run, also by the groups above it."""

_MAX: Final = "max"
_BYTES: Final = frozenset({Knob.MEMORY, *_PROTECTION})


def file_of(knob: Knob, version: int) -> File | None:
    """Return the file of a setting; None: that version has none. Version 2 keeps period and quota in one."""
    return _OF_VERSION[version].get(knob)


def knob_of(name: str, version: int) -> Knob:
    """Return the setting that a file of this name holds; KeyError where none does."""
    return _BY_NAME[version][name]


def stored(knob: Knob, value: Value, version: int, weights: Weights = Weights.LINEAR) -> Value:
    """Return a planned value as its file can hold it."""
    if knob is Knob.SHARES and version == 2 and isinstance(value, int):  # noqa: PLR2004 — of cgroups
        return weight_of(value, weights)
    return value


def parse(knob: Knob, text: str, version: int) -> Value:
    """Return what a file's text means.

    Raises:
        ValueError: it cannot be read; cgroups of this version hold no such text there.
    """
    text = text.strip()
    if knob is Knob.CPUS:
        return parse_cpulist(text)
    if knob is Knob.QUOTA and version == 2:  # noqa: PLR2004
        quota, period = text.split()
        return UNLIMITED if quota == _MAX else int(quota) * PERIOD // int(period)
    if text == _MAX:
        return UNLIMITED
    number = int(text)
    if knob is Knob.QUOTA:
        return max(UNLIMITED, number)
    return UNLIMITED if knob in _BYTES and number >= _ENDLESS else number


def same(knob: Knob, text: str, wanted: str, version: int) -> bool:
    """Whether a file's text means what the wanted one does; False where it cannot be read."""
    try:
        equal = parse(knob, text, version) == parse(knob, wanted, version)
    except ValueError:
        return False
    if equal and knob is Knob.QUOTA and version == 2 and _MAX not in text:  # noqa: PLR2004
        return text.split() == wanted.split()  # another period is another limit for bursts
    return equal


def most_burst(text: str) -> int:
    """Return the greatest burst that the kernel takes next to this text of a quota, 0 where there is none.

    Raises:
        ValueError: it cannot be read.
    """
    quota, *_ = text.split()  # version 2 has the period next to it
    return 0 if quota == _MAX else max(0, int(quota))


@lru_cache(maxsize=4096)
def render(knob: Knob, value: Value, version: int) -> str:
    """Return the text that is written for a value."""
    if isinstance(value, frozenset):
        return format_cpulist(value)
    if version == 1:
        return str(value)
    text = _MAX if value == UNLIMITED and knob not in _OF_PROCESSES else str(value)
    return f"{text} {PERIOD}" if knob is Knob.QUOTA else text


def idle_shares(version: int) -> int:
    """Return what the kernel shows as the shares or the weight of a cgroup that became idle."""
    return _IDLE_SHARES if version == 1 else 0


def weight_of(shares: int, weights: Weights) -> int:
    """Return the weight of version 2 for shares.

    Linear: KEP-2254 and the kubelet. Logarithmic: runc from 1.3.2 on (opencontainers/cgroups
    ``ConvertCPUSharesToCgroupV2Value``), by which 1024 shares are the default weight of 100.
    """
    return _FORMULAS[weights](shares)


def weights_by(samples: Mapping[int, int]) -> Weights | None:
    """Return the formula that a runtime uses, by weights that it wrote for these shares; None: unknown."""
    fits = [
        formula
        for formula in Weights
        if samples and all(weight_of(shares, formula) == weight for shares, weight in samples.items())
    ]
    return fits[0] if len(fits) == 1 else None


def _linear(shares: int) -> int:
    return min(_MOST_WEIGHT, 1 + (max(shares, _LEAST_SHARES) - _LEAST_SHARES) * 9999 // _SPAN_OF_SHARES)


def _logarithmic(shares: int) -> int:
    if shares <= _LEAST_SHARES:
        return 1
    if shares >= _LEAST_SHARES + _SPAN_OF_SHARES:
        return _MOST_WEIGHT
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


_FORMULAS: Final[Mapping[Weights, Callable[[int], int]]] = {
    Weights.LINEAR: _linear,
    Weights.LOGARITHMIC: _logarithmic,
}
