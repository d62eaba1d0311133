"""This machine's kernel, cgroup version 1: online work rises and BE work gives way, by the kernel's counters.

Of the machine's CPU time only that of the test's own groups counts, whatever else runs beside it.
"""

import os
import time

import pytest

from tests.agent.plan.builders import batch
from tests.agent.suppression.world import ON, SuppressedWorld
from tests.agent.worlds.machine import BURN, allowed, remove_group, this_node
from tests.lacking import stop_if_lacking
from webhook.agent.measuring.counters import pressure
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.pods import read_pod
from webhook.agent.suppression.decision import Options

CPUS = len(os.sched_getaffinity(0))
WHOLE = CPUS * 100_000
"""Microseconds of a period that the machine has."""


class Seconds:
    """An agent that looks at real counters each half second, or second, and decides."""

    def __init__(self, world, machine, root, pause=0.5):
        self.world, self.machine, self.stat, self.pause = world, machine, root / "proc/stat", pause
        self.stat.parent.mkdir()
        (root / "proc/meminfo").write_text("MemTotal: 9 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
        self.sampler = Sampler(machine.hierarchy, root)
        world.used = self.sampler
        world.suppressor._sampler = self.sampler

    def second(self):
        """Look, decide, write."""
        time.sleep(self.pause)
        ticks = self.machine.used(self.machine.name) * os.sysconf("SC_CLK_TCK") // 10**9
        lines = "".join(f"cpu{each} 0 0 0 0 0 0 0\n" for each in range(CPUS))
        self.stat.write_text(f"cpu  {ticks} 0 0 0 0 0 0\n{lines}")
        self.sampler.look([read_pod(raw) for raw in self.world.pods.values()])
        before = self.world.decision
        self.world.round()
        state = self.world.suppressor.state
        if state.budget is not None and state.decision.cpus:
            assert len(state.decision.cpus) <= max(1, -(-state.budget.amount // 1000))
        elif state.budget is not None:
            assert state.decision.quota <= max(2000, state.budget.amount * 100)
            if before is not None and before.quota:
                assert state.decision.quota <= max(2000, before.quota + WHOLE // 10)

    def until(self, condition):
        """Go on until something is so."""
        for _ in range(200):
            self.second()
            if condition():
                return
        pytest.fail("the kernel's counters do not come so far: the machine is too busy")


@pytest.fixture
def world(machine, tmp_path):
    """An LS and a BE pod, and an agent that suppresses down to one CPU; its time is the test's."""
    stop_if_lacking("" if CPUS > 1 else "this machine has one CPU")
    made = SuppressedWorld(tmp_path, kernel=machine, node=this_node(), least=1)
    for group in (machine.name, f"{machine.name}/burstable"):
        machine.set(group, "cpu.shares", "20480")  # whatever else runs on this machine
    made.add("ls", "LS")
    made.add("be", "BE", containers=[batch(str(CPUS * 1000), "64Mi")])
    yield made
    made.ledger.close()


def test_cpus(world, machine, tmp_path):
    """Fewer while an online process burns, as many as before when it has ended; the process moves at once."""
    seconds = Seconds(world, machine, tmp_path)
    be = machine.run(world.group("be", "main"), BURN)
    calm = -(-CPUS * 65 // 100)
    seconds.until(lambda: len(allowed(be)) == calm and world.lines())
    online = [machine.run(world.group("ls", "main"), BURN) for _ in range(CPUS)]
    seconds.until(lambda: len(world.cpus("be")) < calm)
    assert allowed(be) == world.cpus("be") == world.decision.cpus
    for each in online:
        each.kill()
        each.wait()
    seconds.until(lambda: len(world.cpus("be")) == calm)
    assert allowed(be) == world.cpus("be")


def test_quota(world, machine, tmp_path):
    """The kernel takes each quota, at pod and container, counts no more, and has the old one afterwards."""
    world.slo(**ON, cpuSuppressPolicy="cfsQuota")
    seconds = Seconds(world, machine, tmp_path)
    be = world.group("be")
    machine.run(world.group("be", "main"), BURN)
    seconds.until(lambda: 0 < world.quota("be") <= WHOLE * 65 // 100)
    online = [machine.run(world.group("ls", "main"), BURN) for _ in range(CPUS)]
    high = world.quota("be")
    seconds.until(lambda: world.quota("be") < high * 3 // 4)
    used, periods, most = machine.used(be), machine.stat(be)["nr_periods"], world.quota("be")
    for _ in range(6):
        seconds.second()
        most = max(most, world.quota("be"))
    periods = machine.stat(be)["nr_periods"] - periods
    assert machine.used(be) - used <= 1.05 * periods * most * 1000 + 2 * high * 1000, "two periods in part"
    for each in online:
        each.kill()
        each.wait()
    seconds.until(lambda: world.quota("be") > high * 9 // 10)
    world.slo(enable=False)
    world.rounds(2)
    assert world.quota("be") == WHOLE
    assert machine.text(world.group("be", "main"), "cpu.cfs_quota_us") == str(WHOLE)


class Pressed:
    """The groups of a pod in version 2 next to version 1, whose kernel counts what its processes wait."""

    def __init__(self, machine, pod, container):
        top = machine.hierarchy.unified
        groups = [machine.name, f"{machine.name}/burstable", pod, container]
        self.machine, self.container, self.folders = machine, container, [top / each for each in groups]
        for each in self.folders:
            each.mkdir()
        self.processes = []

    def burn(self, cpu):
        """Start a process on this CPU that never waits for anything else."""
        process = self.machine.run(self.container, BURN, cpu=cpu)
        (self.folders[-1] / "cgroup.procs").write_text(str(process.pid))
        self.processes.append(process)

    def waited(self):
        """For how many microseconds one of the pod's at least waited for a CPU."""
        path = self.folders[-2] / "cpu.pressure"
        return pressure(path.read_bytes(), str(path)).some

    def close(self):
        """End them and remove the groups."""
        for each in self.processes:
            each.kill()
            each.wait()
        for each in reversed(self.folders):
            remove_group(each)


@pytest.fixture
def pressed(world, machine):
    """The LS pod's."""
    unified = machine.hierarchy.unified
    stop_if_lacking(
        ""
        if unified is not None and (unified / "cpu.pressure").exists()
        else "this kernel counts no pressure"
    )
    made = Pressed(machine, world.group("ls"), world.group("ls", "main"))
    yield made
    made.close()


def test_pressure(world, machine, pressed, tmp_path):
    """Two processes of an online pod want one CPU: BE gives way, whatever its budget; not for its quota."""
    world.slo(**ON, cpuSuppressPolicy="cfsQuota", cpuSuppressThresholdPercent=100)
    world.suppressor.options = Options(1, pressure_percent=20)
    seconds = Seconds(world, machine, tmp_path, pause=1.0)
    for _ in range(2):
        pressed.burn(0)
    seconds.until(lambda: world.lines() and world.quota("be") <= WHOLE // 10)
    state = world.suppressor.state
    assert state.decision.inputs["pressure"].startswith("shop/ls waited ")
    assert state.budget.amount * 100 >= WHOLE // 4, "it could have had this"
    machine.set(world.group("ls", "main"), "cpu.cfs_quota_us", "20000")
    seconds.until(lambda: world.quota("be") >= WHOLE * 6 // 10)
    waited, least = pressed.waited(), WHOLE
    for _ in range(6):
        seconds.second()
        assert "pressure" not in world.decision.inputs
        least = min(least, world.quota("be"))
    assert least >= WHOLE * 6 // 10
    assert pressed.waited() - waited > 0.3 * 6 * 10**6, "it waits as before, for its quota"
