"""Cpulists: the kernel's text format for a set of CPUs, such as ``0-3,8``.

Files such as ``/sys/devices/system/cpu/online`` and the cgroup's ``cpuset.cpus`` use it
(kernel documentation, "List formats" of bitmaps). Groups are supported: ``0-31:2/4`` is
the first two of every four.
"""

from collections.abc import Iterable

from webhook.cpuset._native import ffi, lib
from webhook.cpuset.errors import CpuListError

MAX_CPU_ID: int = lib.CPUSET_MAX_ID

_WORDS = MAX_CPU_ID // 64 + 1
_PROBLEMS = {
    lib.CPUSET_E_SYNTAX: "is not valid syntax",
    lib.CPUSET_E_REVERSED: "a range runs backwards",
    lib.CPUSET_E_RANGE: f"a CPU id is above {MAX_CPU_ID}",
}


def parse_cpulist(text: str, *, field: str = "cpulist") -> frozenset[int]:
    """Return the CPU ids of a cpulist; the empty text is the empty set.

    White space around the list is ignored. Raises CpuListError with the text and
    the position of the error.
    """
    if not isinstance(text, str):
        raise CpuListError(field, text, "is not text", 'give a cpulist such as "0-3,8"')
    data = text.encode("utf-8", "surrogatepass")
    bits = ffi.new("uint64_t[]", _WORDS)
    fault = ffi.new("struct cpuset_fault *")
    status = lib.cpuset_list_parse(data, len(data), bits, _WORDS, fault)
    if status:
        problem = f"{_PROBLEMS[status]} at character {fault.offset + 1}"
        raise CpuListError(field, text, problem, 'write ids and ascending ranges, as in "0-3,8"')
    return frozenset(members(int.from_bytes(ffi.buffer(bits), "little")))


def format_cpulist(cpus: Iterable[int], *, field: str = "cpus") -> str:
    """Return the shortest cpulist of CPU ids, ascending.

    Raises CpuListError for the first id outside 0 to ``MAX_CPU_ID``.
    """
    mask = 0
    for cpu in cpus:
        if isinstance(cpu, bool) or not isinstance(cpu, int) or not 0 <= cpu <= MAX_CPU_ID:
            raise CpuListError(field, cpu, "is not a CPU id", f"give integers from 0 to {MAX_CPU_ID}")
        mask |= 1 << cpu
    words = (mask.bit_length() + 63) // 64
    bits = ffi.from_buffer("uint64_t[]", mask.to_bytes(words * 8, "little"))
    size = lib.cpuset_list_format(bits, words, ffi.NULL, 0) + 1
    out = ffi.new("char[]", size)
    lib.cpuset_list_format(bits, words, out, size)
    return str(ffi.string(out), "ascii")


def members(mask: int) -> list[int]:
    """Return the positions of the set bits of a non-negative integer, ascending."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found
