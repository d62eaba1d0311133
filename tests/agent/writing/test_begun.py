"""Containers of version 1 below a pod whose CPUs the agent wrote: what is known of them, and given back."""

import errno
from pathlib import Path

import pytest

from tests.agent.worlds.world import World, seed_004

LATE = "f" * 64
"""A container that starts when the agent has written."""


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
def test_a_container_that_began_on_its_pods_cpus_has_those_before_them(tmp_path, driver):
    """In version 1 it begins with what the agent wrote to the pod's group; by itself it would not have.

    A change by somebody else is named as such, also after a restart of the agent.
    """
    world = World(tmp_path, 1, driver)
    seed_004(world)
    world.rounds()
    late = world.kernel.make(world.container(world.group("be"), LATE))
    path = world.hierarchy.file("cpuset", late, "cpuset.cpus")
    assert world.kernel.text(late, "cpuset.cpus") == "2-15"
    tried = len(world.kernel.writes)
    world.rounds(10)
    assert not world.kernel.writes[tried:]
    (line,) = [each for each in world.lines() if f"{each['path']}/{each['file']}" == path]
    assert (line["old"], line["new"], line["why"]["rule"]) == ("0-15", "2-15", "be-pool")
    assert line["why"]["inputs"]["began"] == "on its pod's CPUs"
    world.restart()
    world.rounds()
    for group in (world.group("be"), late):
        world.kernel.foreign(group, "cpuset.cpus", "0-15")
    world.rounds(10)
    line = [each for each in world.lines() if f"{each['path']}/{each['file']}" == path][-1]
    assert (line["old"], line["expected"], line["new"]) == ("0-15", "2-15", "2-15")
    world.agent.give_back()
    assert world.kernel.text(late, "cpuset.cpus") == "0-15"


def test_a_container_that_began_on_its_pods_cpus_while_these_change(tmp_path):
    """What it began with is no choice of anybody's, though it is not what is planned by now."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds()
    late = world.kernel.make(world.container(world.group("be"), LATE))
    world.add("another", "LSE", cpus=2, set_="4-5")
    world.round()
    assert world.kernel.text(late, "cpuset.cpus") == "2-3,6-15"
    world.agent.give_back()
    assert world.kernel.text(late, "cpuset.cpus") == "0-15"


def test_a_container_whose_cpus_were_as_planned_before_keeps_them(tmp_path):
    """Somebody else had given them to it, not to its pod."""
    world = World(tmp_path)
    seed_004(world)
    group = world.group("be", "main")
    assert world.kernel.foreign(group, "cpuset.cpus", "2-15")
    before = world.kernel.snapshot()
    world.rounds()
    assert world.kernel.foreign(group, "cpuset.cpus", "7")
    lines = len(world.lines())
    world.rounds(10)
    (line,) = world.lines()[lines:]
    assert (line["old"], line["expected"], line["new"]) == ("7", "2-15", "2-15")
    world.agent.give_back()
    assert world.kernel.snapshot() == before


@pytest.mark.parametrize("mode", ["observe", "ignore"])
def test_a_container_that_nobody_has_looked_at_is_given_back_with_its_pod(tmp_path, mode):
    """It began a moment before its pod is not the agent's any more, or before the agent ends."""
    for way in ("annotation", "agent"):
        world = World(tmp_path / way)
        seed_004(world)
        before = world.kernel.snapshot()
        world.rounds()
        late = world.kernel.make(world.container(world.group("be"), LATE))
        if way == "annotation":
            world.pods["be"]["metadata"]["annotations"] = {"colocation-webhook.io/agent": mode}
            world.rounds(2)
        else:
            world.agent.give_back("shop/be")
        assert world.kernel.text(late, "cpuset.cpus") == "0-15"
        assert world.kernel.text(world.group("be"), "cpuset.cpus") == "0-15"
        world.agent.give_back()
        assert {at: text for at, text in world.kernel.snapshot().items() if at[0] != late} == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.EIO])
