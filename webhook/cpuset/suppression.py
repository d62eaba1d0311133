"""CPU suppression: how many CPUs best-effort work may use while others need them, and which.

The amounts follow koordlet's CPU suppression (NodeSLO ``resourceUsedThresholdWithBE``);
``cpuset_select_be`` in ``native/cpuset_alloc.h`` chooses the CPUs. Amounts are in
thousandths of a CPU.
"""

from typing import Any

from webhook.cpuset._native import ffi, lib
from webhook.cpuset.allocation import with_scratch
from webhook.cpuset.errors import CpuSetError, DefectError, RequestError, check_integer
from webhook.cpuset.topology import Topology

DEFAULT_THRESHOLD_PERCENT = 65
MIN_CPUS = 2
GROWTH_PERCENT = 10


def be_budget(
    capacity: int, used: int, *, threshold_percent: int = DEFAULT_THRESHOLD_PERCENT, min_percent: int = 0
) -> int:
    """Return how much of ``capacity`` BE work may use while others use ``used``.

    ``used`` counts everything except BE: pods, host applications, and the greater of the
    system's usage and reservation. The result is negative if others use more than the
    threshold, and never below ``min_percent`` of the capacity if that is set.
    """
    check_integer("capacity", capacity, "an amount")
    check_integer("used", used, "an amount")
    check_integer("threshold_percent", threshold_percent, "a percentage", most=100)
    check_integer("min_percent", min_percent, "a percentage", most=100)
    budget = capacity * threshold_percent // 100 - used
    return max(budget, capacity * min_percent // 100) if min_percent else budget


def be_count(budget: int, *, cpus: int, current: int | None = None, least: int = MIN_CPUS) -> int:
    """Return the number of CPUs of a budget: whole CPUs, rounded up, at least ``least``.

    On a machine with ``cpus`` logical CPUs, the number exceeds the ``current`` one by at
    most a tenth of them (rounded up); it shrinks without limit. None: no limit.
    """
    count = max(least, -(-budget // 1000))
    return count if current is None else min(count, current + growth(cpus))


def growth(amount: int) -> int:
    """Return how much of an amount of CPU may come back in one step: a tenth, rounded up."""
    return -(-amount * GROWTH_PERCENT // 100)


def select_be(
    topology: Topology, count: int, *, candidates: int, lsr: int = 0, old: int = 0
) -> frozenset[int]:
    """Return the best CPU ids for BE work, at most ``count``.

    ``candidates``, ``lsr`` and ``old`` are sets of positions. LSR CPUs are chosen in
    proportion, whole cores first, spread over the NUMA nodes, with as few changes from
    ``old`` as that allows. If there are fewer candidates than ``count``, all are chosen.
    CpuSetError if thousands of CPUs are on cores that LSR pods hold in part.
    """
    given, keep = _native(topology, count, candidates, lsr, old)
    chosen = ffi.new("uint64_t[]", topology.words)
    status, value = with_scratch(lib.cpuset_select_be, (topology.pointer, given), (chosen,))
    del keep
    if status == lib.CPUSET_E_RANGE:
        raise CpuSetError(
            "topology",
            topology,
            f"has {value} CPUs on cores that LSR pods hold in part, more than can be searched",
            "give LSR pods whole cores (FullPCPUs)",
        )
    if status:
        raise DefectError("candidates", hex(candidates), status)
    return topology.ids(int.from_bytes(ffi.buffer(chosen), "little"))


def measure_be(
    topology: Topology, count: int, cpus: int, *, candidates: int, lsr: int = 0, old: int = 0
) -> tuple[int, ...]:
    """Return the cost of a set of positions as BE set; the lower tuple is better.

    The entries are: forbidden CPUs; CPUs too many or too few; deviation from the share of
    LSR CPUs; cores used in part; greatest minus least count of the NUMA nodes; CPUs not
    in ``old``.
    """
    given, keep = _native(topology, count, candidates, lsr, old)
    lines = ffi.new("int64_t[4]")
    bits = ffi.from_buffer("uint64_t[]", topology.bits(cpus))
    lib.cpuset_measure_be(topology.pointer, given, bits, lines)
    del keep
    return ((cpus & ~candidates).bit_count(), abs(cpus.bit_count() - max(0, count)), *lines)


def _native(topology: Topology, count: int, candidates: int, lsr: int, old: int) -> tuple[Any, Any]:
    """Return the native arguments, and the buffers that must live as long."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise RequestError("count", count, "is not an integer", "request whole CPUs")
    buffers = [
        ffi.from_buffer("uint64_t[]", topology.bits(mask & topology.everything))
        for mask in (candidates, lsr, old)
    ]
    return ffi.new("struct cpuset_be *", (max(0, min(count, topology.size)), *buffers)), buffers
