"""Round by round: cgroups come to the plan, stay there whatever others do, and are given back."""

import dataclasses
import errno
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.agent.plan.builders import a_node, batch
from tests.agent.writing.world import World
from webhook.agent.plan.settings import Settings
from webhook.agent.plan.target import Knob
from webhook.agent.writing.files import file_of, parse
from webhook.agent.writing.writer import Outcome
from webhook.cpuset.cpulist import parse_cpulist
from webhook.slo.nodeslo import read_nodeslo

KINDS = [(1, "cgroupfs"), (1, "systemd"), (2, "cgroupfs"), (2, "systemd")]


def seed_004(world):
    """One pod of each class on 16 CPUs, a BE pod with limits, and one without a class."""
    world.add("lse", "LSE", cpus=2, set_="0-1")
    world.add("lsr", "LSR", cpus=2, set_="2-3")
    world.add("ls", "LS")
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.add("plain", "", kube="BestEffort")


def sets(world):
    """The CPU set of each pod's container."""
    return {name: world.kernel.text(world.group(name, "main"), "cpuset.cpus") for name in world.pods}


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


def test_a_kernel_without_idle_gets_shares(tmp_path):
    """Where there is no file cpu.idle, pods have the weight of their batch CPU."""
    world = World(tmp_path)
    for texts in world.kernel.texts.values():
        del texts["cpu.idle"]
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    del world.kernel.texts[world.group("be")]["cpu.idle"]
    world.rounds()
    assert world.kernel.text(world.group("be"), "cpu.shares") == "512"


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


def test_a_uid_cannot_leave_the_folder_of_pods(tmp_path):
    """Whatever the API server says."""
    world = World(tmp_path)
    world.pods["evil"] = {
        "metadata": {"name": "evil", "uid": "x/../../..", "labels": {"koordinator.sh/qosClass": "BE"}}
    }
    before = world.kernel.snapshot()
    world.rounds()
    assert world.kernel.snapshot() == before


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


