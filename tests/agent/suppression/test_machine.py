"""Any sequence of loads, pods, settings, faults and clocks: a model judges each second."""

import errno
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.agent.plan.builders import batch
from tests.agent.suppression import model
from tests.agent.suppression.world import SuppressedWorld
from tests.agent.worlds.seconds import Seconds
from tests.agent.worlds.world import KINDS
from webhook.agent.suppression.decision import LEAST_QUOTA
from webhook.agent.suppression.overlay import SUPPRESSION
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.slo.keys import CFS_QUOTA, CPUSET

CORES = st.sampled_from([0.0, 0.5, 9.0]) | st.floats(0, 16).map(lambda cores: round(cores, 3))
PAIRS = ("0-1", "2-3", "4,12", "8-10", "5-7,13-15", "11")
"""CPUs of pods with a set of their own, of which no two have one in common."""

BES = ("be0", "be1", "be2")
OTHERS = ("ls", "plain", "mid", *(f"own{i}" for i in range(len(PAIRS))))
MOST_FILES = 7
"""That are written in one group."""

READABLE = st.fixed_dictionaries(
    {"enable": st.booleans() | st.just(True)},
    optional={
        "cpuSuppressPolicy": st.sampled_from([CPUSET, CFS_QUOTA]),
        "cpuSuppressThresholdPercent": st.integers(0, 100),
        "cpuSuppressMinPercent": st.just(0),
    },
)
HALF = st.sampled_from(
    [
        {"enable": 1},
        {"enable": True, "cpuSuppressPolicy": "slow"},
        {"enable": True, "cpuSuppressThresholdPercent": 101},
        {"enable": False, "cpuSuppressThresholdPercent": 10, "cpuSuppressMinPercent": 11},
    ]
)


