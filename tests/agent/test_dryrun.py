"""A dry run says what an agent in its place would write."""

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import World, seed_004
from webhook.agent.dryrun import dry_run
from webhook.agent.inputs import inputs_of
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.plan.settings import Settings
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
            path = self.hierarchy.file(name.partition(".")[0], group, name)
            with open(path, "w") as file:
                file.write(f"{text}\n")

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
