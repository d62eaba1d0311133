"""Any sequence of loads, pods, resizes, settings, faults and restarts: each second and write is judged."""

import errno
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.agent.bursting.world import FILES, BurstWorld, container
from tests.agent.plan.builders import batch
from tests.agent.worlds.seconds import Seconds
from tests.agent.worlds.world import KINDS
from webhook.protocol import ANNOTATION_AGENT, ANNOTATION_CPU_BURST

PODS = {
    "web": {"containers": [container("500m")]},
    "two": {"qos": "", "containers": [container("1"), container("300m", "side")]},
    "part": {"containers": [container("1500m"), container(None, "side")]},
    "tiny": {
        "qos": "SYSTEM",
        "kube": "Burstable",
        "containers": [container("20m"), container("20m", "side")],
    },
}
"""Whose quotas may be raised."""

OTHERS = {
    "be": {"qos": "BE", "containers": [batch("500", "64Mi")]},
    "lsr": {"qos": "LSR", "cpus": 2, "set_": "2-3"},
}
NAMES = st.sampled_from([*PODS, "web", "two"])
CONTAINERS = st.sampled_from(["main", "main", "side"])
STRATEGIES = st.fixed_dictionaries(
    {"policy": st.sampled_from(["cfsQuotaBurstOnly", "cfsQuotaBurstOnly", "auto", "auto", "none"])},
    optional={
        "cfsQuotaBurstPercent": st.sampled_from([110, 150, 300, 1000]),
        "cfsQuotaBurstPeriodSeconds": st.sampled_from([-1, 10, 60, 600]),
        "sharePoolThresholdPercent": st.sampled_from([25, 50, 100]),
    },
)
CORES = st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 6.29, 6.31, 7.0, 16.0]) | st.floats(0, 16).map(
    lambda each: round(each, 3)
)


