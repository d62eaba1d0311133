"""Hardware that sysfs shows: next to CPUs memory of NUMA nodes, and caches that CPUs share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from webhook.agent.measuring.counters import CounterError, meminfo
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.errors import CpuSetError
from webhook.cpuset.topology import Topology

_L3 = "3"


class Cache(NamedTuple):
    """A level 3 cache: its number, and the CPU ids that share it."""

    number: int
    cpus: frozenset[int]


class Hardware(NamedTuple):
    """A machine: its CPUs, the bytes of its NUMA nodes, its level 3 caches."""

    cpus: Topology
    memory: Mapping[int, int]
    caches: Sequence[Cache]


def numa_memory(root: Path | str = "/") -> dict[int, int]:
    """Return the bytes of each NUMA node; none where the kernel has no NUMA."""
    found = {}
    for folder in sorted((Path(root) / "sys/devices/system/node").glob("node[0-9]*")):
        try:
            text = (folder / "meminfo").read_bytes()
            found[int(folder.name.removeprefix("node"))] = meminfo(text, str(folder)).total
        except (OSError, CounterError, ValueError):
            continue
    return found


def l3_caches(root: Path | str = "/") -> tuple[Cache, ...]:
    """Return the level 3 caches of the CPUs that are online, in the order of their CPUs."""
    found: dict[frozenset[int], Cache] = {}
    for folder in (Path(root) / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            if (folder / "level").read_text().strip() != _L3:
                continue
            path = folder / "shared_cpu_list"
            cpus = parse_cpulist(path.read_text(), field=str(path))
        except (OSError, CpuSetError):
            continue
        number = folder / "id"
        found[cpus] = Cache(int(number.read_text()) if number.exists() else min(cpus), cpus)
    return tuple(sorted(found.values(), key=lambda each: min(each.cpus)))
