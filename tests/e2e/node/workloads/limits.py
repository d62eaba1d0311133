"""Limits of a batch pod in its cgroups, as an agent writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.e2e.cluster.processes import eventually
from tests.e2e.node.workloads.groups import PodGroups

PERIOD: Final = 100_000
"""Microseconds of a CFS period."""


def limits(cpu: int, memory: int) -> dict[str, int]:
    """What stands in the cgroups of a pod with one container and so many milli-cores and bytes."""
    quota = PERIOD * cpu // 1000
    return {
        "pod idle": 1,
        "pod quota": quota,
        "pod memory": memory,
        "shares": max(2, cpu * 1024 // 1000),
        "quota": quota,
        "memory": memory,
    }


def wait_for(groups: PodGroups, wanted: Mapping[str, int]) -> None:
    """Wait until the files are as planned."""

    def as_planned() -> bool:
        found = standing(groups)
        assert found == wanted, found
        return True

    eventually(as_planned, seconds=90, what="the files as planned")


def standing(groups: PodGroups) -> dict[str, int]:
    """What stands there."""
    files = {
        "pod idle": (groups.pod, "cpu.idle"),
        "pod quota": (groups.pod, "cpu.cfs_quota_us"),
        "pod memory": (groups.pod, "memory.limit_in_bytes"),
        "shares": (groups.container, "cpu.shares"),
        "quota": (groups.container, "cpu.cfs_quota_us"),
        "memory": (groups.container, "memory.limit_in_bytes"),
    }
    return {name: int(groups.text(*where)) for name, where in files.items()}
