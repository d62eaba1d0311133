"""Round by round: cgroups come to the plan, and stay there whatever others do."""

import errno

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import KINDS, World, seed_004, sets
from webhook.agent.plan.target import Knob
from webhook.agent.writing import reconciler
from webhook.agent.writing.files import file_of, parse


def hold(world):
    """Whether every file of every pod holds what is planned."""
    plan = world.round().plan
    comparison = world.agent._comparison
    return not [each for pod in plan.pods for each in comparison.differences(pod)]


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_the_four_classes_of_seed_004(tmp_path, version, driver):
    """LSE 0-1, LSR 2-3, LS 4-15, BE all but LSE's, and limits of batch resources, at pod and container."""
    world = World(tmp_path, version, driver)
    seed_004(world)
    world.rounds()
    assert sets(world) == {"lse": "0-1", "lsr": "2-3", "ls": "4-15", "be": "2-15", "plain": "2-15"}
    for name in world.pods:
        assert world.kernel.text(world.group(name, ""), "cpuset.cpus") == sets(world)[name], "its sandbox"
    for group in (world.group("be"), world.group("be", "main")):
        texts = world.kernel.texts[group]
        if version == 1:
            assert texts["cpu.cfs_quota_us"] == "50000"
            assert texts["memory.limit_in_bytes"] == "67108864"
        else:
            assert texts["cpu.max"] == "50000 100000"
            assert texts["memory.max"] == "67108864"
    assert world.kernel.text(world.group("be"), "cpu.idle") == "1"
    shares = {1: ("cpu.shares", "512"), 2: ("cpu.weight", "20")}[version]
    assert world.kernel.text(world.group("be", "main"), shares[0]) == shares[1]
    assert hold(world)


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_nothing_but_the_pods_cgroups_is_written(tmp_path, version, driver):
    """The besteffort root stays as the kubelet made it, and so do all others above the pods."""
    world = World(tmp_path, version, driver)
    before = world.kernel.snapshot()
    seed_004(world)
    world.rounds()
    after = world.kernel.snapshot()
    assert {place: after[place] for place in before} == before


def test_one_period_of_observing_precedes_the_first_write(tmp_path):
    """Nothing is written for ten seconds; then what differs, and after that nothing."""
    world = World(tmp_path)
    seed_004(world)
    early = [world.round() for _ in range(10)]
    assert not world.kernel.writes
    assert early[0].differences
    world.round()
    written = len(world.kernel.writes)
    assert written
    assert hold(world)
    world.rounds(30)
    assert len(world.kernel.writes) == written


def test_an_agent_that_observes_writes_nothing(tmp_path):
    """It reports what it would write."""
    world = World(tmp_path, enforce=False)
    seed_004(world)
    world.rounds()
    assert not world.kernel.writes
    assert any(world.round().differences for _ in range(10))


@pytest.mark.parametrize("mode", ["observe", "ignore"])
def test_a_pod_says_what_may_be_done(tmp_path, mode):
    """Its cgroups are not written; others are."""
    world = World(tmp_path)
    seed_004(world)
    world.add("mine", "BE", annotations={"colocation-webhook.io/agent": mode})
    world.rounds()
    assert sets(world)["mine"] == "0-15"
    assert sets(world)["be"] == "2-15"


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_every_file_that_was_changed_is_right_again(tmp_path, version, driver):
    """One after the other, within ten seconds; the ledger names the value that was found there."""
    world = World(tmp_path, version, driver)
    seed_004(world)
    world.rounds()
    values = {
        Knob.CPUS: ["0-15", "5"], Knob.QUOTA: ["-1", "7000"], Knob.PERIOD: ["50000"], Knob.IDLE: ["0"],
        Knob.SHARES: ["300"], Knob.MEMORY: ["-1", str(2**20)],
    } if version == 1 else {
        Knob.CPUS: ["0-15", "5", ""], Knob.QUOTA: ["max 100000", "7000 20000"], Knob.IDLE: ["0"],
        Knob.SHARES: ["300"], Knob.MEMORY: ["max", str(2**20)],
    }  # fmt: skip
    tried = 0
    owned = sorted(world.ledger.originals)
    for path in owned:
        folder, _, name = path.rpartition("/")
        group, _ = world.kernel._at(path)
        knob = next(each for each in Knob if (file := file_of(each, version)) and file.name == name)
        for value in values[knob]:
            right = world.kernel.text(group, name)
            if not world.kernel.foreign(group, name, value) or world.kernel.text(group, name) == right:
                continue
            tried += 1
            found = world.kernel.text(group, name)
            lines = len(world.lines())
            world.rounds(10)
            assert world.kernel.text(group, name) == right, (path, value)
            line = next(
                each for each in world.lines()[lines:] if each["path"] == folder and each["file"] == name
            )
            assert (line["old"], line["expected"]) == (found, right)
    assert tried > len(owned) / 2
    assert hold(world)


