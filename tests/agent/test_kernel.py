"""The reader on this machine's own cgroups: it says what the kernel and the processes themselves say."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.builders import MI, node_pod
from tests.lacking import stop_if_lacking
from tests.waiting import until
from webhook.agent.machine.hierarchy import CONTROLLERS, Hierarchy, find_hierarchy
from webhook.agent.measuring.groupfiles import GroupFiles
from webhook.agent.measuring.keptfile import GoneError
from webhook.agent.measuring.sampler import PODS, SLICES, Sampler
from webhook.protocol import KubeQoS

UID = "uid-web"
BURN = """
import sys, time
held = bytearray(b"x" * (64 << 20))
print("ready", flush=True)
sys.stdin.readline()
end = time.process_time() + 1.0
while time.process_time() < end:
    pass
print(time.process_time(), flush=True)
sys.stdin.readline()
"""


def _tops() -> list[Path]:
    """Return the top folders of this machine's hierarchies that the reader looks into."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    names = [*CONTROLLERS, "unified"]
    return sorted({(top / name).resolve() for name in names if (top / name / "cgroup.procs").exists()})


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    """The groups of a kubelet of this test, with one pod; removed at the end, whatever happened."""
    name = f"colocation-webhook-test-{os.getpid()}"
    groups = [f"{name}/kubepods{below}" for below in ("/burstable", "/besteffort", f"/burstable/pod{UID}")]
    tops = _tops()
    stop_if_lacking("" if tops else "no cgroups are mounted at /sys/fs/cgroup")
    made = []
    try:
        for top in tops:
            for group in groups:
                for folder in [*reversed((top / group).parents), top / group]:
                    if top in folder.parents and not folder.exists():
                        folder.mkdir()
                        made.append(folder)
            if (
                top / name / "cpuset.cpus"
            ).exists():  # a new group of version 1 has no CPU until it is given some
                for folder in [path for path in made if top in path.parents]:
                    for file in ("cpuset.cpus", "cpuset.mems"):
                        (folder / file).write_text((top / file).read_text())
        yield find_hierarchy("/", f"{name}/kubepods")
    except PermissionError as error:
        stop_if_lacking(f"cgroups cannot be made here: {error}")
    finally:
        for folder in reversed(made):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


@contextlib.contextmanager
def _burner(hierarchy: Hierarchy) -> Iterator[subprocess.Popen[str]]:
    """Run a process in the pod's groups, which holds memory and burns a second of CPU, a line for each."""
    group = hierarchy.pod(KubeQoS.BURSTABLE, UID)
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", f"input()\n{BURN}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as burner:
        try:
            for top in _tops():
                (top / group / "cgroup.procs").write_text(str(burner.pid))
            yield burner
        finally:
            burner.kill()
            burner.wait()
            for top in _tops():
                until(lambda top=top: not (top / group / "cgroup.procs").read_text())


def _say(burner: subprocess.Popen[str]) -> None:
    assert burner.stdin is not None
    burner.stdin.write("\n")
    burner.stdin.flush()


def _hear(burner: subprocess.Popen[str]) -> str:
    assert burner.stdout is not None
    return burner.stdout.readline()


def test_what_is_measured_is_what_a_process_used(hierarchy: Hierarchy) -> None:
    """CPU time as the process counts its own, memory as it holds; of pod, class and all pods."""
    sampler = Sampler(hierarchy)
    pods = [node_pod("web", metadata={"uid": UID})]
    with _burner(hierarchy) as burner:
        _say(burner)
        assert _hear(burner) == "ready\n"
        sampler.look(pods)
        before = time.clock_gettime(~burner.pid << 3 | 2)
        _say(burner)
        _hear(burner)
        own = time.clock_gettime(~burner.pid << 3 | 2) - before

        def counted() -> bool:
            for _ in range(SLICES):
                sampler.look(pods)
            return sampler.pods()[UID].memory >= 64 * MI

        until(counted)  # the kernel adds up what each CPU has counted every two seconds
        pod = sampler.pods()[UID]
        scopes = sampler.scopes()
        assert pod.seconds == pytest.approx(own, rel=0.05, abs=0.02)
        assert 64 * MI <= pod.memory <= 96 * MI
        for scope in (PODS, "burstable"):
            assert scopes[scope].seconds == pytest.approx(pod.seconds, rel=0.05)
            assert scopes[scope].memory == pytest.approx(pod.memory, rel=0.1)
        assert scopes["besteffort"].seconds == 0
        assert scopes["node"].seconds >= own * 0.9
        if hierarchy.unified is not None and (hierarchy.unified / "cpu.pressure").exists():
            assert set(pod.pressure) >= {"cpu", "memory"}
        assert sampler.failures == 0
    sampler.forget()


def test_a_group_that_is_made_again_is_read_again(hierarchy: Hierarchy) -> None:
    """The descriptor of the old one says that it is gone; the new one begins at nothing."""
    group = hierarchy.pod(KubeQoS.BURSTABLE, UID)
    files = GroupFiles(hierarchy, group)
    with _burner(hierarchy) as burner:
        _say(burner)
        _hear(burner)
        until(lambda: files.cpu() > 0)
    folders = [top / group for top in _tops()]
    for folder in folders:
        folder.rmdir()
    with pytest.raises(GoneError):
        files.cpu()
    for folder in folders:
        folder.mkdir()
    assert files.cpu() == 0
    files.close()
