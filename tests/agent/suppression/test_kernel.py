"""This machine's kernel, cgroup version 1: online work rises and BE work gives way, by the kernel's counters.

Of the machine's CPU time only that of the test's own groups counts, whatever else runs beside it.
"""

import os
import time

import pytest

from tests.agent.plan.builders import batch
from tests.agent.suppression.world import ON, SuppressedWorld
from tests.agent.worlds.machine import BURN, allowed, this_node
from tests.lacking import stop_if_lacking
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.pods import read_pod

CPUS = len(os.sched_getaffinity(0))
WHOLE = CPUS * 100_000
"""Microseconds of a period that the machine has."""


class Seconds:
    """An agent that looks at real counters each half second, and decides."""

    def __init__(self, world, machine, root):
        self.world, self.machine, self.stat = world, machine, root / "proc/stat"
        self.stat.parent.mkdir()
        (root / "proc/meminfo").write_text("MemTotal: 9 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
        self.sampler = Sampler(machine.hierarchy, root)
        world.used = self.sampler
        world.suppressor._sampler = self.sampler

    def second(self):
        """Look, decide, write."""
        time.sleep(0.5)
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
