"""This machine's kernel, cgroup version 1: processes get what is planned, by the kernel's own counters."""

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.plan.builders import batch
from tests.agent.worlds.kernel import FakeKernel
from tests.agent.worlds.machine import ALLOCATE, BURN, TOP, Machine, allowed, ended_by, lacking, this_node
from tests.agent.worlds.world import World
from tests.lacking import stop_if_lacking
from webhook.agent.plan.settings import Settings
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.slo.nodeslo import read_nodeslo

MIB = 2**20
PEAKS = """
import time
while True:
    end = time.process_time() + 0.03
    while time.process_time() < end:
        pass
    time.sleep(0.3)
"""


@pytest.fixture
def world(machine, tmp_path):
    """An agent that enforces there; time is the test's."""
    made = World(tmp_path, kernel=machine, node=this_node())
    yield made
    made.ledger.close()


def wait_for(condition):
    """Wait until a counter of the kernel has come so far."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("the kernel's counter did not move: the machine is too busy")


def test_a_quota_throttles(world, machine):
    """A pod of batch-cpu 200 gets its quota in each period, no more, and not less than there was to get."""
    world.settings = Settings(idle=False)
    world.add("be", "BE", containers=[batch("200", "64Mi")])
    world.add("twin", "BE")
    world.rounds()
    limited, twin = world.group("be", "main"), world.group("twin", "main")
    for group in (machine.name, f"{machine.name}/besteffort"):
        machine.set(group, "cpu.shares", "20480")  # whatever else runs on this machine
    machine.run(limited, BURN)
    machine.run(twin, BURN)
    wait_for(lambda: machine.stat(limited)["nr_throttled"] > 2)
    at = machine.stat(limited), machine.used(limited), machine.used(twin)
    wait_for(lambda: machine.stat(limited)["nr_periods"] >= at[0]["nr_periods"] + 30)
    stat, mine, others = machine.stat(limited), machine.used(limited) - at[1], machine.used(twin) - at[2]
    periods = stat["nr_periods"] - at[0]["nr_periods"]
    quota = periods * 20_000_000  # nanoseconds: 20 ms of each period
    assert stat["nr_throttled"] > at[0]["nr_throttled"]
    assert mine <= 1.05 * quota + 20_000_000, "one period is counted in part"
    assert mine >= 0.85 * min(quota - 20_000_000, others)


def test_a_burst_of_what_was_not_used(world, machine):
    """The kernel takes it next to the kubelet's quota, and lets a pod that was quiet exceed that."""
    name = "cpu.cfs_burst_us"
    stop_if_lacking("" if (TOP / "cpu" / machine.name / name).exists() else f"this kernel has no {name}")
    world.settings = Settings(slo=read_nodeslo({"cpuBurstStrategy": {"policy": "cpuBurstOnly"}}))
    world.add("ls", "LS", containers=[{"name": "main", "resources": {"limits": {"cpu": "200m"}}}])
    groups = world.group("ls"), world.group("ls", "main")
    for group in groups:
        machine.set(group, "cpu.cfs_quota_us", "20000")
    world.rounds()
    assert [machine.text(group, name) for group in groups] == ["20000", "20000"]
    machine.run(groups[1], PEAKS)
    wait_for(lambda: machine.stat(groups[1])["nr_bursts"] > 0)
    world.settings = Settings()
    world.rounds()
    assert [machine.text(group, name) for group in groups] == ["0", "0"]


def test_an_idle_pod_gets_what_is_left(world, machine):
    """On one CPU with a busy twin: at most a twentieth of what the twin gets."""
    stop_if_lacking("" if (TOP / "cpu/cpu.idle").exists() else "this kernel has no cpu.idle")
    world.add("be", "BE", containers=[batch("2000", None)])
    world.add("ls", "LS")
    world.rounds()
    idle, twin = world.group("be", "main"), world.group("ls", "main")
    cpu = min(os.sched_getaffinity(0))
    machine.run(twin, BURN, cpu=cpu)
    machine.run(idle, BURN, cpu=cpu)
    wait_for(lambda: machine.used(twin) > 3e8)
    at = machine.used(idle), machine.used(twin)
    wait_for(lambda: machine.used(twin) - at[1] > 2e9)
    assert machine.used(idle) - at[0] <= 0.05 * (machine.used(twin) - at[1])


def test_processes_are_where_the_status_says(world, machine):
    """An LSE pod is alone on its CPU; running processes of the others move off it."""
    stop_if_lacking("" if world.node.cpu_topology.size > 1 else "this machine has one CPU")
    first, *rest = sorted(place.cpu for place in world.node.cpu_topology.places)
    world.add("ls", "LS")
    world.add("be", "BE")
    running = {name: machine.run(world.group(name, "main"), BURN) for name in ("ls", "be")}
    world.rounds()
    world.add("lse", "LSE", cpus=1, set_=str(first))
    running["lse"] = machine.run(world.group("lse", "main"), BURN)
    world.rounds(2)
    shared = frozenset(rest)
    found = {name: allowed(process) for name, process in running.items()}
    assert found == {"lse": {first}, "ls": shared, "be": shared}


