"""Sequences of pods, counters and faults: nothing is lost, invented or crashed."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.builders import node_pod
from webhook.agent.machine.hierarchy import Driver, Hierarchy
from webhook.agent.measuring.keptfile import GoneError, KeptFile
from webhook.agent.measuring.sampler import Sampler

CPUS = 4
NAMES = ("a", "b", "c")
FILES = ("cpuacct.usage", "memory.stat", "stat", "meminfo")
TOP = Path("/made-up")
MOUNTS = {name: TOP / name for name in ("cpu", "cpuacct", "cpuset", "memory")}
HIERARCHY = Hierarchy(1, Driver.CGROUPFS, MOUNTS, None, "kubepods")

EVENTS = st.one_of(
    st.tuples(st.just("work"), st.sampled_from(NAMES), st.floats(0, CPUS / 4)),
    st.tuples(st.just("start"), st.sampled_from(NAMES), st.just(0.0)),
    st.tuples(st.just("vanish"), st.sampled_from(NAMES), st.just(0.0)),
    st.tuples(st.just("recycle"), st.sampled_from(NAMES), st.floats(0, 1e6)),
    st.tuples(st.sampled_from(("refuse", "garble")), st.sampled_from(FILES), st.just(0.0)),
    st.tuples(st.just("wait"), st.just(""), st.floats(0, 100)),
)


@dataclass
class Kernel:
    """What the files of a node would hold, and how much each pod really worked.

    Attributes:
        groups: CPU seconds by pod, of the groups that exist.
        worked: CPU seconds that pods used while they were watched.
    """

    now: float = 1000.0
    total: float = 0.0
    of_pods: float = 0.0
    groups: dict[str, float] = field(default_factory=dict)
    worked: float = 0.0
    refused: str = ""
    garbled: str = ""

    def read(self, path: str) -> bytes:
        """Return a file's content, as KeptFile does."""
        name = path.rpartition("/")[2]
        if name == self.refused:
            raise OSError(errno.EACCES, "Permission denied", path)
        if name == self.garbled:
            return b"\xffnonsense"
        if name == "stat":
            lines = "".join(f"cpu{i} 0 0 0 0 0 0 0\n" for i in range(CPUS))
            return f"cpu  {int(self.total * 100)} 0 0 0 0 0 0\n{lines}".encode()
        if name == "meminfo":
            return b"MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\n"
        if "pressure" in name:
            raise GoneError(errno.ENOENT, "No such file", path)
        seconds = self.of_pods
        if "poduid-" in path:
            pod = path.split("poduid-")[1][0]
            if pod not in self.groups:
                raise GoneError(errno.ENODEV, "No such device", path)
            seconds = self.groups[pod]
        if name == "memory.stat":
            return b"total_inactive_anon 0\ntotal_active_anon 1024\ntotal_unevictable 0\n"
        return f"{int(seconds * 10**9)}\n".encode()

    def happen(self, event: tuple[str, str, float]) -> None:
        """Let something happen in the second before the next look."""
        what, name, amount = event
        self.refused = self.garbled = ""
        self.now += 1.0
        if what == "work" and name in self.groups:
            for counter in ("total", "of_pods", "worked"):
                setattr(self, counter, getattr(self, counter) + amount)
            self.groups[name] += amount
        elif what == "start":
            self.groups.setdefault(name, 0.0)
        elif what == "vanish":
            self.groups.pop(name, None)
        elif what == "recycle" and name in self.groups:
            self.groups[name] = amount
        elif what == "refuse":
            self.refused = name
        elif what == "garble":
            self.garbled = name
        elif what == "wait":
            self.now += amount


@settings(max_examples=150)
@given(st.lists(EVENTS, max_size=60))
def test_no_sequence_of_faults_makes_figures_that_no_pod_used(events: list[tuple[str, str, float]]) -> None:
    """Each figure is within what the machine has; what pods used is never counted twice."""
    kernel = Kernel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptFile, "read", lambda self: kernel.read(self.path))
        sampler = Sampler(HIERARCHY, TOP, lambda: kernel.now)
        pods = [node_pod(name) for name in NAMES]
        for event in events:
            kernel.happen(event)
            sampler.look(pods)
            last = sampler.node.last
            if last is not None:
                for use in last[1:]:
                    assert 0 <= use.cpu <= CPUS * 1.2
                    assert 0 <= use.memory <= 1000 * 1024
            for totals in sampler.scopes().values():
                assert totals.seconds >= 0
            for pod in pods:
                use = sampler.pod(pod.uid, 300)
                assert use is None or 0 <= use.cpu <= CPUS * 1.2
        measured = sum(totals.seconds for totals in sampler.pods().values())
        recycled = sum(1 for what, *_ in events if what == "recycle") * CPUS * 1.2 * 101
        assert measured <= kernel.worked + recycled + 1e-6


@given(st.lists(st.floats(0, CPUS), min_size=2, max_size=40))
def test_without_faults_all_work_is_counted(works: list[float]) -> None:
    """From the first look on, to the nanosecond."""
    kernel = Kernel(groups={"a": 5.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptFile, "read", lambda self: kernel.read(self.path))
        sampler = Sampler(HIERARCHY, TOP, lambda: kernel.now)
        sampler.look([node_pod("a")])
        for work in works:
            kernel.happen(("work", "a", work))
            sampler.look([node_pod("a")])
    assert sampler.pods()["uid-a"].seconds == pytest.approx(sum(works), abs=1e-6)