class Suppression(Seconds):
    """A node of 16 CPUs."""

    @initialize(kind=st.sampled_from(KINDS), least=st.integers(1, 3), slo=READABLE)
    def begin(self, kind, least, slo):
        """With an LS, a mid and a BE pod."""
        self.folder = tempfile.TemporaryDirectory()
        self.world = SuppressedWorld(Path(self.folder.name), *kind, least=least)
        self.least, self.in_force = least, None
        self.slo = slo
        self.world.slo(**slo)
        for name in ("ls", "mid", "be0"):
            self.start(name)

    @rule(name=st.sampled_from([*BES, *OTHERS]))
    def start(self, name):
        """A pod starts."""
        world = self.world
        if name in world.pods:
            return
        if name.startswith("be"):
            world.add(name, "BE", containers=[batch(str(1000 * (1 + int(name[2:]))), "64Mi")])
        elif name.startswith("own"):
            cpus = PAIRS[int(name[3:])]
            kind = "LSE" if int(name[3:]) % 2 else "LSR"
            world.add(name, kind, cpus=len(parse_cpulist(cpus)), set_=cpus)
        elif name == "mid":
            world.add(name, "BE", priority=7500, containers=[batch("500", "64Mi", kind="mid")])
        else:
            world.add(name, "LS" if name == "ls" else "", kube=None if name == "ls" else "BestEffort")
        world.used.pods[name] = 0.0
        self.second()

    @rule(name=st.sampled_from([*BES, *OTHERS[3:]]))
    def end(self, name):
        """A pod ends."""
        if name in self.world.pods:
            self.world.end(name)
            self.world.used.pods.pop(name, None)

    @rule(name=st.sampled_from(["ls", "ls", *BES, "plain"]), cores=CORES)
    def use(self, name, cores):
        """A pod uses more or less."""
        if name in self.world.used.pods:
            self.world.used.pods[name] = cores
            self.second()

    @rule(cores=CORES, reserved=st.sampled_from([0, 1500]))
    def system(self, cores, reserved):
        """The system does, or something is kept from pods."""
        self.world.used.system, self.world.reserved = cores, reserved
        self.second()

    @rule(slo=READABLE)
    def write(self, slo):
        """A NodeSLO that can be read."""
        self.slo = slo
        self.world.slo(**slo)
        self.second()

    @rule(half=HALF)
    def write_half(self, half):
        """One that cannot: what was said before remains."""
        self.world.slo(**half)

    @rule(known=st.booleans())
    def figures(self, known):
        """Figures stop or come back."""
        self.world.used.known = known
        self.second()

    @rule(
        ending=st.sampled_from(["cpuset.cpus", "cpu.cfs_quota_us", "cpu.max"]),
        number=st.sampled_from([errno.EBUSY, errno.EINVAL, errno.EPERM]),
        times=st.integers(1, 3),
    )
    def fault(self, ending, number, times):
        """The kernel refuses some writes."""
        self.world.kernel.fault(ending, number, times)

    @rule(name=st.sampled_from(BES), cpus=st.sampled_from(["0-15", "0", "3-9"]))
    def meddle(self, name, cpus):
        """Somebody else writes."""
        if name in self.world.pods:
            self.world.kernel.foreign(self.world.group(name, "main"), "cpuset.cpus", cpus)

    @rule()
    def restart(self):
        """The agent starts anew; what a NodeSLO said before it cannot know."""
        self.world.restart()
        self.in_force = None

    def second(self):
        """One round, and every promise."""
        world = self.world
        before, tried = world.decision, len(world.kernel.writes)
        done = world.round()
        after = world.decision
        groups = sum(3 for _ in world.pods)
        assert len(world.kernel.writes) - tried <= 2 * MOST_FILES * groups
        suppressed = {f"shop/{name}" for name in BES if name in world.pods}
        rules = {each.why.pod for each in done.differences if each.why.rule == SUPPRESSION}
        assert rules <= suppressed
        if world.settings.slo.threshold_read:
            self.in_force = self.slo
        if self.in_force is not None and not self.in_force["enable"]:
            assert after is None
            return
        if after is None:
            assert not world.used.known or self.in_force is None
            return
        policy = (self.in_force or {}).get("cpuSuppressPolicy", CPUSET)
        if after.policy == CPUSET:
            assert not after.cpus & self.lse()
        if not world.used.known or self.in_force is None:
            if before is not None and before.policy == policy:
                assert (len(after.cpus), after.quota) <= (max(1, len(before.cpus)), before.quota)
            return
        assert after.policy == policy
        milli = model.budget(
            cpus=16,
            percent=self.in_force.get("cpuSuppressThresholdPercent", 65),
            node=sum(world.used.pods.values()) + world.used.system,
            pods=sum(world.used.pods.values()),
            by_pod=world.used.pods,
            suppressed=set(BES) & world.pods.keys(),
            reserved=world.reserved,
        )
        same = before if before is not None and before.policy == policy else None
        if policy == CPUSET:
            has = None if same is None else len(same.cpus)
            assert len(after.cpus) <= model.most_cpus(milli, 16, has, self.least)
        else:
            assert after.quota <= max(LEAST_QUOTA, milli * 100)
            if same is not None:
                assert after.quota <= max(LEAST_QUOTA, same.quota + 160_000)

    def lse(self):
        """The CPUs of LSE pods."""
        return frozenset().union(
            *(parse_cpulist(PAIRS[i]) for i in range(1, len(PAIRS), 2) if f"own{i}" in self.world.pods)
        )

    def teardown(self):
        """At rest every file is as decided; switched off, BE pods have the pool and their limits again."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.kernel._faults.clear()
        world.time += 700
        world.rounds(24)
        mine = [name for name in BES if name in world.pods]
        for name in mine:
            assert not world.cpus(name) & self.lse()
            if world.decision is not None and world.decision.policy == CPUSET and world.decision.cpus:
                assert world.cpus(name) == world.decision.cpus
        world.slo(enable=False)
        done = world.rounds(24)
        pool = format_cpulist(done.plan.cpus.state.be_pool())
        for name in mine:
            if pool:
                assert format_cpulist(world.cpus(name)) == pool
            assert world.quota(name) == 100_000 * (1 + int(name[2:]))
        self.folder.cleanup()


TestSuppression = Suppression.TestCase
TestSuppression.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
