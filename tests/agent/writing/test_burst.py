"""Bursts in cgroups of both versions: no more than the quota that stands, and back again."""

import copy
import dataclasses
import errno

import pytest

from tests.agent.worlds.world import KINDS, World
from webhook.slo.nodeslo import read_nodeslo

SLO = read_nodeslo({"cpuBurstStrategy": {"policy": "cpuBurstOnly"}})
CONTAINER = {"name": "main", "resources": {"limits": {"cpu": "500m"}}}


@pytest.fixture(params=KINDS, ids=lambda kind: f"v{kind[0]}-{kind[1]}")
def node(request, tmp_path):
    """A node with an LS pod of half a CPU that the kubelet has given its quota; bursts are off."""
    made = World(tmp_path, *request.param)
    made.add("ls", "LS", containers=[copy.deepcopy(CONTAINER)])
    quota(made, 50_000)
    made.rounds()
    return made


def groups(node):
    """The groups of pod and container."""
    return node.group("ls"), node.group("ls", "main")


def quota(node, amount, where=None):
    """The kubelet writes quotas: when they grow from the pod's down, when they shrink from the bottom up."""
    name = "cpu.cfs_quota_us" if node.kernel.version == 1 else "cpu.max"
    return [node.kernel.foreign(group, name, str(amount)) for group in where or groups(node)]


def bursts(node):
    """What stands at pod and container, and in the sandbox."""
    name = "cpu.cfs_burst_us" if node.kernel.version == 1 else "cpu.max.burst"
    return [node.kernel.text(group, name) for group in (*groups(node), node.group("ls", ""))]


def switch(node, slo):
    """Let another NodeSLO hold."""
    node.settings = dataclasses.replace(node.settings, slo=slo)


def test_where_it_is_switched_on(node):
    """Pod and container may save up their quota; off again, all is as it was."""
    before = node.kernel.snapshot()
    switch(node, SLO)
    node.rounds()
    assert bursts(node) == ["50000", "50000", "0"]
    (line,) = {each["why"]["rule"] for each in node.lines() if "burst" in each["file"]}
    assert line == "cpu-burst"
    switch(node, read_nodeslo(None))
    node.rounds()
    assert node.kernel.snapshot() == before


def test_no_more_than_the_quota_that_stands(node):
    """A kubelet with a shorter period has written less; one without quotas none at all."""
    quota(node, 20_000, reversed(groups(node)))
    switch(node, SLO)
    node.rounds()
    assert bursts(node) == ["20000", "20000", "0"]
    quota(node, "max" if node.kernel.version == 2 else -1)
    node.rounds(10)
    assert bursts(node) == ["0", "0", "0"]


def test_a_resize_to_less(node):
    """The kernel refuses the kubelet a quota below the burst, until the agent has seen the new limit."""
    switch(node, SLO)
    node.rounds()
    shrink = (node.group("ls", "main"), node.group("ls"))
    assert not any(quota(node, 30_000, shrink))
    (main,) = node.pods["ls"]["spec"]["containers"]
    main["resources"] = {"limits": {"cpu": "300m"}}
    node.rounds(1)
    assert bursts(node) == ["30000", "30000", "0"]
    assert all(quota(node, 30_000, shrink))


def test_a_quota_that_shrinks_meanwhile(node):
    """What the kernel refuses then is tried again, and nobody is told."""
    switch(node, SLO)
    for _ in range(2):
        node.kernel.fault("cpu.cfs_burst_us", errno.EINVAL)
        node.kernel.fault("cpu.max.burst", errno.EINVAL)
    done = node.rounds(1)
    assert not done.written.refusals
    node.rounds(5)
    assert bursts(node) == ["50000", "50000", "0"]
