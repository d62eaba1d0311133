"""A node's counters, looked at each second."""

import errno
import logging
import shutil
from pathlib import Path

import pytest

from tests.agent.builders import GI, MI, Tree, node_pod
from tests.agent.tree import write
from webhook.agent.measuring.counters import Pressure
from webhook.agent.measuring.keptfile import KeptFile
from webhook.agent.measuring.sampler import PODS, SLICES, Policy, Sampler
from webhook.agent.measuring.usage import Use


@pytest.fixture(params=[1, 2])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """A node of each version."""
    return Tree(tmp_path, version=request.param)


def _sampler(tree: Tree) -> Sampler:
    return Sampler(tree.hierarchy, tree.root, tree.clock)


def _work(tree: Tree, sampler: Sampler, seconds: int, *names: str) -> None:
    """Let the node use 3 cores for some seconds, 2 of them its pods, and each pod named half a core."""
    pods = [node_pod(name) for name in names]
    for _ in range(seconds):
        tree.now += 1
        tree.machine(3.0, 8 * GI)
        tree.group("kubepods", 2.0, 2 * GI)
        tree.group("kubepods/burstable", 2.0, 2 * GI)
        for name in names:
            tree.group(f"kubepods/burstable/poduid-{name}", 0.5, 100 * MI)
        sampler.look(pods)


def test_node_system_classes_and_pods(tree: Tree) -> None:
    """Each by its own counters; the system's is what the node's has beyond that of all pods."""
    sampler = _sampler(tree)
    _work(tree, sampler, 31, "a", "b")
    node, system = sampler.node.mean(tree.now, 60) or (None, None)
    assert node is not None
    assert system is not None
    assert node.cpu == pytest.approx(3.0)
    assert node.memory == 8 * GI
    assert system.cpu == pytest.approx(1.0)
    assert system.memory == pytest.approx(
        6 * GI, rel=0.1
    )  # until the pods' memory is read once, it is all its own
    assert sampler.pod("uid-a", 60) == Use(pytest.approx(0.5), 100 * MI)
    scopes = sampler.scopes()
    assert scopes[PODS].memory == scopes["burstable"].memory == 2 * GI
    assert scopes[PODS].seconds == pytest.approx(60.0)
    assert scopes["system"].seconds == pytest.approx(28.0, abs=2)
    assert scopes["besteffort"].seconds == 0.0
    assert sampler.pods()["uid-b"].seconds == pytest.approx(15.0)
    assert sampler.failures == 0


def test_pressure_of_the_system(tree: Tree) -> None:
    """That of the node's services, where systemd starts them; without such a group there is none."""
    sampler = _sampler(tree)
    _work(tree, sampler, 12)
    assert sampler.scopes()["system"].pressure == {}
    some = "some avg10=0 avg60=0 avg300=0 total=2500\n"
    top = tree.hierarchy.unified
    assert top is not None
    write(top, {"system.slice/cpu.pressure": some + some.replace("some", "full").replace("25", "5")})
    _work(tree, sampler, 10)
    assert sampler.scopes()["system"].pressure == {"cpu": Pressure(2500, 500)}
    assert sampler.failures == 0


def test_memory_with_the_cache(tree: Tree) -> None:
    """By policy files count, and then a node uses what is not free."""
    sampler = _sampler(tree)
    sampler.policy = Policy(with_cache=True)
    tree.group("kubepods/burstable/poduid-a", 0.0, MI, cache=3 * MI)
    tree.group("kubepods", 0.0, MI, cache=3 * MI)
    for _ in range(2 * SLICES + 1):
        tree.now += 1
        sampler.look([node_pod("a")])
    assert sampler.pods()["uid-a"].memory == 4 * MI
    node, _ = sampler.node.mean(tree.now, 60) or (None, None)
    assert node is not None
    assert node.memory == 32 * GI - (24 * GI) // 2


def test_a_pod_that_vanishes_between_list_and_look_is_left_out(
    tree: Tree, caplog: pytest.LogCaptureFixture
) -> None:
    """In silence; the others are measured, and its descriptors are given back."""
    sampler = _sampler(tree)
    _work(tree, sampler, 25, "a", "b")
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    for folder in tree.root.rglob("poduid-a"):
        shutil.rmtree(folder)
    tree.now += 1
    sampler.look([node_pod("a"), node_pod("b"), node_pod("never-started")])
    assert sampler.pod("uid-b", 60) is not None
    tree.now += 1
    sampler.look([node_pod("b")])
    assert sampler.pod("uid-a", 60) is None
    assert len(list(Path("/proc/self/fd").iterdir())) < open_files
    assert caplog.text == ""
    assert sampler.failures == 0


