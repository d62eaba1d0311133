"""Second by second: BE pods give way at once, come back by the step, and nobody else is touched."""

import pytest

from tests.agent.plan.builders import batch
from tests.agent.suppression.world import ON, SuppressedWorld
from tests.agent.tree import write
from tests.agent.worlds.world import KINDS
from webhook.agent.suppression.decision import Options
from webhook.agent.suppression.overlay import SUPPRESSION
from webhook.cpuset.cpulist import format_cpulist, parse_cpulist
from webhook.protocol import ANNOTATION_AGENT


def a_node(tmp_path, version=1, driver="cgroupfs", **fields):
    """Seed 004's node with a mid pod, looked at long enough for writes."""
    world = SuppressedWorld(tmp_path, version, driver, **fields)
    world.add("lse", "LSE", cpus=2, set_="0-1")
    world.add("lsr", "LSR", cpus=2, set_="2-3")
    world.add("ls", "LS")
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.add("plain", "", kube="BestEffort")
    world.add("mid", "BE", priority=7500, containers=[batch("500", "64Mi", kind="mid")])
    world.used.pods = {"ls": 0.5, "be": 3.0}
    return world


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_seed_004(tmp_path, version, driver):
    """0.9 of 10.4 cores used by others: ten CPUs for the BE pod, at pod, container and sandbox."""
    world = a_node(tmp_path, version, driver)
    world.rounds()
    found = world.cpus("be")
    assert len(found) == 10
    assert len(found & parse_cpulist("2-3")) == 1
    for group in (world.group("be"), world.group("be", "")):
        assert world.kernel.text(group, "cpuset.cpus") == format_cpulist(found)
    assert world.cpus("plain") == world.cpus("mid") == parse_cpulist("2-15")
    lines = [each for each in world.lines() if each["why"]["rule"] == SUPPRESSION]
    assert {each["why"]["pod"] for each in lines} == {"shop/be"}
    assert lines[-1]["why"]["inputs"] == {
        "threshold": "65% of 16000",
        "pods": "-500",
        "system": "-400",
        "budget": "9500",
        "cpus": "10 of 16",
    }


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_online_load_rises_and_falls(tmp_path, version, driver):
    """The files have shrunk in the same round, and grow by two CPUs of 16 a round."""
    world = a_node(tmp_path, version, driver)
    world.rounds()
    world.used.pods["ls"] = 8.0
    world.round()
    assert len(world.cpus("be")) == 2
    world.used.pods["ls"] = 0.5
    sizes = []
    for _ in range(6):
        world.round()
        sizes.append(len(world.cpus("be")))
    assert sizes == [4, 6, 8, 10, 10, 10]


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_a_quota(tmp_path, version, driver):
    """Divided by weight, below each pod's own limit; back to that when it is switched off."""
    world = a_node(tmp_path, version, driver)
    world.add("large", "BE", containers=[batch("8000", "64Mi")])
    world.slo(**ON, cpuSuppressPolicy="cfsQuota")
    world.used.pods["ls"] = 8.0
    world.rounds()
    budget = 192_000  # 10.4 - 8 - 0.4 cores, in whole hundredths of the machine
    parts = [world.quota(name) for name in ("be", "large")]
    assert parts == [budget * 512 // (512 + 8192), budget * 8192 // (512 + 8192)]
    assert world.cpus("be") == world.cpus("plain") == parse_cpulist("2-15")
    world.slo()
    world.rounds(2)
    assert [world.quota(name) for name in ("be", "large")] == [50_000, 800_000]


def test_switched_off_be_pods_have_what_they_had(tmp_path):
    """The pool and the limits, and after restoring every file as before the agent."""
    world = SuppressedWorld(tmp_path)
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.add("ls", "LS")
    before = world.kernel.snapshot()
    world.used.pods = {"ls": 9.0, "be": 3.0}
    world.rounds()
    assert len(world.cpus("be")) == 2
    world.slo(enable=False)
    world.rounds(2)
    assert world.cpus("be") == frozenset(range(16))
    world.agent.enforce = False
    world.agent.give_back()
    assert world.kernel.snapshot() == before


@pytest.mark.parametrize(("version", "driver"), KINDS)
@pytest.mark.parametrize("policy", ["cpuset", "cfsQuota"])
def test_an_agent_without_suppression_gives_back_what_another_took(tmp_path, version, driver, policy):
    """The chart's value switched off: a new process, which knows of it by the ledger only."""
    world = a_node(tmp_path, version, driver)
    world.add("bare", "BE")  # without limits there is nothing but the ledger that says what it had
    world.slo(**ON, cpuSuppressPolicy=policy)
    world.used.pods["ls"] = 9.0
    world.rounds()
    assert len(world.cpus("bare")) == 2 or 0 < world.quota("bare") < 50_000
    world.restart()
    world.suppressor.adjust = lambda plan, *_: plan
    world.rounds()
    for name, quota in (("be", 50_000), ("bare", -1)):
        assert world.cpus(name) == parse_cpulist("2-15")
        assert world.quota(name) == quota


def test_where_figures_stop(tmp_path, caplog):
    """BE pods keep what they have; a finding says so after ten seconds; an LSE pod's CPUs go all the same."""
    world = a_node(tmp_path)
    world.rounds()
    before = world.cpus("be")
    world.used.known = False
    world.rounds(5)
    assert not [each for each in caplog.messages if "figures" in each]
    world.rounds(30)
    assert world.cpus("be") == before
    assert [each for each in caplog.messages if "no figures of CPU use for 10 seconds" in each]
    assert world.suppressor.report()["held"]
    taken = format_cpulist(sorted(before)[-2:])
    world.add("second", "LSE", cpus=2, set_=taken)
    world.round()
    assert len(world.cpus("be")) == len(before)
    assert not world.cpus("be") & parse_cpulist(taken)
    world.used.known = True
    world.used.pods["ls"] = 8.0
    world.round()
    assert len(world.cpus("be")) == 2


@pytest.mark.parametrize(
    "half",
    [
        {"enable": "true"},
        {"enable": True, "cpuSuppressThresholdPercent": "20"},
        {"enable": True, "cpuSuppressThresholdPercent": 20, "cpuSuppressMinPercent": 30},
    ],
)
def test_a_nodeslo_half_written(tmp_path, half, caplog):
    """What it said before remains, also of thresholds that contradict each other."""
    world = a_node(tmp_path)
    world.slo(enable=True, cpuSuppressThresholdPercent=30)
    world.rounds()
    before = world.cpus("be")
    assert len(before) == 4
    world.slo(**half)
    world.rounds(10)
    assert world.cpus("be") == before
    assert "remains" in caplog.text
    assert any("resourceUsedThresholdWithBE" in each for each in world.round().plan.findings)


def test_a_nodeslo_that_could_never_be_read(tmp_path):
    """An agent that starts with it leaves BE pods as they are: narrow ones are not widened."""
    world = a_node(tmp_path)
    world.used.pods["ls"] = 8.0
    world.rounds()
    before = world.cpus("be")
    assert len(before) == 2
    world.slo(enable="?")
    world.restart()
    world.used.pods["ls"] = 0.0
    world.rounds()
    assert world.cpus("be") == before


@pytest.mark.parametrize("policy", ["cpuset", "cfsQuota"])
@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_an_agent_that_starts_goes_on_from_what_stands(tmp_path, version, driver, policy):
    """It does not leap to the whole budget: the files say what BE pods have."""
    world = a_node(tmp_path, version, driver)
    world.end("be")
    world.add("be", "BE", containers=[batch("16000", "64Mi")])
    world.slo(**ON, cpuSuppressPolicy=policy)
    world.used.pods["ls"] = 8.0
    world.rounds()
    world.restart()
    world.used.pods["ls"] = 0.0
    first = world.round()
    assert not first.written.counts
    assert world.decision.inputs["from"] == {"cpuset": "2", "cfsQuota": "192000"}[policy]


class Pressed:
    """A node whose LS pod waits for a CPU, as its own group's pressure says, and is throttled or not."""

    def __init__(self, root):
        self.world = a_node(root, options=Options(2, 20))
        self.waited = self.throttled = 0.0
        self.second()
        self.world.rounds(15)

    def second(self, waiting=0.0, throttled=0):
        """A second passes in which it waited so long, and was throttled so often."""
        self.waited += waiting
        self.throttled += throttled
        group = self.world.group("ls")
        hierarchy = self.world.hierarchy
        text = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={int(self.waited * 10**6)}\n"
        write(hierarchy.unified, {f"{each}/cpu.pressure": text for each in (hierarchy.kubepods, group)})
        write(hierarchy.mounts["cpu"], {f"{group}/cpu.stat": f"nr_throttled {int(self.throttled)}\n"})
        self.world.round()
        return len(self.world.cpus("be"))


def test_pressure_makes_it_more_careful(tmp_path):
    """A step less each second while the LS pod waits, then a step more; the ledger names the pod."""
    node = Pressed(tmp_path)
    assert len(node.world.cpus("be")) == 10
    sizes = [node.second(waiting=0.5) for _ in range(8)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 10
    assert sizes[-1] == 2
    last = [each for each in node.world.lines() if each["why"]["rule"] == SUPPRESSION][-1]
    assert last["why"]["inputs"]["pressure"].startswith("shop/ls waited ")
    calm = [node.second() for _ in range(10)]
    assert calm[-1] == 10


def test_pressure_of_a_throttled_pod_says_nothing(tmp_path):
    """It waits for its own quota."""
    node = Pressed(tmp_path)
    assert {node.second(waiting=0.9, throttled=1) for _ in range(8)} == {10}


def test_a_machine_without_pressure(tmp_path, caplog):
    """The budget alone counts, and that is said once, with the remedy."""
    node = Pressed(tmp_path)
    hierarchy = node.world.hierarchy
    node.second()
    (hierarchy.unified / hierarchy.kubepods / "cpu.pressure").unlink()
    for _ in range(3):
        node.world.round()
    assert len(node.world.cpus("be")) == 10
    assert caplog.text.count("the budget alone counts: ") == 1
    assert "kubepods/cpu.pressure: No such file or directory: start the kernel with psi=1" in caplog.text


def test_pods_that_are_left_alone(tmp_path):
    """One that is only observed keeps its CPUs, and counts among the others."""
    world = SuppressedWorld(tmp_path)
    world.add("be", "BE")
    world.add("seen", "BE", annotations={ANNOTATION_AGENT: "observe"})
    world.used.pods = {"be": 3.0, "seen": 8.0}
    world.rounds()
    assert len(world.cpus("be")) == 2
    assert world.cpus("seen") == frozenset(range(16))


def test_one_cpu_of_two(tmp_path):
    """With the floor at one, and never that of an LSE pod."""
    world = SuppressedWorld(tmp_path, shape="1x1x2x1", least=1)
    world.add("be", "BE")
    world.add("ls", "LS")
    world.used.pods = {"ls": 1.5, "be": 0.5}
    world.rounds()
    (kept,) = world.cpus("be")
    world.add("lse", "LSE", cpus=1, set_=str(kept))
    world.round()
    assert world.cpus("be") == {1 - kept}


def test_nothing_is_written_while_nothing_changes(tmp_path):
    """Loads that come to the same number of CPUs are no reason to look at a pod."""
    world = a_node(tmp_path)
    world.rounds()
    writes = len(world.kernel.writes)
    for i in range(20):
        world.used.pods["ls"] = 0.5 + i / 100
        world.round()
    assert len(world.kernel.writes) == writes


def test_standing_by_it_forgets(tmp_path):
    """What koordlet left there is what stands."""
    world = a_node(tmp_path)
    world.rounds()
    assert world.suppressor.report()["on"]
    world.suppressor.forget()
    assert world.suppressor.report() == {"on": False}