class Node(RuleBasedStateMachine):
    """Pods come and go, others write, writes fail, the agent restarts; the rules hold at rest."""

    @initialize(kind=st.sampled_from(KINDS))
    def begin(self, kind):
        """A node of 8 CPUs."""
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), *kind, node=a_node("1x1x8x1", "adjacent"))
        self.number = 0
        self.before = self.world.kernel.snapshot()

    def _remember(self, name):
        """What a pod's files held before the agent."""
        group = self.world.group(name)
        for (each, file), text in self.world.kernel.snapshot().items():
            if each.startswith(group):
                self.before[each, file] = text

    @rule(
        qos=st.sampled_from(["LSE", "LSR", "LS", "BE", "SYSTEM", ""]),
        cpus=st.integers(1, 3),
        first=st.integers(0, 8),
        limits=st.booleans(),
        kube=st.sampled_from(["Guaranteed", "Burstable", "BestEffort"]),
        mode=st.sampled_from(["enforce", "enforce", "observe", "ignore"]),
    )
    def start(self, **of):
        """A pod starts, with any annotation."""
        self.number += 1
        name = f"p{self.number}"
        fields = {"annotations": {"colocation-webhook.io/agent": of["mode"]}, "kube": of["kube"]}
        if of["qos"] in ("LSE", "LSR"):
            fields |= {"cpus": of["cpus"], "set_": f"{of['first']}-{of['first'] + of['cpus'] - 1}"}
        elif of["limits"]:
            fields["containers"] = [batch(str(of["cpus"] * 700), "64Mi"), batch("100", "1Mi", "side")]
        self.world.add(name, of["qos"], created=f"2026-01-{self.number % 28 + 1:02}", **fields)
        self._remember(name)

    @rule(data=st.data(), mode=st.sampled_from(["enforce", "observe", "ignore"]))
    def annotate(self, data, mode):
        """A pod gets another mode."""
        if self.world.pods:
            name = data.draw(st.sampled_from(sorted(self.world.pods)))
            self.world.pods[name]["metadata"]["annotations"]["colocation-webhook.io/agent"] = mode

    @rule(data=st.data())
    def stop(self, data):
        """A pod ends."""
        if self.world.pods:
            name = data.draw(st.sampled_from(sorted(self.world.pods)))
            group = self.world.group(name)
            self.world.end(name)
            self.before = {at: text for at, text in self.before.items() if not at[0].startswith(group)}

    @rule(
        data=st.data(),
        text=st.sampled_from(["0", "1", "-1", "5000", "0-7", "3", "max 100000", "2000 7000", "max"]),
    )
    def somebody_writes(self, data, text):
        """A file of a pod is changed by somebody else, if the kernel lets him."""
        self.world.ledger.forget_gone()
        owned = sorted(self.world.ledger.originals)
        if owned:
            group, name = self.world.kernel._at(data.draw(st.sampled_from(owned)))
            self.world.kernel.foreign(group, name, text)

    @rule(
        ending=st.sampled_from(["cpuset.cpus", "cpu.cfs_quota_us", "cpu.max", "cpu.idle", ""]),
        number=st.sampled_from([errno.EBUSY, errno.EINTR, errno.ENODEV]),
        times=st.integers(1, 3),
    )
    def writes_fail(self, ending, number, times):
        """The kernel is busy for some writes."""
        self.world.kernel.fault(ending, number, times)

    @rule(seconds=st.integers(1, 12))
    def pass_time(self, seconds):
        """Rounds; in none are more writes than twice the files that there are."""
        for _ in range(seconds):
            tried = len(self.world.kernel.writes)
            self.world.round()
            groups = len(self.world.kernel.texts)
            assert len(self.world.kernel.writes) - tried <= 2 * len(Knob) * groups

    @rule(percent=st.sampled_from([0, 50]))
    def protect(self, percent):
        """A NodeSLO switches the protection of memory on, or off again."""
        wanted = {"enable": percent > 0, "minLimitPercent": percent, "throttlingPercent": percent}
        strategies = {f"{each}Class": {"memoryQOS": wanted} for each in ("lsr", "ls", "be")}
        slo = read_nodeslo({"resourceQOSStrategy": strategies})
        self.world.settings = dataclasses.replace(self.world.settings, slo=slo)

    @rule()
    def restart(self):
        """The agent is killed and starts again."""
        self.world.restart()

    @invariant()
    def parents_contain_children(self):
        """At every moment the kernel's rules hold, and nothing is killed."""
        if hasattr(self, "world") and self.world.kernel.version == 1:
            assert self.world.kernel.contained()
        assert not (hasattr(self, "world") and self.world.kernel.killed)

    def teardown(self):
        """At rest: what is planned stands there; nobody runs on LSE CPUs; restored, all is as it was."""
        if not hasattr(self, "world"):
            return
        with self.folder:
            self._at_rest(self.world)

    def _at_rest(self, world):
        world.kernel._faults.clear()
        world.time += 600  # what was refused is tried again
        world.rounds(30)
        tried = len(world.kernel.writes)
        plan = world.rounds(12).plan
        assert len(world.kernel.writes) == tried, "at rest nothing is written"
        self._nobody_is_on_lse_cpus(plan)
        left_alone = [
            f"{world.group(name)}/"
            for name, raw in world.pods.items()
            if raw["metadata"]["annotations"]["colocation-webhook.io/agent"] != "enforce"
        ]
        for (group, file), text in self.before.items():
            if f"{group}/".startswith(tuple(left_alone)):
                assert world.kernel.text(group, file) == text, (group, file)
        world.agent.give_back()
        after = world.kernel.snapshot()
        assert {at: after[at] for at in self.before} == self.before
        world.ledger.close()

    def _nobody_is_on_lse_cpus(self, plan):
        world = self.world
        lse = {
            each.pod.name: each for each in plan.pods if each.pod.qos == "LSE" and each.pod.mode == "enforce"
        }
        held = frozenset()
        for each in lse.values():
            placement = plan.cpus.placements.get(each.pod.uid)
            if placement is not None and placement.rule == "own-cpus":
                held |= placement.cpus
        for each in plan.pods:
            placement = plan.cpus.placements.get(each.pod.uid)
            if each.pod.mode != "enforce" or placement is None or placement.rule == "own-cpus":
                continue
            if placement.rule == "system-cpus":
                continue
            name = each.pod.name.removeprefix("shop/")
            for group in (world.group(name), *world.kernel.children(world.group(name))):
                cpus = parse_cpulist(world.kernel.text(group, "cpuset.cpus"))
                assert cpus == placement.cpus
                assert not cpus & held


class TestNode(Node.TestCase):
    """The state machine as a test."""

    settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_parse_of_what_is_planned_is_what_is_planned(tmp_path):
    """A set is compared as a set, whatever its text."""
    world = World(tmp_path)
    world.add("ls", "LS")
    world.rounds()
    assert parse(Knob.CPUS, world.kernel.text(world.group("ls"), "cpuset.cpus"), 1) == frozenset(range(16))