def test_a_pod_of_another_class_is_another_group(tree: Tree) -> None:
    """A uid that comes back elsewhere has a history of its own."""
    sampler = _sampler(tree)
    _work(tree, sampler, 25, "a")
    tree.group("kubepods/besteffort/poduid-a", 100.0, MI)
    tree.now += 1
    sampler.look([node_pod("a", "BestEffort")])
    assert sampler.pod("uid-a", 60) is None


def test_a_finished_pod_is_not_looked_at(tree: Tree) -> None:
    """Its group is gone, or about to go."""
    sampler = _sampler(tree)
    tree.group("kubepods/burstable/poduid-a", 1.0, MI)
    sampler.look([node_pod("a", status={"phase": "Succeeded"})])
    assert sampler.pods() == {}


def test_a_file_that_refuses_is_logged_once(
    tree: Tree, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs its group only, and each failure is counted."""
    sampler = _sampler(tree)
    read = KeptFile.read

    def refuse(self: KeptFile) -> bytes:
        if "poduid-a" in self.path:
            raise OSError(errno.EACCES, "Permission denied", self.path)
        return read(self)

    monkeypatch.setattr(KeptFile, "read", refuse)
    with caplog.at_level(logging.WARNING):
        _work(tree, sampler, 25, "a", "b")
    assert [record.getMessage() for record in caplog.records if "poduid-a" in record.getMessage()] == [
        caplog.messages[0]
    ]
    assert "Permission denied" in caplog.messages[0]
    assert sampler.failures == 25
    assert sampler.pod("uid-b", 60) is not None


def test_nonsense_in_a_file_is_left_out(tree: Tree) -> None:
    """As where a kernel writes what nobody expects: no figure, no crash."""
    sampler = _sampler(tree)
    (tree.root / "proc/stat").write_text("nonsense\n")
    for _ in range(3):
        tree.now += 1
        sampler.look([])
    assert sampler.node.mean(tree.now, 60) is None
    assert sampler.failures == 3


def test_cpus_that_go_offline_do_not_stop_the_measuring(tree: Tree) -> None:
    """What they did until then counts; rates go on."""
    sampler = _sampler(tree)
    _work(tree, sampler, 15, "a")
    tree.cpus = 1
    tree.now += 1
    tree.machine(3.0, 8 * GI)
    tree.group("kubepods", 2.0, 2 * GI)
    sampler.look([])
    for _ in range(3):
        tree.now += 1
        tree.machine(0.9, 8 * GI)
        tree.group("kubepods", 0.5, 2 * GI)
        sampler.look([])
    assert sampler.node.last is not None
    assert sampler.node.last.node.cpu == pytest.approx(0.9)


def test_nothing_stays_open(tree: Tree) -> None:
    """After the end no descriptor is kept."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    sampler = _sampler(tree)
    _work(tree, sampler, 12, "a", "b")
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    sampler.forget()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_used_at_this_moment(tmp_path):
    """Cores of the last second: of the node, all pods, each pod; None where one of two is unknown."""
    tree = Tree(tmp_path)
    sampler = Sampler(tree.hierarchy, tree.root, tree.clock)
    pods = [node_pod("a"), node_pod("b")]
    for name in ("a", "b"):
        tree.group(f"kubepods/burstable/poduid-{name}", 0, 0)
    sampler.look(pods)
    assert sampler.loads() is None

    def second(**used):
        tree.now += 1
        tree.machine(used.pop("node"), 8 * GI)
        tree.group("kubepods", sum(used.values()), 0)
        for name, seconds in used.items():
            tree.group(f"kubepods/burstable/poduid-{name}", seconds, 0)
        sampler.look(pods)
        return sampler.loads()

    found = second(node=2.0, a=1.0, b=0.5)
    assert (found.node, found.pods) == (pytest.approx(2.0), pytest.approx(1.5))
    assert found.by_pod == {"uid-a": pytest.approx(1.0), "uid-b": pytest.approx(0.5)}
    (tmp_path / "sys/fs/cgroup/cpuacct/kubepods/burstable/poduid-a/cpuacct.usage").write_text("?")
    assert second(node=2.0, b=0.5).by_pod.keys() == {"uid-b"}
    stat = tmp_path / "proc/stat"
    stat.unlink()
    sampler.forget()
    tree.now += 1
    sampler.look(pods)
    assert sampler.loads() is None
