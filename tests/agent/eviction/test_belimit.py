"""What BE pods can get."""

from pathlib import Path

import pytest

from tests.agent.tree import write
from webhook.agent.eviction.belimit import be_limit
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.present import Present


def limit(root: Path, version: int, *pods: tuple[str, int | None]) -> int | None:
    """Return what pods can get that have these CPUs and quotas of 100 ms."""
    top = "sys/fs/cgroup"
    if version == 2:
        write(root, {f"{top}/cgroup.controllers": "cpuset cpu memory\n", f"{top}/kubepods/x": ""})
    else:
        write(root, {f"{top}/cpu/kubepods/tasks": "", f"{top}/cpuset/kubepods/tasks": ""})
    for i, (cpus, quota) in enumerate(pods):
        if version == 2:
            text = "max" if quota is None else quota
            files = {
                f"{top}/kubepods/{i}/cpuset.cpus.effective": cpus,
                f"{top}/kubepods/{i}/cpu.max": f"{text} 100000",
            }
        else:
            files = {
                f"{top}/cpuset/kubepods/{i}/cpuset.cpus": cpus,
                f"{top}/cpu/kubepods/{i}/cpu.cfs_quota_us": "-1" if quota is None else str(quota),
                f"{top}/cpu/kubepods/{i}/cpu.cfs_period_us": "100000",
            }
        write(root, {name: f"{value}\n" for name, value in files.items()})
    groups = [f"kubepods/{i}" for i in range(len(pods) + 1)]  # one is gone
    return be_limit(Present(find_hierarchy(root), KernelFiles()), groups)


@pytest.mark.parametrize("version", [1, 2])
def test_cpus_and_quotas(tmp_path: Path, version: int) -> None:
    """The CPUs of all of them, less where each has a quota; nothing known where no group can be read."""
    assert limit(tmp_path / "a", version) is None
    assert limit(tmp_path / "b", version, ("0-3", None), ("2-5", None)) == 6000
    assert limit(tmp_path / "c", version, ("0-3", 100_000), ("2-5", None)) == 6000
    assert limit(tmp_path / "d", version, ("0-3", 100_000), ("2-5", 150_000)) == 2500
    assert limit(tmp_path / "e", version, ("0", 100_000), ("0", 150_000)) == 1000
    assert limit(tmp_path / "f", version, ("", None)) is None
    assert limit(tmp_path / "g", version, ("all", None), ("1", None)) == 1000
