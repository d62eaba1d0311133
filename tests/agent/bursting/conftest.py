"""Nodes for tests of bursts."""

import pytest

from tests.agent.bursting.world import BurstWorld, container
from tests.agent.worlds.world import KINDS


@pytest.fixture(params=KINDS, ids=lambda kind: f"v{kind[0]}-{kind[1]}")
def node(request, tmp_path):
    """A node on which nothing else runs, with a pod of half a CPU and a whole one."""
    made = BurstWorld(tmp_path, *request.param)
    made.add("web", containers=[container("500m"), container("1", "side")])
    made.rounds()
    return made