def test_what_cannot_be_read_is_left_alone_and_said_once(tmp_path, monkeypatch):
    """Of each kind of file the first; everything else is written, and it is too as soon as it can be read."""
    world = World(tmp_path)
    seed_004(world)
    world.add("other", "BE")
    read, refusing = world.kernel.read, True

    def refused(path):
        if refusing and path.endswith("cpu.idle") and "/pod" in path:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return read(path)

    monkeypatch.setattr(world.kernel, "read", refused)
    (problem,) = world.rounds().problems
    assert problem.endswith("/cpu.idle: cannot be read, Permission denied: it is left as it is")
    assert sets(world)["be"] == "2-15"
    assert world.kernel.text(world.group("be"), "cpu.idle") == "0"
    refusing = False
    world.rounds(10)
    assert world.kernel.text(world.group("be"), "cpu.idle") == "1"


def test_pods_that_come_change_the_sets_of_others_at_once(tmp_path):
    """In the very next round; and a new container begins on its pod's CPUs."""
    world = World(tmp_path)
    world.add("ls", "LS")
    world.add("be", "BE")
    world.rounds(30)
    world.add("lse", "LSE", cpus=2, set_="0-1")
    world.round()
    assert sets(world) == {"ls": "2-15", "be": "2-15", "lse": "0-1"}
    late = world.kernel.make(world.container(world.group("ls"), "f" * 64))
    assert world.kernel.text(late, "cpuset.cpus") == "2-15"


@pytest.mark.parametrize("most", [5, 1])
@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_no_round_writes_more_than_a_bound(tmp_path, monkeypatch, version, driver, most):
    """What is left over follows in the next rounds, each right after the one before, until all is at rest."""
    monkeypatch.setattr(reconciler, "MOST_WRITES", most)
    world = World(tmp_path, version, driver)
    seed_004(world)
    world.rounds(10)

    def come_to_rest():
        """How many writes the rounds did."""
        counts = []
        for _ in range(200):
            before = len(world.kernel.writes)
            world.round()
            counts.append(len(world.kernel.writes) - before)
        busy = counts[: next(i for i in range(len(counts)) if not any(counts[i:]))]
        assert max(counts) == most
        assert counts[0] == most
        assert all(busy), "without a pause"
        return sum(busy)

    assert come_to_rest() > 20
    assert hold(world)
    assert sets(world) == {"lse": "0-1", "lsr": "2-3", "ls": "4-15", "be": "2-15", "plain": "2-15"}
    world.end("lse")
    world.add("lse", "LSE", cpus=2, set_="8-9", uid="another")
    assert come_to_rest() > 5
    assert hold(world)
    assert sets(world)["lse"] == "8-9"
    assert sets(world)["be"] == "0-7,10-15"


def test_a_kernel_without_idle_gets_shares(tmp_path):
    """Where there is no file cpu.idle, pods have the weight of their batch CPU."""
    world = World(tmp_path)
    for texts in world.kernel.texts.values():
        del texts["cpu.idle"]
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    del world.kernel.texts[world.group("be")]["cpu.idle"]
    world.rounds()
    assert world.kernel.text(world.group("be"), "cpu.shares") == "512"


def test_a_uid_cannot_leave_the_folder_of_pods(tmp_path):
    """Whatever the API server says."""
    world = World(tmp_path)
    world.pods["evil"] = {
        "metadata": {"name": "evil", "uid": "x/../../..", "labels": {"koordinator.sh/qosClass": "BE"}}
    }
    before = world.kernel.snapshot()
    world.rounds()
    assert world.kernel.snapshot() == before


def test_parse_of_what_is_planned_is_what_is_planned(tmp_path):
    """A set is compared as a set, whatever its text."""
    world = World(tmp_path)
    world.add("ls", "LS")
    world.rounds()
    assert parse(Knob.CPUS, world.kernel.text(world.group("ls"), "cpuset.cpus"), 1) == frozenset(range(16))