def test_beyond_its_limit_of_memory_a_process_is_killed(world, machine):
    """And one that stays below lives on until its end."""
    world.add("be", "BE", containers=[batch("1000", "48Mi")])
    world.rounds()
    group = world.group("be", "main")
    assert machine.run(group, ALLOCATE, "8").wait() == 0
    assert ended_by(machine.run(group, ALLOCATE, "400")) is signal.SIGKILL


def test_every_file_is_right_again_and_restored(world, machine):
    """Each file that the agent owns is changed behind its back; in the end nothing differs from before."""
    world.add("lse", "LSE", cpus=1, set_="0")
    world.add("ls", "LS")
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.add("mid", "LS", kube="BestEffort", containers=[batch("500", "64Mi", kind="mid")])
    before = machine.snapshot()
    world.rounds()
    others = {
        "cpuset.cpus": ["0", "1", "0-1"],
        "cpu.cfs_quota_us": ["-1", "7000", "90000"],
        "cpu.idle": ["0", "1"],
        "cpu.shares": ["300", "2"],
        "memory.limit_in_bytes": ["-1", str(9 * MIB)],
    }
    tried = set()
    owned = sorted(world.ledger.originals)
    for path in owned:
        folder, _, name = path.rpartition("/")
        group = folder.partition(f"/sys/fs/cgroup/{name.partition('.')[0]}/")[2]
        for value in others[name]:
            right = machine.text(group, name)
            if not machine.foreign(group, name, value) or machine.text(group, name) == right:
                continue
            tried.add(name)
            found = machine.text(group, name)
            lines = len(world.lines())
            world.rounds(10)
            assert machine.text(group, name) == right, (path, value)
            line = next(
                each for each in world.lines()[lines:] if each["path"] == folder and each["file"] == name
            )
            assert (line["old"], line["expected"]) == (found, right)
    assert tried == {Path(path).name for path in owned} - ({"cpu.shares"} - tried)
    world.agent.give_back()
    assert machine.snapshot() == before


@pytest.mark.parametrize("mode", ["ignore", "observe"])
def test_a_pod_that_is_the_agents_no_more_is_as_before(world, machine, mode):
    """Each setting, shares that an idle group resets among them; without the annotation all stands again."""
    world.add("lse", "LSE", cpus=1, set_="0")
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    before = machine.snapshot()
    world.rounds()
    after = machine.snapshot()
    annotations = {name: dict(raw["metadata"]["annotations"]) for name, raw in world.pods.items()}
    for raw in world.pods.values():
        raw["metadata"]["annotations"]["colocation-webhook.io/agent"] = mode
    world.rounds(2)
    assert machine.snapshot() == before
    assert world.ledger.originals == {}
    for name, raw in world.pods.items():
        raw["metadata"]["annotations"] = annotations[name]
    world.rounds(2)
    assert machine.snapshot() == after
    world.agent.give_back(changed=False)
    assert machine.snapshot() == before


WRITES = st.one_of(
    st.tuples(st.just("cpuset.cpus"), st.sampled_from(["the first", "the last", "all", "none there is"])),
    st.tuples(st.just("cpu.cfs_quota_us"), st.sampled_from(["-1", "500", "5000", "50000", "200000"])),
    st.tuples(st.just("cpu.cfs_period_us"), st.sampled_from(["50000", "100000", "500"])),
    st.tuples(st.just("cpu.idle"), st.sampled_from(["0", "1", "2"])),
    st.tuples(st.just("cpu.shares"), st.sampled_from(["1", "2", "512", "300000"])),
    st.tuples(st.just("memory.limit_in_bytes"), st.sampled_from(["-1", "5000000", "67108864"])),
)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), WRITES), min_size=1, max_size=12))
def test_the_model_of_the_kernel_refuses_what_the_kernel_refuses(tmp_path_factory, writes):
    """The kernel in memory, on which other tests rely, answers as this one: the same values and errors."""
    stop_if_lacking(lacking())
    cpus = sorted(parse_cpulist((TOP / "cpuset/cpuset.cpus").read_text()))
    possible = parse_cpulist(Path("/sys/devices/system/cpu/possible").read_text())
    lists = {
        "the first": str(cpus[0]),
        "the last": str(cpus[-1]),
        "all": format_cpulist(cpus),
        "none there is": str(max(possible) + 1),
    }
    real, model = Machine(), FakeKernel(tmp_path_factory.mktemp("k"), cpus=cpus)
    try:
        pod, container = "besteffort/podx", f"besteffort/podx/{'a' * 64}"
        groups = ["besteffort/podx", container, f"besteffort/podx/{'b' * 64}"]
        for each in (pod, *groups[1:]):
            real.make(f"{real.name}/{each}")
            model.make(f"kubepods/{each}")
        for number, (name, drawn) in writes:
            text = lists[drawn] if name == "cpuset.cpus" else drawn
            answers = []
            for kernel, top in ((real.set, real.name), (model._set, "kubepods")):
                try:
                    kernel(f"{top}/{groups[number]}", name, text)
                except OSError as error:
                    answers.append(error.errno)
                else:
                    answers.append(0)
            assert answers[0] == answers[1], (name, text)
        for each in groups:
            for name in (
                "cpuset.cpus",
                "cpu.cfs_quota_us",
                "cpu.idle",
                "cpu.shares",
                "memory.limit_in_bytes",
            ):
                assert real.text(f"{real.name}/{each}", name) == model.text(f"kubepods/{each}", name)
    finally:
        real.close()
