"""The processes of a pod's cgroup are killed by the kernel's own file, and that is accounted for."""

import datetime as dt
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.tree import v1_tree, v2_tree, write
from tests.agent.worlds.machine import Machine, remove_group
from tests.lacking import stop_if_lacking
from tests.waiting import until
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.plan.target import Why
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.kill import Kills
from webhook.agent.writing.ledger import LAST_RESORT, ActionLedger, read_lines

GROUP = "kubepods/besteffort/podu-be"
CONTAINER = f"{GROUP}/{'a' * 64}"
WHY = Why(LAST_RESORT, "shop/be", {"release": "1"})
UNIFIED = Path("/sys/fs/cgroup/unified")


class Files(KernelFiles):
    """A tree in which ``cgroup.kill`` is as the kernel's: write-only, and nobody is left afterwards."""

    def __init__(self, unified: Path) -> None:
        self.unified = unified

    def read(self, path: str) -> str:
        """What a file holds."""
        text = super().read(path)
        if path.endswith("cgroup.kill"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return text

    def write(self, path: str, text: str) -> None:
        """Write one."""
        if path.endswith("cgroup.kill") and text != "1":
            raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
        super().write(path, text)
        (Path(path).parent / "cgroup.events").write_text("populated 0\nfrozen 0\n")


def made(
    root: Path, version: int, *, populated: bool = True, file: bool = True, hybrid: bool = True
) -> Kills:
    """A machine with one pod that runs."""
    if version == 2:
        v2_tree(root, CONTAINER)
    else:
        v1_tree(root, CONTAINER, hybrid=hybrid)
        write(root, {f"sys/fs/cgroup/cpuacct/{CONTAINER}/cgroup.procs": "17\n"})
    hierarchy = find_hierarchy(root)
    if hierarchy.unified is not None:
        group = hierarchy.unified / GROUP
        (group / "cgroup.events").write_text(f"populated {int(populated)}\nfrozen 0\n")
        if file:
            (group / "cgroup.kill").touch()
    files = Files(hierarchy.unified or root)
    ledger = ActionLedger(root / "ledger", boot="one", identity=files.identity)
    return Kills(hierarchy, files, ledger, lambda: dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC))


@pytest.mark.parametrize("version", [1, 2])
def test_a_kill_and_its_two_lines(tmp_path: Path, version: int) -> None:
    """One before and one after, of version 2 alone and of both; no restoring ever looks at them."""
    kills = made(tmp_path, version)
    assert kills.obstacle(GROUP) == ""
    assert kills.runs(GROUP)
    kills.announce(GROUP, WHY)
    assert kills.runs(GROUP)
    kills.kill(GROUP, WHY)
    assert version == 1 or not kills.runs(GROUP)
    lines = [each for each in read_lines(tmp_path / "ledger") if "path" in each]
    assert [(each["file"], each["old"], each["new"], each["why"]["rule"]) for each in lines] == [
        ("cgroup.kill", "", "", LAST_RESORT), ("cgroup.kill", "", "1", LAST_RESORT),
    ]  # fmt: skip
    assert kills.ledger.originals == {}
    kills.ledger.close()
    again = ActionLedger(tmp_path / "ledger", boot="one", identity=kills.files.identity)
    assert again.originals == {}


def test_what_cannot_be(tmp_path: Path) -> None:
    """Version 1 alone, a runtime that does not use version 2, a kernel without the file: what is needed."""
    cases = [
        (made(tmp_path / "alone", 1, hybrid=False), "cgroups are of version 1"),
        (made(tmp_path / "unused", 1, populated=False), "keeps its processes in version 1 only"),
        (made(tmp_path / "old", 2, file=False), "this kernel has none"),
    ]
    for kills, text in cases:
        assert kills.runs(GROUP)
        assert text in kills.obstacle(GROUP)
        assert "cgroup.kill of cgroup version 2 is needed" in kills.obstacle(GROUP)
    with pytest.raises(FileNotFoundError):
        cases[0][0].kill(GROUP, WHY)
    with pytest.raises(FileNotFoundError):
        cases[2][0].kill(GROUP, WHY)
    assert [each for each in read_lines(tmp_path / "old/ledger") if "path" in each] == []


def test_without_a_place_for_its_lines(tmp_path: Path) -> None:
    """Nobody is killed without account."""
    kills = made(tmp_path, 2)
    kills.ledger._waiting.extend([b"\n"] * 10_000)
    assert "no more lines can wait" in kills.obstacle(GROUP)


def test_a_pod_that_has_ended(tmp_path: Path) -> None:
    """There is nothing to kill, also where its group is gone."""
    kills = made(tmp_path, 2, populated=False)
    assert not kills.runs(GROUP)
    assert not kills.runs("kubepods/besteffort/podother")
    with pytest.raises(FileNotFoundError):
        kills.announce("kubepods/besteffort/podother", WHY)


@pytest.fixture
def stubborn(machine: Machine) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A group of version 2 on this machine with two processes in it that ignore SIGTERM."""
    name = machine.name
    group = UNIFIED / name / "besteffort/podu-be"
    inner = group / ("a" * 64)
    stop_if_lacking("" if (UNIFIED / "cgroup.procs").exists() else f"there is no hierarchy {UNIFIED}")
    inner.mkdir(parents=True)
    ignore = f"trap '' TERM; echo 0 >{inner}/cgroup.procs; while :; do sleep 1; done"
    processes = [subprocess.Popen(["/bin/sh", "-c", ignore]) for _ in range(2)]  # noqa: S603
    until(lambda: {str(each.pid) for each in processes} <= set((inner / "cgroup.procs").read_text().split()))
    yield name, processes
    for each in processes:
        each.kill()
        each.wait()
    for folder in (inner, group, group.parent, group.parent.parent):
        remove_group(folder)


def test_this_kernel(stubborn: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path) -> None:
    """Every process below is gone by SIGKILL, and nobody runs there any more."""
    name, processes = stubborn
    stop_if_lacking("" if (UNIFIED / name / "cgroup.kill").exists() else "this kernel has no cgroup.kill")
    files = KernelFiles()
    ledger = ActionLedger(tmp_path / "ledger", boot="one", identity=files.identity)
    kills = Kills(find_hierarchy("/", name), files, ledger, lambda: dt.datetime.now(dt.UTC))
    group = f"{name}/besteffort/podu-be"
    for each in processes:
        each.send_signal(signal.SIGTERM)
    assert kills.runs(group)
    assert kills.obstacle(group) == ""
    kills.kill(group, WHY)
    assert [each.wait() for each in processes] == [-signal.SIGKILL] * 2
    until(lambda: not kills.runs(group))
