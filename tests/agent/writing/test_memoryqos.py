"""Protection of memory in cgroups: pods, containers and the groups above them, and back again."""

import dataclasses

import pytest

from tests.agent.plan.builders import batch
from tests.agent.worlds.world import World
from webhook.slo.nodeslo import read_nodeslo

FILES = ("memory.min", "memory.low", "memory.high")
ON = {"enable": True, "minLimitPercent": 50, "lowLimitPercent": 75, "throttlingPercent": 80}
SLO = read_nodeslo({"resourceQOSStrategy": {name: {"memoryQOS": ON} for name in ("lsClass", "beClass")}})
MI = 2**20
CONTAINER = {"name": "main", "resources": {"requests": {"memory": "100Mi"}, "limits": {"memory": "200Mi"}}}


def world(root, version=2, driver="cgroupfs"):
    """A node with an LS and a BE pod."""
    made = World(root, version, driver)
    made.add("ls", "LS", containers=[CONTAINER])
    made.add("be", "BE", containers=[batch("500", "64Mi")])
    return made


def switch(node, slo):
    """Let another NodeSLO hold."""
    node.settings = dataclasses.replace(node.settings, slo=slo)


def texts(node, group):
    """What stands in a group."""
    return tuple(node.kernel.text(group, name) for name in FILES)


def mib(*amounts):
    """The same as texts."""
    return tuple("max" if each is None else str(each * MI) for each in amounts)


@pytest.mark.parametrize("driver", ["cgroupfs", "systemd"])
def test_where_it_is_switched_on(tmp_path, driver):
    """Each group has its part, and the groups above have the sums; off again, all is as it was."""
    node = world(tmp_path, driver=driver)
    node.rounds()
    before = node.kernel.snapshot()
    switch(node, SLO)
    assert not node.rounds().plan.findings
    assert texts(node, node.group("ls")) == mib(50, 75, None)
    assert texts(node, node.group("ls", "main")) == mib(50, 75, 180)
    assert texts(node, node.group("ls", "")) == mib(0, 0, None)
    assert texts(node, node.group("be", "main")) == mib(32, 48, 64)
    top = node.hierarchy.kubepods
    assert texts(node, node.hierarchy.child(top, "burstable")) == mib(50, 75, None)
    assert texts(node, node.hierarchy.child(top, "besteffort")) == mib(32, 48, None)
    assert texts(node, top) == mib(82, 123, None)
    switch(node, read_nodeslo(None))
    node.rounds()
    assert node.kernel.snapshot() == before


def test_what_somebody_else_changes_is_right_again(tmp_path):
    """Within ten seconds, above pods as in them; the ledger says what was found there."""
    node = world(tmp_path)
    switch(node, SLO)
    node.rounds()
    top = node.hierarchy.kubepods
    for group in (top, f"{top}/burstable", node.group("ls"), node.group("ls", "main")):
        assert node.kernel.foreign(group, "memory.low", "4096")
        node.rounds(10)
        assert node.kernel.text(group, "memory.low") != "4096"
        assert node.lines()[-1]["old"] == "4096"
        assert "expected" in node.lines()[-1]
    assert node.round().differences == ()


def test_a_pod_that_goes_takes_its_part_with_it(tmp_path):
    """And all is given back at the end: nothing is left of it above pods."""
    node = world(tmp_path)
    before = node.kernel.snapshot()
    switch(node, SLO)
    node.rounds()
    node.end("ls")
    node.rounds(10)
    top = node.hierarchy.kubepods
    assert texts(node, top) == texts(node, f"{top}/besteffort") == mib(32, 48, None)
    assert texts(node, f"{top}/burstable") == mib(0, 0, None)
    node.agent.give_back()
    after = node.kernel.snapshot()
    assert after == {place: text for place, text in before.items() if place in after}


def test_version_1_has_no_such_files(tmp_path):
    """A finding says so; nothing is tried."""
    node = world(tmp_path, version=1)
    switch(node, SLO)
    done = node.rounds()
    assert any("memory.min" in each for each in done.plan.findings)
    assert not [path for path, _ in node.kernel.writes if path.endswith(FILES)]
