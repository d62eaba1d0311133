"""The runtime's formula is learnt from a container that the agent leaves alone."""

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import World


@pytest.mark.parametrize(("weight", "expected"), [("39", "20"), ("100", "59"), ("77", "20")])
def test_containers_are_weighted_as_the_runtime_does(tmp_path, weight, expected):
    """1024 shares are 39 by the linear formula, 100 by the other; what fits none says nothing."""
    world = World(tmp_path, 2, "systemd")
    world.add("web", "LS", cpus=1)
    world.kernel.foreign(world.group("web", "main"), "cpu.weight", weight)
    world.add("be", "BE", containers=[batch("500", "64Mi")])
    world.rounds(40)
    assert world.kernel.text(world.group("be", "main"), "cpu.weight") == expected
    assert world.kernel.text(world.group("web", "main"), "cpu.weight") == weight


def test_a_container_that_the_agent_writes_says_nothing(tmp_path):
    """Nor does one with hardly any request; the linear formula holds."""
    world = World(tmp_path, 2)
    container = batch("500", "64Mi")
    container["resources"]["requests"]["cpu"] = "1"
    world.add("be", "BE", kube="Burstable", containers=[container])
    world.kernel.foreign(world.group("be", "main"), "cpu.weight", "100")
    world.rounds(40)
    assert world.kernel.text(world.group("be", "main"), "cpu.weight") == "20"
