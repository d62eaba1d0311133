"""Any sequence of pods, foreign writes, faults and restarts: the rules hold, and at rest also the plan."""

import dataclasses
import errno
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.agent.plan.builders import a_node, batch
from tests.agent.worlds.world import KINDS, World
from webhook.agent.plan.target import Knob
from webhook.cpuset.cpulist import parse_cpulist
from webhook.slo.nodeslo import read_nodeslo


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

    @rule(data=st.data(), name=st.sampled_from(["main", ""]))
    def start_again(self, data, name):
        """A container, or a sandbox, starts again: it begins on the CPUs of its pod's group."""
        if self.world.pods:
            self._start_again(data.draw(st.sampled_from(sorted(self.world.pods))), name)

    def _start_again(self, pod, name):
        """By itself it would have what its pod's group held before the agent."""
        kernel, above, group = self.world.kernel, self.world.group(pod), self.world.group(pod, name)
        kernel.remove(group)
        kernel.make(group)
        self.before |= {at: text for at, text in kernel.snapshot().items() if at[0] == group}
        original = self.world.ledger.originals.get(self.world.hierarchy.file("cpuset", above, "cpuset.cpus"))
        agents = (original.last, original.previous) if original else ()
        if kernel.version == 1 and kernel.text(above, "cpuset.cpus") in agents:
            self.before[group, "cpuset.cpus"] = original.old

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
        for name in world.pods:
            self._start_again(name, "main")
        world.rounds(10)
        tried = len(world.kernel.writes)
        plan = world.rounds(12).plan
        assert len(world.kernel.writes) == tried, "at rest nothing is written"
        self._nobody_is_on_lse_cpus(plan)
        left_alone = [
            f"{world.group(name)}/"
            for name, raw in world.pods.items()
            if raw["metadata"]["annotations"]["colocation-webhook.io/agent"] != "enforce"
        ]
        now = world.kernel.snapshot()
        for (group, file), text in self.before.items():
            if f"{group}/".startswith(tuple(left_alone)):
                assert now[group, file] == text, (group, file)
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
