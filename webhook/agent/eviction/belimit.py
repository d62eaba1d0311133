"""How much CPU BE pods can get: what the cgroups of these pods allow them together."""

from collections.abc import Callable, Iterable
from typing import Final

from webhook.agent.hierarchy import Hierarchy
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.errors import CpuSetError

Read = Callable[[str], str]
"""Returns what a file of the kernel holds; OSError where it cannot be read."""

_CORE: Final = 1000


def be_limit(read: Read, hierarchy: Hierarchy, groups: Iterable[str]) -> int | None:
    """Return in milli-cores what pods can get: the CPUs of them all, and their quotas where each has one.

    The group of all BestEffort pods is not asked: suppression is written to the pods' own.

    Args:
        read: reads a file.
        hierarchy: of the node.
        groups: of the pods, which may be gone by now.

    Returns:
        None where nothing could be read.
    """
    cpus: set[int] = set()
    quotas: list[int | None] = []
    for group in groups:
        try:
            cpus.update(_cpus(read, hierarchy, group))
            quotas.append(_quota(read, hierarchy, group))
        except (OSError, ValueError, CpuSetError):
            continue
    if not cpus:
        return None
    limited = [each for each in quotas if each is not None]
    everyone = len(cpus) * _CORE
    return min(everyone, sum(limited)) if len(limited) == len(quotas) else everyone


def _cpus(read: Read, hierarchy: Hierarchy, group: str) -> Iterable[int]:
    name = "cpuset.cpus" if hierarchy.version == 1 else "cpuset.cpus.effective"
    return parse_cpulist(read(_file(hierarchy, "cpuset", group, name)).strip())


def _quota(read: Read, hierarchy: Hierarchy, group: str) -> int | None:
    """Return a quota in milli-cores; None: there is none."""
    if hierarchy.version == 1:
        quota = int(read(_file(hierarchy, "cpu", group, "cpu.cfs_quota_us")))
        period = int(read(_file(hierarchy, "cpu", group, "cpu.cfs_period_us")))
        return quota * _CORE // period if quota > 0 and period > 0 else None
    given, _, rest = read(_file(hierarchy, "cpu", group, "cpu.max")).partition(" ")
    return None if given.strip() == "max" else int(given) * _CORE // int(rest)


def _file(hierarchy: Hierarchy, controller: str, group: str, name: str) -> str:
    path = hierarchy.file(controller, group, name)
    if path is None:
        raise FileNotFoundError(f"no hierarchy of {controller}")
    return path
