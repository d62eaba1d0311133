"""While nobody says the kubelet's policy, what a kubelet of the policy static wrote is nobody else's."""

import dataclasses
import hashlib

import pytest

from tests.agent.worlds.world import KINDS, World, sets
from webhook.agent.plan.agentpod import read_agent_pod
from webhook.agent.plan.settings import CPUManager
from webhook.agent.writing.pinned import Pinned
from webhook.cpuset.allocation import BindPolicy

UNKNOWN = "the kubelet's CPU policy is unknown"


def unknown(root, version=1, driver="cgroupfs"):
    """A node of 16 CPUs, whose kubelet's files are not read."""
    world = World(root, version, driver)
    world.settings = dataclasses.replace(world.settings, cpu_manager=CPUManager.UNKNOWN)
    return world


def pinned(world, name, cpus, text, container="main", **fields):
    """A Guaranteed pod without a class, to whose container a kubelet of the policy static gave CPUs."""
    world.add(name, "", kube="Guaranteed", cpus=cpus, **fields)
    assert world.kernel.foreign(world.group(name, container), "cpuset.cpus", text)


@pytest.mark.parametrize(("version", "driver"), KINDS)
def test_a_set_of_the_kubelets_stays_and_is_in_no_pool(tmp_path, version, driver):
    """Not a file of that pod is written; LS and BE pods, those that come later among them, run beside it."""
    world = unknown(tmp_path, version, driver)
    pinned(world, "db", 2, "2-3")
    group = world.group("db")
    before = {key: text for key, text in world.kernel.snapshot().items() if group in key[0]}
    world.add("ls", "LS")
    world.add("be", "BE")
    world.add("plain", "")
    done = world.rounds()
    world.add("late", "LS")
    world.rounds()
    rest = "0-1,4-15"
    assert sets(world) == {"db": "2-3", "ls": rest, "be": rest, "plain": rest, "late": rest}
    assert {key: text for key, text in world.kernel.snapshot().items() if group in key[0]} == before
    assert not [path for path, _ in world.kernel.writes if group in path]
    assert len([each for each in done.plan.findings if UNKNOWN in each]) == 1
    world.end("db")
    world.rounds()
    assert sets(world)["ls"] == "0-15"


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_set_of_its_own_a_container_pins_nothing(tmp_path, version):
    """As under the policy none: the pod runs where it did, and so do all others."""
    world = unknown(tmp_path, version)
    world.add("db", "", kube="Guaranteed", cpus=2)
    world.add("ls", "LS")
    world.rounds()
    assert sets(world) == {"db": "0-15" if version == 1 else "", "ls": "0-15"}


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_no_pinned_set(tmp_path, version):
    """A set larger than the request is a pool; a container that requests a part of a CPU has none."""
    world = unknown(tmp_path, version)
    pinned(world, "pool", 2, "0-5")
    parts = {kind: {"cpu": "1500m"} for kind in ("requests", "limits")}
    world.add("part", "", kube="Guaranteed", containers=[{"name": "main", "resources": parts}])
    world.kernel.foreign(world.group("part", "main"), "cpuset.cpus", "7")
    world.add("ls", "LS")
    world.rounds()
    assert sets(world) == {"pool": "0-5", "part": "0-15", "ls": "0-15"}


@pytest.mark.parametrize("version", [1, 2])
def test_what_the_agent_wrote_before_is_given_back_and_pins_nothing(tmp_path, version):
    """Its policy was known until now, and a set was the agent's."""
    world = unknown(tmp_path, version)
    world.settings = dataclasses.replace(world.settings, cpu_manager=CPUManager.NONE)
    world.add("lse", "LSE", cpus=14, set_="0-13")
    world.add("db", "", kube="Guaranteed", cpus=2)
    world.rounds()
    assert sets(world)["db"] == "14-15"
    world.settings = dataclasses.replace(world.settings, cpu_manager=CPUManager.UNKNOWN)
    world.end("lse")
    world.add("ls", "LS")
    world.rounds()
    assert sets(world) == {"db": "0-15", "ls": "0-15"}


def test_a_set_that_comes_later_is_seen(tmp_path):
    """Within ten seconds; one with a CPU that is granted to a pod is not the kubelet's."""
    world = unknown(tmp_path)
    world.add("db", "", kube="Guaranteed", cpus=2)
    world.add("lse", "LSE", cpus=2, set_="2-3")
    world.add("ls", "LS")
    world.rounds()
    assert sets(world) == {"db": "0-15", "lse": "2-3", "ls": "0-1,4-15"}
    world.kernel.foreign(world.group("db", "main"), "cpuset.cpus", "4-5")
    world.rounds(10)
    assert sets(world) == {"db": "4-5", "lse": "2-3", "ls": "0-1,6-15"}
    world.kernel.foreign(world.group("db", "main"), "cpuset.cpus", "3-4")
    done = world.rounds(10)
    assert sets(world) == {"db": "3-4", "lse": "2-3", "ls": "0-1,4-15"}
    assert [each for each in done.problems if "CPUs 3 of its set are granted to" in each]


