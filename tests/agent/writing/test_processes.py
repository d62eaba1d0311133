"""Processes of this machine, found by their cgroups, get what is planned, and get back what they had."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.agent.worlds.kernel import FakeKernel
from tests.agent.worlds.world import World
from tests.lacking import stop_if_lacking
from tests.waiting import until
from webhook.agent.plan.target import Knob
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.processes import AGAIN_SECONDS, Processes
from webhook.agent.writing.reconciler import Reconciler

BOTH = frozenset({Knob.OOM_SCORE_ADJ, Knob.NICE})
KEY = "koordinator.sh/oom-score-adj"
WAIT = "import threading; threading.Thread(target=threading.Event().wait).start()"


class Mixed(FakeKernel):
    """Cgroups in memory, processes of this machine."""

    real = KernelFiles()

    def read(self, path):
        """What it holds."""
        return self.real.read(path) if "/proc/" in path else super().read(path)

    def write(self, path, text):
        """Write it."""
        (self.real.write if "/proc/" in path else super().write)(path, text)

    def identity(self, path):
        """Which group or process it is of."""
        return self.real.identity(path) if "/proc/" in path else super().identity(path)


def threads(process):
    """Their ids."""
    return [int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()]


@pytest.fixture
def process():
    """One with two threads; its own, so that what is set ends with it."""
    with subprocess.Popen([sys.executable, "-c", WAIT]) as running:  # noqa: S603 — our own code
        until(lambda: len(threads(running)) == 2)
        yield running
        running.kill()


def node(root, process, **settings):
    """A node with an LS pod, in whose container this process is said to be."""
    world = World(root, kernel=Mixed(root / "host"))
    world.files = world.kernel
    world.restart()
    world.add("web", "LS", annotations={KEY: "300"})
    number = world.group("web", "main").rpartition("/")[2]
    proc = root / "host/proc"
    (proc / "self").mkdir(parents=True)
    (proc / str(process.pid)).symlink_to(f"/proc/{process.pid}")
    world.settings = dataclasses.replace(world.settings, **settings)
    found = Processes(proc, world.settings.for_processes, lambda: world.time)
    found._look = lambda: {number: [f"/proc/{process.pid}"]}
    world.agent = Reconciler(
        world.hierarchy,
        world.kernel,
        world.ledger,
        enforce=True,
        processes=found,
        clock=lambda: world.time,
    )
    return world


def nice(process):
    """The nice values of its threads."""
    return {os.getpriority(os.PRIO_PROCESS, each) for each in threads(process)}


def score(process):
    """Its oom_score_adj."""
    return int(KernelFiles().read(f"/proc/{process.pid}/oom_score_adj"))


def test_what_is_planned_holds_and_is_given_back(tmp_path, process):
    """For each thread; a foreign change is right again; the ledger names them."""
    before = score(process), nice(process)
    wanted = 4 if before[1] == {3} else 3
    world = node(tmp_path, process, oom_score_adj=True, nice={"LS": wanted})
    world.rounds()
    assert (score(process), nice(process)) == (300, {wanted})
    KernelFiles().write(f"/proc/{process.pid}/oom_score_adj", "400")
    world.rounds(10)
    assert score(process) == 300
    assert {line["file"] for line in world.lines() if "/proc/" in line["path"]} == {"oom_score_adj", "nice"}
    os.setpriority(os.PRIO_PROCESS, process.pid, wanted)
    if os.geteuid() == 0:  # others may not lower it
        world.agent.give_back()
        assert (score(process), nice(process)) == before


@pytest.mark.parametrize("mode", ["ignore", "observe"])
def test_a_pod_that_is_the_agents_no_more_has_its_score_back(tmp_path, process, mode):
    """And the next score that somebody gives it is his; without the annotation the agent's holds again."""
    world = node(tmp_path, process, oom_score_adj=True)
    before = score(process)
    world.rounds()
    annotations = world.pods["web"]["metadata"]["annotations"]
    annotations["colocation-webhook.io/agent"] = mode
    world.rounds(2)
    assert score(process) == before
    assert world.lines()[-1]["why"]["inputs"] == {"agent": mode}
    KernelFiles().write(f"/proc/{process.pid}/oom_score_adj", "400")
    world.rounds()
    assert score(process) == 400
    del annotations["colocation-webhook.io/agent"]
    world.rounds(2)
    assert score(process) == 300


def test_a_pod_that_asks_for_nothing_any_more_has_its_nice_values_back(tmp_path, process):
    """Of each thread; only what the agent has the right to is tried."""
    stop_if_lacking("" if os.geteuid() == 0 else "only root may lower a nice value")
    world = node(tmp_path, process, oom_score_adj=True, nice={"LS": 3})
    before = score(process), nice(process)
    world.rounds()
    world.pods["web"]["metadata"]["annotations"].clear()
    world.pods["web"]["metadata"]["labels"]["koordinator.sh/qosClass"] = "LSR"
    world.rounds(2)
    assert (score(process), nice(process)) == before


def test_where_nothing_is_switched_on_nothing_is_touched(tmp_path, process):
    """Although the pod has the annotation."""
    world = node(tmp_path, process)
    before = score(process), nice(process)
    world.rounds()
    assert (score(process), nice(process)) == before


def test_a_process_that_ends(tmp_path, process):
    """It is passed over in silence: no refusal, no finding."""
    world = node(tmp_path, process, oom_score_adj=True, nice={"LS": 3})
    process.kill()
    process.wait()
    done = [world.round() for _ in range(22)]
    assert not [refusal for each in done for refusal in each.written.refusals]


def test_another_process_of_the_same_number_is_another_one():
    """What tells them apart is when they were started."""
    files, path = KernelFiles(), f"/proc/{os.getpid()}/oom_score_adj"
    own = files.identity(path)
    assert own == files.identity(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/nice")
    with subprocess.Popen([sys.executable, "-c", WAIT]) as other:  # noqa: S603 — our own code
        assert files.identity(f"/proc/{other.pid}/oom_score_adj") > own
        other.kill()


def test_processes_by_their_cgroups(tmp_path):
    """By the id in the path of any hierarchy; looked for again after some seconds."""
    now = [0.0]
    number = "a1" * 32
    for pid, group in (("7", f"kubepods/pod-x/{number}"), ("8", "user.slice"), ("x", "none")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cgroup").write_text(f"4:cpu:/{group}\n3:memory:/{group}\n")
    for thread in ("7", "9"):
        (tmp_path / "7/task" / thread).mkdir(parents=True)
    found = Processes(tmp_path, BOTH, lambda: now[0])
    assert found.paths(number, Knob.OOM_SCORE_ADJ) == [f"{tmp_path}/7/oom_score_adj"]
    wanted = {f"{tmp_path}/7/task/{thread}/nice" for thread in ("7", "9")}
    assert set(found.paths(number, Knob.NICE)) == wanted
    (tmp_path / "8/cgroup").write_text(f"0::/../{number}.scope\n")
    assert len(found.paths(number, Knob.OOM_SCORE_ADJ)) == 1
    now[0] += AGAIN_SECONDS
    assert len(found.paths(number, Knob.OOM_SCORE_ADJ)) == 2
    assert Processes(tmp_path / "nowhere", BOTH).paths(number, Knob.NICE) == []
