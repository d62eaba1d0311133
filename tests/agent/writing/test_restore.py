"""What was there before the agent is written back: all of it, one pod's, or what nobody plans any more."""

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import KINDS, World, seed_004
from webhook.agent.plan.settings import Settings


@pytest.mark.parametrize("mode", ["observe", "ignore"])
@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_a_pod_that_may_not_be_written_any_more_is_given_back(tmp_path, version, driver, mode):
    """Within two seconds; from then on its files are other people's, also after a restart of the agent."""
    world = World(tmp_path, version, driver)
    seed_004(world)
    before = world.kernel.snapshot()
    world.rounds()
    during = world.kernel.snapshot()
    world.pods["be"]["metadata"]["annotations"] = {"colocation-webhook.io/agent": mode}
    world.rounds(2)
    for place, text in world.kernel.snapshot().items():
        assert text == (before if place[0].startswith(world.group("be")) else during)[place], place
    given_back = [each for each in world.lines() if each["why"]["rule"] == "restore"]
    assert given_back
    assert all(each["why"]["inputs"] == {"agent": mode} for each in given_back)
    quota = ("cpu.cfs_quota_us", "7000") if version == 1 else ("cpu.max", "7000 100000")
    assert world.kernel.foreign(world.group("be"), *quota)
    world.rounds()
    world.restart()
    world.rounds()
    assert world.kernel.text(world.group("be"), quota[0]) == quota[1]
    world.agent.give_back()
    assert world.kernel.text(world.group("be"), quota[0]) == quota[1]


def test_what_holds_what_was_there_before_is_not_written_and_not_ours(tmp_path):
    """Somebody put it back by hand: a line says so, and what comes to stand there afterwards stays."""
    world = World(tmp_path)
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.rounds()
    group, name = world.group("be"), "cpu.cfs_quota_us"
    world.pods["be"]["metadata"]["annotations"] = {"colocation-webhook.io/agent": "ignore"}
    for each in (world.group("be", "main"), group):
        world.kernel.foreign(each, name, "-1")
    tried = len(world.kernel.writes)
    world.rounds(2)
    path = world.hierarchy.file("cpu", group, name)
    assert path not in [written for written, _ in world.kernel.writes[tried:]]
    line = [each for each in world.lines() if f"{each['path']}/{each['file']}" == path][-1]
    assert (line["old"], line["new"], line["expected"]) == ("-1", "-1", "50000")
    assert path not in world.ledger.originals


def test_what_somebody_else_changed_can_be_left_to_him(tmp_path):
    """As when koordlet comes to the node: the rest is given back, and nothing is ours any more."""
    world = World(tmp_path)
    seed_004(world)
    before = world.kernel.snapshot()
    world.rounds()
    theirs = (world.group("be", "main"), "cpu.cfs_quota_us")
    world.kernel.foreign(*theirs, "7000")
    done = world.agent.give_back(changed=False)
    assert [each[1:] for each in done.foreign] == [("50000", "7000")]
    assert world.kernel.snapshot() == {**before, theirs: "7000"}
    assert world.ledger.originals == {}


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_restoring_leaves_no_difference(tmp_path, version, driver):
    """Every file of every group is as it was before the agent, also after a restart of it."""
    world = World(tmp_path, version, driver)
    seed_004(world)
    before = world.kernel.snapshot()
    world.rounds()
    assert world.kernel.snapshot() != before
    world.restart()
    done = world.agent.give_back()
    assert world.kernel.snapshot() == before
    assert not done.foreign
    assert world.ledger.originals == {}


def test_restoring_one_pod(tmp_path):
    """By name, namespace and name, or uid; what somebody else changed is named, and given back, too."""
    for pod in ("be", "shop/be", "uid-be"):
        world = World(tmp_path / pod.replace("/", "-"))
        seed_004(world)
        before = world.kernel.snapshot()
        world.rounds()
        world.kernel.foreign(world.group("be", "main"), "cpu.cfs_quota_us", "7000")
        during = world.kernel.snapshot()
        done = world.agent.give_back(pod)
        assert [each[1:] for each in done.foreign] == [("50000", "7000")]
        for place, text in world.kernel.snapshot().items():
            assert text == (before if "uid-be" in place[0] else during)[place], place


def test_a_text_that_nobody_understands_keeps_back_only_its_file(tmp_path, caplog):
    """In the ledger, which somebody has edited, or in the file: it is named, and stays in the ledger."""
    world = World(tmp_path)
    seed_004(world)
    before = world.kernel.snapshot()
    world.rounds()
    place = (world.group("be"), "memory.limit_in_bytes")
    path = world.hierarchy.file("memory", *place)
    world.ledger.originals[path] = world.ledger.originals[path]._replace(old="nonsense")
    world.agent.give_back()
    assert world.kernel.snapshot() == {**before, place: "67108864"}
    assert world.ledger.originals.keys() == {path}
    assert f"{path} is not given back" in caplog.text


def test_what_is_not_planned_any_more_is_given_back(tmp_path):
    """Here because cpu.idle was switched off: idle and the quota's shares are as they should be without."""
    world = World(tmp_path)
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.rounds()
    world.settings = Settings(idle=False)
    world.rounds()
    group = world.group("be")
    assert (world.kernel.text(group, "cpu.idle"), world.kernel.text(group, "cpu.shares")) == ("0", "512")
    world.settings = Settings(idle=False, limits=False, cpusets=False)
    world.rounds()
    assert (world.kernel.text(group, "cpu.cfs_quota_us"), world.kernel.text(group, "cpu.shares")) == (
        "-1",
        "2",
    )
