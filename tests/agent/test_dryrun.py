"""A dry run says what an agent in its place would write."""

import os

import pytest

from tests.agent.tree import write
from tests.agent.worlds.world import World, seed_004
from webhook.agent.dryrun import dry_run
from webhook.agent.inputs import inputs_of
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.plan.settings import Settings
from webhook.agent.rendering import lines_of
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import ActionLedger
from webhook.agent.writing.reconciler import Reconciler

NODE = {"metadata": {"name": "n", "uid": "u"}}


class Recorded:
    """The cgroups of a world, in files, and the pods to which they belong."""

    def __init__(self, world):
        self.hierarchy, self.root, self.pods = world.hierarchy, world.root, list(world.pods.values())
        self.cpus = world.node.cpu_topology
        for (group, name), text in world.kernel.snapshot().items():
            top = self.hierarchy.mounts.get(name.partition(".")[0], self.hierarchy.unified)
            (top / group / name).write_text(f"{text}\n")

    def dry_run(self, **more):
        """What it says."""
        return dry_run(self.hierarchy, self.cpus, self.pods, NODE, root=self.root / "host", **more)

    def observed(self):
        """What an agent reports that observes."""
        ledger = ActionLedger(self.root / "observer", boot="one", identity=KernelFiles().identity)
        read = [read_agent_pod(raw) for raw in self.pods]
        made = inputs_of(NODE, self.cpus, None, read, Settings())
        agent = Reconciler(self.hierarchy, KernelFiles(), ledger, enforce=False)
        done = agent.round(read, made.node, made.settings)
        ledger.close()
        return done.differences


@pytest.mark.parametrize(("weight", "planned"), [("39", "20"), ("100", "59")], ids=["linear", "logarithmic"])
def test_weights_as_the_runtime_of_the_node_has_them(tmp_path, weight, planned):
    """1024 shares are 39 by the linear formula, 100 by the other: a dry run goes by it as an agent does."""
    world = World(tmp_path, 2, "systemd")
    seed_004(world)
    world.add("web", "LS", cpus=1)
    world.kernel.foreign(world.group("web", "main"), "cpu.weight", weight)
    recorded = Recorded(world)
    run = recorded.dry_run()
    found = [each for of in run.differences.values() for each in of]
    assert sorted(found) == sorted(recorded.observed())
    (mine,) = [each for each in found if each.path.endswith(f"{world.group('be', 'main')}/cpu.weight")]
    assert mine.wanted_text == planned


SELF = {
    "cgroup": "0::/\n",
    "mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate,memory_recursiveprot 0 0\n",
}


@pytest.mark.parametrize(
    ("spoilt", "left"),
    [
        ({}, True),
        ({"mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"}, False),
        ({"cgroup": "0::/system.slice/ssh.service\n"}, False),
    ],
    ids=["in its container", "without nsdelegate", "on the node"],
)
def test_the_agents_own_container_is_left_alone(tmp_path, spoilt, left):
    """Asked in there: the kernel would refuse its cgroup. Anywhere else it is one of many."""
    world = World(tmp_path, 2, "systemd")
    seed_004(world)
    world.add("agent", "", kube="BestEffort")
    own = world.group("agent", "main")
    world.kernel.texts[own]["cgroup.procs"] = f"0\n{os.getpid()}"
    world.kernel.texts[world.group("ls", "main")]["cgroup.procs"] = "0"
    write(tmp_path / "host/proc/self", {**SELF, **spoilt})
    run = Recorded(world).dry_run()
    written = [each.path for each in run.differences["uid-agent"]]
    assert [each for each in written if f"{own}/" in each] == (
        [] if left else [f"{world.hierarchy.mounts['cpuset']}/{own}/cpuset.cpus"]
    )
    assert len([each for each in written if f"{own}/" not in each]) == 2, "its pod's group and its sandbox"
    assert len([each for each in run.findings if f"{own}: this is the agent's own container" in each]) == left


def test_pods_that_are_only_observed_are_not_counted(tmp_path):
    """What would stand there is listed, next to the mode; it is not among the files that would be written."""
    world = World(tmp_path)
    world.add("be", "BE")
    world.add("mine", "BE", annotations={"colocation-webhook.io/agent": "observe"})
    run = Recorded(world).dry_run()
    mine = run.differences["uid-be"]
    assert len(run.differences["uid-mine"]) == len(mine) > 0
    head, *lines = lines_of(run, world.node.cpu_topology)
    assert f"2 pods, {len(mine)} files would be written" in head
    assert [line for line in lines if line.startswith("shop/mine  BE, observe, ")]