def test_a_container_that_the_agent_wrote_is_not_found_as_planned(tmp_path, number):
    """However long the kernel refuses its pod's set: what the agent wrote nobody else had planned."""
    world = World(tmp_path)
    seed_004(world)
    path = world.hierarchy.file("cpuset", world.group("be"), "cpuset.cpus")
    world.kernel.fault(path, number, times=10**9)
    world.rounds(30)
    lines = len(world.lines())
    world.rounds(60)
    assert world.lines()[lines:] == []
    assert not [each for each in world.lines() if "found" in each["why"]["inputs"]]


@pytest.mark.parametrize("way", ["annotation", "agent"])
@pytest.mark.parametrize("fault", ["busy", "killed"])
def test_a_container_that_nobody_has_looked_at_is_given_back_at_a_later_try(
    tmp_path, monkeypatch, way, fault
):
    """Its own write is busy, or the agent is killed before it: its pod's file says nothing of it any more."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds()
    late = world.kernel.make(world.container(world.group("be"), LATE))
    path, pods = (world.hierarchy.file("cpuset", each, "cpuset.cpus") for each in (late, world.group("be")))

    def give_back():
        if way == "agent":
            world.agent.give_back()
        else:
            world.rounds(12)  # one that starts only observes at first

    if way == "annotation":
        world.pods["be"]["metadata"]["annotations"] = {"colocation-webhook.io/agent": "observe"}
    if fault == "busy":
        world.kernel.fault(path, errno.EBUSY)
        give_back()
    else:
        with monkeypatch.context() as patched:
            patched.setattr(world.kernel, "write", _until(world.kernel.write, path))
            with pytest.raises(RuntimeError, match="killed"):
                give_back()
        assert pods not in world.ledger.originals
        assert world.kernel.text(late, "cpuset.cpus") == "2-15"
        world.restart()
    give_back()
    assert world.kernel.text(late, "cpuset.cpus") == "0-15"
    lines = [each for each in world.lines() if f"{each['path']}/{each['file']}" == path]
    assert [(each["old"], each["new"], each["why"]["rule"]) for each in lines] == [
        ("0-15", "2-15", "be-pool"),
        ("2-15", "0-15", "restore"),
    ]
    assert lines[0]["why"]["inputs"] == {"began": "on its pod's CPUs"}
    assert path not in world.ledger.originals


def _until(write, last):
    """Writes, up to the one to a file."""

    def killed(path, text):
        if path == last:
            raise RuntimeError("killed")
        write(path, text)

    return killed


def test_a_container_that_has_by_itself_what_its_pod_has_is_no_line(tmp_path):
    """There is nothing to give back."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds()
    world.end("lse")
    world.rounds(10)
    late = world.kernel.make(world.container(world.group("be"), LATE))
    assert world.kernel.text(late, "cpuset.cpus") == "0-15"
    world.agent.give_back()
    assert not [each for each in world.lines() if LATE in each["path"]]


def test_a_container_that_vanishes_hides_no_other(tmp_path):
    """Its folder was still there when its pod's was listed."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds()
    late = [world.kernel.make(world.container(world.group("be"), each * 64)) for each in "abc"]
    folder = world.hierarchy.file("cpuset", world.group("be"), "cpuset.cpus").rpartition("/")[0]
    gone = [Path(folder) / f"gone{number}" for number in range(10)]
    for each in gone:
        each.mkdir()
    world.agent.give_back()
    assert [world.kernel.text(each, "cpuset.cpus") for each in late] == ["0-15"] * 3


@pytest.mark.parametrize("restarts", [False, True])
def test_a_container_that_begins_just_before_its_pods_cpus_are_written(tmp_path, monkeypatch, restarts):
    """After its pod was looked at: it has what the agent had written there until then."""
    world = World(tmp_path)
    seed_004(world)
    world.rounds()
    group = world.group("be")
    write, late = world.kernel.write, []

    def begins(path, text):
        if not late and path == world.hierarchy.file("cpuset", group, "cpuset.cpus"):
            late.append(world.kernel.make(world.container(group, LATE)))
        write(path, text)

    monkeypatch.setattr(world.kernel, "write", begins)
    world.end("lsr")
    world.end("lse")
    world.add("another", "LSE", cpus=2, set_="4-5")
    world.rounds(2)
    assert world.kernel.text(*late, "cpuset.cpus") == "0-3,6-15"
    if restarts:
        world.restart()
    world.agent.give_back()
    assert world.kernel.text(*late, "cpuset.cpus") == "0-15"