class Bursts(Seconds):
    """A node of 16 CPUs."""

    @initialize(kind=st.sampled_from(KINDS), strategy=STRATEGIES)
    def begin(self, kind, strategy):
        """With two pods."""
        self.folder = tempfile.TemporaryDirectory()
        self.world = BurstWorld(Path(self.folder.name), *kind)
        self.faulty, self.started = False, self.world.time
        self.strategy, self.pending, self.looks = strategy, set(), {}
        self.world.slo(**strategy)
        self._watch_writes()
        for name in ("web", "two"):
            self.start(name)
        self.world.rounds(10)

    def _watch_writes(self):
        """After each write that the kernel took, a pod contains its containers, if it did before."""
        kernel = self.world.kernel
        write = kernel.write

        def watched(path, text):
            group, name = kernel._at(path)
            before = self._uncontained()
            write(path, text)
            if name == FILES[kernel.version] and not (kernel.version == 2 and self.faulty):
                assert self._uncontained() <= before, (group, text)

        kernel.write = watched

    def _uncontained(self):
        """Groups that have more than the one of their pod."""
        world = self.world
        return {
            (name, each)
            for name in PODS
            if name in world.pods
            for each in world.bases(name)
            if each and world.quota(name) != -1 and not -1 < world.quota(name, each) <= world.quota(name)
        }

    @rule(name=st.sampled_from([*PODS, *OTHERS]))
    def start(self, name):
        """A pod starts."""
        world = self.world
        if name not in world.pods:
            world.add(name, **(PODS | OTHERS)[name])
            world.used.pods[name] = 0.0
            self.second()

    @rule(name=st.sampled_from([*PODS, *OTHERS]))
    def end(self, name):
        """A pod ends."""
        if name in self.world.pods:
            for each in self.world.bases(name):
                self.world.kubelet.pop(self.world.group(name, each), None)
            self.world.end(name)
            self.world.used.pods.pop(name)
            self.pending.discard(name)

    @rule(name=NAMES, which=CONTAINERS)
    def start_again(self, name, which):
        """A container starts again."""
        if name in self.world.pods and which in self.world.bases(name):
            self.world.kubelet.pop(self.world.group(name, which))
            self.world.start_again(name, which)
            self.second()

    @rule(
        name=NAMES,
        which=CONTAINERS,
        periods=st.sampled_from([5, 5, 5, 0, None]),
        cores=st.sampled_from([0.0, 0.5, 2.0, None]),
        seconds=st.integers(1, 6),
    )
    def throttle(self, name, which, periods, cores, seconds):
        """A container is throttled for a while, or is not, or nobody knows."""
        if name in self.world.pods and which in self.world.bases(name):
            self.world.throttle(name, which, periods, cores)
            for _ in range(seconds):
                self.second()

    @rule(name=st.sampled_from(["web", "be", "lsr"]), cores=CORES)
    def use(self, name, cores):
        """A pod uses more or less."""
        if name in self.world.used.pods:
            self.world.used.pods[name] = cores
            self.second()

    @rule(cores=CORES, seconds=st.integers(1, 7))
    def busy(self, cores, seconds):
        """What is no pod's uses more for a while."""
        self.world.used.system = cores
        for _ in range(seconds):
            self.second()
        self.world.used.system = 0.4

    @rule(seconds=st.integers(1, 7))
    def no_figures(self, seconds):
        """Figures stop for a while."""
        self.world.used.known = False
        for _ in range(seconds):
            self.second()
        self.world.used.known = True

    @rule(
        name=NAMES,
        which=CONTAINERS,
        limit=st.sampled_from(["50m", "400m", "1", "3", "as raised"]),
        first=st.booleans(),
    )
    def resize(self, name, which, limit, first):
        """A pod is resized, also to what is raised: by the kubelet before the agent sees it, or later."""
        if name in self.world.pods and which in self.world.bases(name) and self.world.bases(name)[which] > 0:
            stands = max(10, self.world.quota(name, which) // 100)
            self.world.resize(name, f"{stands}m" if limit == "as raised" else limit, which)
            self.pending.add(name)
            if first:
                self._kubelet()
            for _ in range(3):
                self.second()
            works = self.world.time - self.started > 15 and not self.faulty
            assert name not in self.pending or not works, "nothing keeps the kubelet from it"

    @rule(name=NAMES, which=CONTAINERS, seconds=st.integers(1, 6), first=st.booleans())
    def grow(self, name, which, seconds, first):
        """A pod that is throttled is resized just to what is raised."""
        self.throttle(name, which, 5, 0.0, seconds)
        self.resize(name, which, "as raised", first)

    @rule(name=NAMES, which=st.sampled_from([None, "main"]), percent=st.sampled_from([50, 100, 120, 250]))
    def meddle(self, name, which, percent):
        """Somebody else writes a quota, of a container no more than he gave its pod.

        Not what stands there already: nobody can see that.
        """
        world = self.world
        if name in world.pods and (base := world.bases(name)[which]) > 0:
            quota, above = max(1000, base * percent // 100), world.kubelet[world.group(name)]
            if quota != world.quota(name, which) and (not which or not -1 < above < quota):
                world.kubelet_writes(name, which, quota)
            self.second()

    @rule(name=NAMES, mode=st.sampled_from(["observe", "ignore"]), seconds=st.integers(1, 3))
    def annotate(self, name, mode, seconds):
        """A pod gets another mode for a while."""
        if name in self.world.pods:
            self.world.pods[name]["metadata"]["annotations"][ANNOTATION_AGENT] = mode
            for _ in range(seconds):
                self.second()
            self.world.pods[name]["metadata"]["annotations"].pop(ANNOTATION_AGENT)

    @rule(name=NAMES, text=st.sampled_from(["", "", '{"policy": "none"}', '{"policy": "auto"}']))
    def of_its_own(self, name, text):
        """A pod gets a strategy of its own."""
        if name in self.world.pods:
            self.world.pods[name]["metadata"]["annotations"][ANNOTATION_CPU_BURST] = text
            self.second()

    @rule(strategy=STRATEGIES)
    def write(self, strategy):
        """The NodeSLO changes."""
        self.strategy = strategy
        self.world.slo(**strategy)
        self.second()

    @rule(number=st.sampled_from([errno.EBUSY, errno.EINVAL, errno.EPERM]), times=st.integers(1, 3))
    def fault(self, number, times):
        """The kernel refuses some writes."""
        self.faulty = True
        self.world.kernel.fault(FILES[self.world.kernel.version], number, times)

    @rule()
    def restart(self):
        """The agent starts anew."""
        self.world.restart()
        self.started = None

    def _kubelet(self):
        """The kubelet tries what it has not done yet."""
        self.pending = {name for name in self.pending if not self.world.kubelet_resizes(name)}

    def second(self):
        """One round, and every promise."""
        world = self.world
        self.started = world.time if self.started is None else self.started
        mine = [(name, each) for name in PODS if name in world.pods for each in world.bases(name)]
        before = {at: world.quota(*at) for at in mine}
        world.round()
        after = {at: world.quota(*at) for at in mine}
        for at in mine:
            if after[at] != before[at]:
                assert after[at] >= world.kubelet[world.group(*at)] > 0, "never less than somebody else wrote"
            if after[at] > before[at]:
                self._may_rise(at, before, after)
        self._kubelet()

    def _may_rise(self, at, before, after):
        name, which = at
        world = self.world
        annotations = world.pods[name]["metadata"]["annotations"]
        assert annotations.get(ANNOTATION_AGENT, "enforce") == "enforce"
        policy = self.strategy["policy"]
        assert policy != "none"
        assert "none" not in annotations.get(ANNOTATION_CPU_BURST, "")
        assert policy in ("auto", "cfsQuotaBurstOnly") or "auto" in annotations[ANNOTATION_CPU_BURST]
        assert world.used.known
        cpus = 16 - (2 if "lsr" in world.pods else 0)
        used = sum(cores for pod, cores in world.used.pods.items() if pod not in OTHERS) + world.used.system
        percent = self.strategy.get("sharePoolThresholdPercent", 50)
        assert used < cpus * percent / 100 * 0.9 + 1e-6
        bases = world.bases(name)
        throttled = {
            each
            for each in bases
            if each
            and (found := world.throttled.groups.get(world.group(name, each))) is not None
            and found.periods > 0
        }
        assert which in throttled if which else throttled
        assert world.kubelet[world.group(*at)] == bases[which]
        most = self.strategy.get("cfsQuotaBurstPercent", 300)
        assert after[at] * 100 <= bases[which] * most
        if which or not self.faulty:
            assert after[at] * 5 <= before[at] * 6

    def teardown(self):
        """At rest all is as the kubelet wrote it; and with room, what is throttled is raised."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.kernel._faults.clear()
        world.time += 700
        world.used.system, world.used.known = 16.0, True
        for _ in range(50):
            self.second()
        assert not self.pending
        self._as_the_kubelet_wrote()
        for name in world.pods.keys() & PODS:
            world.pods[name]["metadata"]["annotations"].clear()
            world.throttle(name)
        self.strategy = {"policy": "cfsQuotaBurstOnly"}
        world.slo(**self.strategy)
        world.used.system, world.used.pods["web"] = 0.0, 0.0
        for _ in range(2):
            self.second()
        for name in world.pods.keys() & PODS:
            bases = world.bases(name)
            if all(world.kubelet[world.group(name, each)] == bases[each] for each in (None, "main")):
                assert world.quota(name, "main") == bases["main"] * 6 // 5 * 6 // 5
        world.agent.give_back()
        self._as_the_kubelet_wrote()
        self.folder.cleanup()

    def _as_the_kubelet_wrote(self):
        world = self.world
        for name in world.pods.keys() & PODS:
            for each in world.bases(name):
                assert world.quota(name, each) == world.kubelet[world.group(name, each)]


TestBursts = Bursts.TestCase
TestBursts.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
