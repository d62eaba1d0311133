"""What the kernel answers to a write decides when it is tried again."""

import errno
import os

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import World, seed_004, sets
from webhook.agent.plan.target import Why
from webhook.agent.writing.begun import unwritten
from webhook.agent.writing.order import ordered
from webhook.agent.writing.writer import Outcome


@pytest.mark.parametrize(
    ("number", "outcome", "tries"),
    [
        (errno.EBUSY, Outcome.BUSY, 5),
        (errno.EINVAL, Outcome.REFUSED, 1),
        (errno.EPERM, Outcome.REFUSED, 1),
        (errno.EOPNOTSUPP, Outcome.REFUSED, 1),
    ],
)
def test_what_the_kernel_refuses_is_never_a_loop(tmp_path, number, outcome, tries):
    """One report and another try after ten minutes; what is busy is tried five times before that."""
    world = World(tmp_path)
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.rounds(10)
    path = world.hierarchy.file("memory", world.group("be", "main"), "memory.limit_in_bytes")
    world.kernel.fault(path, number, times=10**9)
    reports = [world.round() for _ in range(300)]
    attempts = [each for each in world.kernel.writes if each[0] == path]
    assert len(attempts) == tries
    assert reports[0].written.counts[outcome] == 1
    refusals = [refusal for each in reports for refusal in each.written.refusals]
    assert [(each.file, each.pod) for each in refusals] == [("memory.limit_in_bytes", "shop/be")]
    world.time += 600
    world.rounds(10)
    assert len([each for each in world.kernel.writes if each[0] == path]) > tries
    assert world.kernel.text(world.group("be"), "memory.limit_in_bytes") == "67108864"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM])
def test_nothing_is_remembered_of_files_that_are_gone(tmp_path, number):
    """Neither that one was busy, nor, ten minutes later, that it was refused: pods come and go for years."""
    world = World(tmp_path)
    seed_004(world)
    world.add("gone", "BE", containers=[batch("500", "64Mi")])
    world.rounds(10)
    path = world.hierarchy.file("memory", world.group("gone", "main"), "memory.limit_in_bytes")
    world.kernel.fault(path, number, times=10**9)
    world.rounds(3)
    writer = world.agent._writer
    assert {*writer._busy, *writer._until} == {path}
    world.end("gone")
    world.time += 600
    world.add("next", "BE", containers=[batch("500", "64Mi")])
    world.rounds(3)
    assert {*writer._busy, *writer._until} == set()


def test_what_only_the_ledger_is_to_know_is_never_written(tmp_path):
    """Somebody has changed the file since it was looked at: there is no line, either."""
    world = World(tmp_path)
    group = world.add("be", "BE")
    path = world.hierarchy.file("cpuset", group, "cpuset.cpus")
    known = unwritten(path, "0-15", "0-7", Why("be-pool", "shop/be", {}))
    world.kernel.foreign(world.group("be", "main"), "cpuset.cpus", "7")
    world.kernel.foreign(world.group("be", ""), "cpuset.cpus", "7")
    assert world.kernel.foreign(group, "cpuset.cpus", "7")
    world.agent._writer.apply(ordered([known]))
    assert (world.kernel.writes, world.lines()) == ([], [])
    assert world.kernel.foreign(group, "cpuset.cpus", "0-15")
    world.agent._writer.apply(ordered([known]))
    assert world.kernel.writes == []
    assert [(each["old"], each["new"]) for each in world.lines()] == [("0-7", "0-15")]


def test_the_cgroup_in_which_the_agent_is(tmp_path):
    """The kernel refuses it from within (``nsdelegate``): tried once, said once, and nobody's refusal."""
    world = World(tmp_path, 2)
    seed_004(world)
    world.add("agent", "", kube="BestEffort")
    own, other = world.group("agent", "main"), world.group("ls", "main")
    for group, processes in ((own, f"0\n{os.getpid()}"), (other, "0\n0")):
        world.kernel.texts[group]["cgroup.procs"] = processes
        world.kernel.fault(f"{group}/cpuset.cpus", errno.EPERM, times=10**9)
    world.rounds(10)
    reports = [world.round() for _ in range(700)]
    tried = [path for path, _ in world.kernel.writes if path.endswith(f"{own}/cpuset.cpus")]
    assert len(tried) == 1
    refusals = [each for report in reports for each in report.written.refusals]
    assert {each.pod for each in refusals} == {"shop/ls"}
    assert [each for each in reports[-1].differences if own in each.path] == []
    (problem,) = reports[-1].problems
    assert f"{own}: this is the agent's own container" in problem
    assert world.kernel.text(world.group("agent"), "cpuset.cpus") == "2-15"


def test_a_read_only_mount_stops_all_writes(tmp_path):
    """And the round says so; after ten minutes one write is tried."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds(10)
    world.kernel.fault("", errno.EROFS, times=10**9)
    done = world.rounds(100)
    assert len(world.kernel.writes) == 1
    assert "read-only" in done.stopped
    assert world.lines() == []


def test_pods_that_vanish_between_list_and_write(tmp_path):
    """Their files are gone: nothing else happens."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds(10)
    raw = world.pods["be"]
    world.end("be")
    world.pods["be"] = raw
    done = world.rounds(15)
    assert not done.written.refusals
    assert sets_but(world, "be") == {
        "lse": "0-1", "lsr": "2-3", "ls": "4-15", "plain": "2-15",
    }  # fmt: skip


def sets_but(world, gone):
    """The sets of all pods but one."""
    raw = world.pods.pop(gone)
    found = sets(world)
    world.pods[gone] = raw
    return found


def test_memory_in_use_is_not_killed_for_a_limit(tmp_path):
    """Version 2 would: what can be reclaimed is reclaimed first, and version 1 answers EBUSY."""
    world = World(tmp_path, 2)
    world.add("be", "BE", containers=[batch("500", "1Mi")])
    group = world.group("be", "main")
    world.kernel.used[group] = 2**30
    world.kernel.texts[group]["memory.current"] = str(2**30)
    world.rounds()
    assert not world.kernel.killed
    assert world.kernel.text(group, "memory.max") == str(2**20)
