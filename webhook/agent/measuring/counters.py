"""What the kernel's files say, as numbers; pure.

CPU time is counted in nanoseconds, memory in bytes, pressure in microseconds. Source: the kernel's
Documentation/admin-guide (cgroup-v1, cgroup-v2.rst), Documentation/accounting/psi.rst, proc(5).
"""

import re
from typing import Final, NamedTuple

from webhook.pods.text import shown

_WITHOUT_CACHE: Final = (b"inactive_anon", b"active_anon", b"unevictable")
_CACHE: Final = (b"inactive_file", b"active_file")
_MEMORY: Final = {
    prefix: re.compile(
        rb"^" + prefix + rb"(" + rb"|".join((*_WITHOUT_CACHE, *_CACHE)) + rb") ([0-9]+)$", re.MULTILINE
    )
    for prefix in (b"", b"total_")
}
_THROTTLED: Final = re.compile(rb"^nr_throttled ([0-9]+)$", re.MULTILINE)
_USAGE_USEC: Final = re.compile(rb"^usage_usec ([0-9]+)$", re.MULTILINE)
_MEMINFO: Final = re.compile(
    rb"^(?:Node [0-9]+ )?(MemTotal|MemFree|MemAvailable): +([0-9]+) kB$", re.MULTILINE
)
_TOTAL: Final = re.compile(rb"^(some|full) .*?total=([0-9]+)$", re.MULTILINE)
_CPU_LINE: Final = re.compile(rb"^cpu[0-9]+ ", re.MULTILINE)
_IDLE: Final = frozenset({3, 4})
"""Columns of /proc/stat: idle and iowait."""

_COUNTED: Final = 7
"""Columns up to softirq: what follows is stolen, or was counted before."""


class CounterError(ValueError):
    """A file of the kernel whose content cannot be read; the message shows it."""

    def __init__(self, what: str, text: bytes) -> None:
        super().__init__(f"{what}: {shown(text[:80].decode(errors='replace'))} cannot be read")


class Memory(NamedTuple):
    """Bytes that a group uses.

    Attributes:
        without_cache: anonymous and unevictable memory: what koordlet calls usage.
        cache: of files.
    """

    without_cache: int
    cache: int


class CpuTime(NamedTuple):
    """CPU time of the whole machine.

    Attributes:
        busy_ticks: since the start, of all CPUs; a tick is 1/USER_HZ of a second.
        cpus: how many are online.
    """

    busy_ticks: int
    cpus: int


class NodeMemory(NamedTuple):
    """Bytes of the machine, or of one NUMA node, which has no ``available``."""

    total: int
    free: int
    available: int


class Pressure(NamedTuple):
    """Microseconds in which some task, or all of them, waited for a resource."""

    some: int
    full: int


def number(text: bytes, what: str) -> int:
    """Return a file's only number, as in cpuacct.usage; raises CounterError."""
    digits = text.strip()
    if not digits.isdigit():
        raise CounterError(what, text)
    return int(digits)


def cpu_stat(text: bytes, what: str) -> int:
    """Return the CPU time in version 2's cpu.stat; raises CounterError."""
    found = _USAGE_USEC.search(text)
    if found is None:
        raise CounterError(what, text)
    return int(found[1]) * 1000


def nr_throttled(text: bytes) -> int | None:
    """Return how often a group was throttled, by cpu.stat of either version; None where it does not say."""
    found = _THROTTLED.search(text)
    return None if found is None else int(found[1])


def memory_stat(text: bytes, what: str, *, version: int) -> Memory:
    """Return what a group and those below it use, by its memory.stat; raises CounterError."""
    values = dict(_MEMORY[b"total_" if version == 1 else b""].findall(text))
    if not values:
        raise CounterError(what, text)
    return Memory(*(sum(int(values.get(name, 0)) for name in names) for names in (_WITHOUT_CACHE, _CACHE)))


def proc_stat(text: bytes) -> CpuTime:
    """Return the machine's CPU time, by /proc/stat; raises CounterError."""
    head, _, rest = text.partition(b"\n")
    columns = head.removeprefix(b"cpu ").split()
    if len(columns) < _COUNTED or not all(each.isdigit() for each in columns):
        raise CounterError("/proc/stat", text)
    busy = sum(int(each) for i, each in enumerate(columns[:_COUNTED]) if i not in _IDLE)
    return CpuTime(busy, len(_CPU_LINE.findall(rest)))


def meminfo(text: bytes, what: str = "/proc/meminfo") -> NodeMemory:
    """Return the machine's memory, or a NUMA node's by its meminfo; raises CounterError."""
    values = {name: int(amount) * 1024 for name, amount in _MEMINFO.findall(text)}
    try:
        total, free = values[b"MemTotal"], values[b"MemFree"]
    except KeyError:
        raise CounterError(what, text) from None
    return NodeMemory(total, free, values.get(b"MemAvailable", free))


def pressure(text: bytes, what: str) -> Pressure:
    """Return how long tasks waited, by a pressure file that may lack ``full``; raises CounterError."""
    values = dict(_TOTAL.findall(text))
    if b"some" not in values:
        raise CounterError(what, text)
    return Pressure(int(values[b"some"]), int(values.get(b"full", 0)))
