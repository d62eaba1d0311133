"""What cgroups hold at present."""

from pathlib import Path

import pytest

from tests.agent.tree import write
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.plan.target import UNLIMITED
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.present import Present

TOP = "sys/fs/cgroup"


def present(root: Path, version: int, quota: str, period: str) -> Present:
    """Return a machine with a group of this quota, and of CPUs 0 to 2, of which it asked for no set."""
    if version == 1:
        files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": period}
        write(root, {f"{TOP}/cpu/kubepods/{name}": f"{text}\n" for name, text in files.items()})
        write(root, {f"{TOP}/cpuset/kubepods/cpuset.cpus": "0-2\n"})
    else:
        text = "max" if quota == "-1" else quota
        write(
            root,
            {f"{TOP}/cgroup.controllers": "cpuset cpu\n", f"{TOP}/kubepods/cpu.max": f"{text} {period}\n"},
        )
        write(root, {f"{TOP}/kubepods/cpuset.cpus": "\n", f"{TOP}/kubepods/cpuset.cpus.effective": "0-2\n"})
    return Present(find_hierarchy(root), KernelFiles())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("quota", "period", "found"),
    [("50000", "100000", 50_000), ("50000", "50000", 100_000), ("-1", "100000", UNLIMITED), ("x", "1", None)],
)
def test_quotas_of_any_period(tmp_path, version, quota, period, found):
    """In microseconds of 100 ms; none, and one that cannot be read, are told apart."""
    machine = present(tmp_path, version, quota, period)
    assert machine.quota("kubepods") == found
    assert machine.quota("kubepods/gone") is None
    assert machine.cpus("kubepods") == {0, 1, 2}
    assert machine.cpus("kubepods/gone") is None


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("quota", "period", "wanted", "has"),
    [
        ("50000", "100000", 50_000, True),
        ("50000", "100000", 50_001, False),
        ("50000", "50000", 50_000, False),
        ("25000", "50000", 50_000, False),
        ("-1", "100000", UNLIMITED, True),
        ("-1", "100000", 50_000, False),
        ("x", "100000", 50_000, False),
    ],
)
def test_just_this_quota(tmp_path, version, quota, period, wanted, has):
    """Of 100 ms: another period is another limit, though it comes to as much."""
    machine = present(tmp_path, version, quota, period)
    assert machine.has_quota("kubepods", wanted) is has
    assert not machine.has_quota("kubepods/gone", wanted)