@pytest.mark.parametrize("version", [1, 2])
def test_a_pool_that_somebody_left_is_no_pinned_set(tmp_path, version):
    """A share pool of koordlet's, on a plain pod, too, which requests as many CPUs."""
    world = unknown(tmp_path, version)
    world.add("lsr", "LSR", cpus=12, set_="0-11")
    pinned(world, "db", 4, "12-15")
    for name in ("ls", "web"):
        world.add(name, "LS")
        world.kernel.foreign(world.group(name, "main"), "cpuset.cpus", "12-15")
    done = world.rounds()
    assert sets(world) == {"lsr": "0-11", "db": "12-15", "ls": "12-15", "web": "12-15"}
    assert not [each for each in done.plan.findings if "is empty" in each]
    world.end("lsr")
    world.rounds()
    assert sets(world) == {"db": "12-15", "ls": "0-15", "web": "0-15"}
    world.restart()
    world.rounds()
    assert sets(world) == {"db": "12-15", "ls": "0-15", "web": "0-15"}
    world.add("late", "LSR", cpus=4, set_="12-15")
    world.rounds()
    assert sets(world) == {"db": "12-15", "ls": "0-11", "web": "0-11", "late": "12-15"}


@pytest.mark.parametrize("version", [1, 2])
def test_one_set_of_two_containers_is_no_pinned_set(tmp_path, version):
    """Not of two such pods either; a set that only one has is."""
    world = unknown(tmp_path, version)
    pinned(world, "db", 4, "12-15")
    pinned(world, "cache", 4, "12-15")
    pinned(world, "queue", 2, "2-3")
    world.add("ls", "LS")
    world.rounds()
    assert sets(world)["ls"] == "0-1,4-15"


@pytest.mark.parametrize("version", [1, 2])
def test_a_set_as_wide_as_the_group_above_is_no_pinned_set(tmp_path, version):
    """Nobody chose it, whatever its container requests; so it is given back in version 2."""
    world = unknown(tmp_path, version)
    pinned(world, "db", 16, "0-15")
    world.add("ls", "LS")
    done = world.rounds()
    assert sets(world)["ls"] == "0-15"
    assert not [each for each in done.plan.findings if "is empty" in each]


@pytest.mark.parametrize("version", [1, 2])
def test_a_granted_set_is_no_pinned_set(tmp_path, version):
    """An annotation that gives its pod no CPUs, as of this LS pod, makes no difference."""
    world = unknown(tmp_path, version)
    pinned(world, "db", 4, "4-7")
    pinned(world, "cache", 2, "2-3")
    world.add("lsr", "LSR", cpus=2, set_="6-7")
    world.add("ls", "LS", cpus=2, set_="2-3")
    world.rounds()
    assert sets(world) == {"db": "4-7", "cache": "2-3", "lsr": "6-7", "ls": "0-1,4-5,8-15"}


@pytest.mark.parametrize("policy", [BindPolicy.FULL_PCPUS, BindPolicy.NONE])
@pytest.mark.parametrize("version", [1, 2])
def test_without_a_ledger_a_pod_with_cpus_by_its_annotation_pins_none(tmp_path, version, policy):
    """By the node's bind policy a pod without a class has some; its set stays when the policy is dropped."""
    world = unknown(tmp_path, version)
    world.node = dataclasses.replace(world.node, bind_policy=policy)
    pinned(world, "db", 2, "2-3", set_="2-3")
    pinned(world, "old", 2, "4-5", set_="4-5")
    read = [read_agent_pod(raw) for raw in world.pods.values()]
    assert Pinned(world.hierarchy, world.kernel).on(world.node, read, world.settings) is world.node


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_that_waits_to_start_again_keeps_its_cpus(tmp_path, version):
    """Until the group with which it starts again says something else, or its pod is gone."""
    world = unknown(tmp_path, version)
    pinned(world, "db", 2, "2-3")
    world.add("ls", "LS")
    world.rounds()

    def of_ls():
        return world.kernel.text(world.group("ls", "main"), "cpuset.cpus")

    world.kernel.remove(world.group("db", "main"))
    world.rounds(60)
    assert of_ls() == "0-1,4-15"
    number = hashlib.sha256(b"again").hexdigest()
    group = world.kernel.make(world.container(world.group("db"), number))
    assert world.kernel.foreign(group, "cpuset.cpus", "2-3")
    world.rounds()
    assert of_ls() == "0-1,4-15", "no status names it yet"
    status = [{"name": "main", "containerID": f"containerd://{number}"}]
    world.pods["db"]["status"]["containerStatuses"] = status
    world.rounds()
    assert of_ls() == "0-1,4-15"
    assert world.kernel.foreign(group, "cpuset.cpus", "4-5")
    world.rounds()
    assert of_ls() == "0-3,6-15"
    world.kernel.remove(group)
    world.rounds()
    assert of_ls() == "0-3,6-15"
    world.end("db")
    world.rounds()
    assert of_ls() == "0-15"


def test_a_recording_without_the_effective_cpus_of_version_2(tmp_path, monkeypatch):
    """Each set counts as a narrower one there."""
    world = unknown(tmp_path, 2)
    pinned(world, "db", 2, "2-3")
    read = world.kernel.read

    def recorded(path):
        if path.endswith(".effective"):
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(world.kernel, "read", recorded)
    pods = [read_agent_pod(raw) for raw in world.pods.values()]
    node = Pinned(world.hierarchy, world.kernel).on(world.node, pods, world.settings)
    assert node.reservations.kubelet_pinned == {2, 3}
