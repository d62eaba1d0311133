"""This machine's kernel, cgroup version 1: a throttled pod gets more, by the kernel's own counters and files.

Of the machine's CPU time only that of the test's own groups counts, whatever else runs beside it.
"""

import os
import time

import pytest

from tests.agent.bursting.world import BurstWorld, container
from tests.agent.worlds.machine import BURN, this_node
from webhook.agent.measuring.sampler import Sampler
from webhook.agent.measuring.throttling import Throttling
from webhook.agent.pods import read_pod

CPUS = len(os.sched_getaffinity(0))
BASE = 20_000
"""Microseconds of a period: the limit of 200m."""


class Seconds:
    """An agent that looks at real counters each half second, and decides."""

    def __init__(self, world, machine, root):
        self.world, self.machine, self.stat = world, machine, root / "proc/stat"
        self.stat.parent.mkdir()
        (root / "proc/meminfo").write_text("MemTotal: 9 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
        self.sampler = world.burster._sampler = Sampler(machine.hierarchy, root)
        world.burster.throttling = Throttling(machine.hierarchy, time.monotonic)

    def second(self):
        """Look, decide, write; what stands afterwards at pod and container."""
        time.sleep(0.5)
        ticks = self.machine.used(self.machine.name) * os.sysconf("SC_CLK_TCK") // 10**9
        lines = "".join(f"cpu{each} 0 0 0 0 0 0 0\n" for each in range(CPUS))
        self.stat.write_text(f"cpu  {ticks} 0 0 0 0 0 0\n{lines}")
        self.sampler.look([read_pod(raw) for raw in self.world.pods.values()])
        before = self.world.quota("web", "main")
        done = self.world.round()
        assert not done.written.refusals
        whole, main = self.world.quotas("web")
        assert whole == main
        assert before * 4 // 5 <= main <= before * 6 // 5
        return main

    def until(self, condition):
        """Go on until something is so."""
        for _ in range(200):
            if condition(self.second()):
                return
        pytest.fail("the kernel's counters do not come so far: the machine is too busy")


@pytest.fixture
def world(machine, tmp_path):
    """A pod of a fifth of a CPU, and another one, on a machine of which others use nothing."""
    made = BurstWorld(tmp_path, kernel=machine, node=this_node(), slo={"sharePoolThresholdPercent": 60})
    for group in (machine.name, f"{machine.name}/burstable"):
        machine.set(group, "cpu.shares", "20480")  # whatever else runs on this machine
    made.add("web", containers=[container("200m")])
    made.add("other", containers=[container()])
    made.rounds()
    yield made
    made.ledger.close()


def test_a_throttled_pod_gets_more_while_nobody_needs_it(world, machine, tmp_path):
    """Up to twice its limit, which it uses; an online pod that needs the CPUs brings it down to its limit."""
    world.slo(cfsQuotaBurstPercent=200, sharePoolThresholdPercent=60)
    seconds, group = Seconds(world, machine, tmp_path), world.group("web", "main")
    before = machine.snapshot()
    machine.run(group, BURN)
    seconds.until(lambda quota: quota == 2 * BASE)
    used, periods = machine.used(group), machine.stat(group)["nr_periods"]
    seconds.until(lambda _: machine.stat(group)["nr_periods"] >= periods + 20)
    used, periods = machine.used(group) - used, machine.stat(group)["nr_periods"] - periods
    assert used > 1.3 * BASE * 1000 * periods, "more than its limit"
    assert used <= 1.05 * 2 * BASE * 1000 * periods + 2 * 2 * BASE * 1000, "two periods in part"
    others = [machine.run(world.group("other", "main"), BURN) for _ in range(CPUS)]
    seconds.until(lambda quota: quota == BASE)
    assert machine.snapshot() == before
    for each in others:
        each.kill()
        each.wait()
    seconds.until(lambda quota: quota > BASE)
    world.agent.give_back()
    assert machine.snapshot() == before
