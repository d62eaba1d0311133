"""Which pod's tasks wait for a CPU, and not for a quota of their own."""

import pytest

from tests.agent.plan.builders import a_pod
from tests.agent.tree import v1_tree, v2_tree, write
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.measuring.waiting import SECONDS, Waited, Waiting

NUMBER = "c" * 64


class Pods:
    """Two pods of which a test says how long they waited."""

    def __init__(self, root, version):
        self.root, self.version, self.now = root, version, 100.0
        groups = [f"kubepods/burstable/pod{name}/{NUMBER}" for name in ("web", "db")]
        (v1_tree if version == 1 else v2_tree)(root, *groups)
        self.pods = [a_pod(name, "LS", uid=name) for name in ("web", "db")]
        for pod in self.pods:
            self.say(pod.uid, 0)
        self.waiting = Waiting(find_hierarchy(root), lambda: self.now)

    def say(self, name, waited, throttled=0, below=0):
        """Seconds that tasks of a pod waited, and how often pod and container were throttled."""
        top = self.root / "sys/fs/cgroup"
        group = f"kubepods/burstable/pod{name}"
        text = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={int(waited * 10**6)}\n"
        write(top / ("unified" if self.version == 1 else ""), {f"{group}/cpu.pressure": text})
        cpu = top / ("cpu" if self.version == 1 else "")
        stat = "nr_periods 9\nnr_throttled {}\nthrottled_time 0\n"
        write(cpu, {f"{group}/cpu.stat": stat.format(throttled)})
        write(cpu, {f"{group}/{NUMBER}/cpu.stat": stat.format(below)})

    def look(self):
        """A second passes."""
        self.now += 1
        return self.waiting.look(self.pods)


@pytest.fixture(params=[1, 2])
def pods(request, tmp_path):
    """In cgroups of both versions."""
    return Pods(tmp_path, request.param)


def test_what_the_machine_lacks(pods):
    """A kernel that counts no pressure; where version 2 is not mounted nobody counts any."""
    assert (
        "kubepods/cpu.pressure: No such file or directory: start the kernel with psi=1"
        in pods.waiting.lacking()
    )
    top = pods.root / "sys/fs/cgroup" / ("unified" if pods.version == 1 else "")
    write(top, {"kubepods/cpu.pressure": ""})
    assert pods.waiting.lacking() == ""
    if pods.version == 1:
        (top / "cgroup.controllers").unlink()
        alone = Waiting(find_hierarchy(pods.root), lambda: pods.now)
        assert alone.lacking().startswith("cgroups of version 1 have no pressure: mount version 2")


def test_the_pod_that_waited_most_of_late(pods):
    """As the share of the last seconds; before that nothing is known."""
    for i in range(int(SECONDS)):
        pods.say("web", i / 4)
        pods.say("db", i / 10)
        assert pods.look() is None
    pods.say("web", 1.0)
    assert pods.look() == Waited("shop/web", 25)
    for _ in range(int(SECONDS)):
        found = pods.look()
    assert found == Waited("shop/web", 0)


@pytest.mark.parametrize("where", ["throttled", "below"])
def test_a_throttled_pod_does_not_count(pods, where):
    """At its own group or a container's: it waits for its quota."""
    for i in range(6):
        pods.say("web", float(i), **{where: i})
        pods.say("db", i / 2)
        found = pods.look()
    assert found == Waited("shop/db", 50)


def test_pods_that_go_and_come(pods):
    """Nothing is known of a pod whose files are gone, nor at once of one that is there again."""
    for i in range(6):
        pods.say("web", float(i))
        found = pods.look()
    assert found == Waited("shop/web", 100)
    pods.say("web", 0.0)  # another group of that name counts from nothing
    assert pods.look() == Waited("shop/db", 0)
    (pods.root / "sys/fs/cgroup").joinpath(
        "cpu" if pods.version == 1 else "", "kubepods/burstable/poddb", NUMBER, "cpu.stat"
    ).unlink()  # a container ended
    assert pods.look() == Waited("shop/db", 0)
    pods.pods = pods.pods[1:]
    assert pods.look() == Waited("shop/db", 0)
    for path in pods.root.rglob("cpu.pressure"):
        path.unlink()
    pods.waiting = Waiting(find_hierarchy(pods.root), lambda: pods.now)
    assert [pods.look() for _ in range(6)] == [None] * 6
