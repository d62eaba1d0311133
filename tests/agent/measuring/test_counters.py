"""Texts of the kernel, as numbers."""

from pathlib import Path

import pytest

from webhook.agent.measuring import counters
from webhook.agent.measuring.counters import CounterError, CpuTime, Memory, NodeMemory, Pressure

V1_MEMORY = b"""cache 10428416
inactive_anon 1
active_anon 2
inactive_file 4
active_file 8
unevictable 16
hierarchical_memory_limit 9223372036854771712
total_cache 7252692992
total_inactive_anon 100
total_active_anon 200
total_inactive_file 400
total_active_file 800
total_unevictable 1600
"""
V2_MEMORY = b"anon 300\nfile 1200\ninactive_anon 100\nactive_anon 200\ninactive_file 400\nactive_file 800\n"
STAT = b"""cpu  100 20 30 4000 500 6 7 80 9 0
cpu0 50 10 15 2000 250 3 3 40 4 0
cpu3 50 10 15 2000 250 3 4 40 5 0
intr 1 2 3
ctxt 5
"""


def test_cpu_time_of_both_versions() -> None:
    """Nanoseconds: version 1 writes them, version 2 microseconds among others."""
    assert counters.number(b"13018477833545639\n", "cpuacct.usage") == 13018477833545639
    text = b"usage_usec 37329178498\nuser_usec 1\nsystem_usec 2\nnice_usec 3\n"
    assert counters.cpu_stat(text, "cpu.stat") == 37329178498000


def test_memory_of_a_group_and_those_below_it() -> None:
    """Anonymous and unevictable memory without the cache; in version 1 the figures that begin with total."""
    assert counters.memory_stat(V1_MEMORY, "memory.stat", version=1) == Memory(1900, 1200)
    assert counters.memory_stat(V2_MEMORY, "memory.stat", version=2) == Memory(300, 1200)


def test_the_machine_is_busy_with_what_is_neither_idle_nor_stolen() -> None:
    """Guests are counted as user time already; CPUs that are offline have no line."""
    assert counters.proc_stat(STAT) == CpuTime(100 + 20 + 30 + 6 + 7, 2)


def test_memory_of_the_machine_and_of_a_numa_node() -> None:
    """Bytes; a NUMA node does not say what is available."""
    text = b"MemTotal:       24684096 kB\nMemFree:        15684188 kB\nMemAvailable:   23892088 kB\n"
    assert counters.meminfo(text) == NodeMemory(24684096 << 10, 15684188 << 10, 23892088 << 10)
    node = b"Node 0 MemTotal:       100 kB\nNode 0 MemFree:        60 kB\nNode 0 MemUsed: 40 kB\n"
    assert counters.meminfo(node) == NodeMemory(102400, 61440, 61440)


def test_pressure_with_and_without_full() -> None:
    """Of CPU an older kernel says only how long some task waited."""
    some = b"some avg10=2.28 avg60=36.28 avg300=31.71 total=12265672800\n"
    assert counters.pressure(some, "cpu.pressure") == Pressure(12265672800, 0)
    assert (
        counters.pressure(some + b"full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", "io.pressure").full == 7
    )


@pytest.mark.parametrize("text", [b"", b"-1\n", b"usage", b"cpu x y\n", b"\xff\xfe"])
def test_what_cannot_be_read_is_named(text: bytes) -> None:
    """The error shows the file and what is in it."""
    for read in (
        lambda: counters.number(text, "/f"),
        lambda: counters.cpu_stat(text, "/f"),
        lambda: counters.memory_stat(text, "/f", version=1),
        lambda: counters.meminfo(text, "/f"),
        lambda: counters.pressure(text, "/f"),
    ):
        with pytest.raises(CounterError, match=r"^/f: .*cannot be read"):
            read()
    with pytest.raises(CounterError, match="/proc/stat"):
        counters.proc_stat(text)


def test_this_machine_can_be_read() -> None:
    """What its kernel writes has the expected form."""
    stat = counters.proc_stat(Path("/proc/stat").read_bytes())
    assert stat.busy_ticks > 0
    assert stat.cpus >= 1
    memory = counters.meminfo(Path("/proc/meminfo").read_bytes())
    assert 0 < memory.free <= memory.total
