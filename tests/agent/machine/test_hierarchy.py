"""The cgroups of a node, found in trees of both versions and both drivers."""

import errno
from pathlib import Path

import pytest

from tests.agent.tree import v1_tree, v2_tree, write
from webhook.agent.machine.hierarchy import Driver, HierarchyError, find_hierarchy
from webhook.protocol import KubeQoS

ID = "0" * 63 + "a"
UID = "2f1d0f55-8f6b-4a7e-9c1c-6d1f0c3b5a77"
SYSTEMD_UID = UID.replace("-", "_")


def test_version_1_with_cgroupfs(tmp_path: Path) -> None:
    """Each controller has a hierarchy of its own; pressure files are in version 2's beside them."""
    v1_tree(tmp_path, f"kubepods/besteffort/pod{UID}/{ID}")
    found = find_hierarchy(tmp_path)
    assert (found.version, found.driver, found.kubepods) == (1, Driver.CGROUPFS, "kubepods")
    pod = found.pod(KubeQoS.BEST_EFFORT, UID)
    assert pod == f"kubepods/besteffort/pod{UID}"
    assert found.containers(pod) == {ID: f"{pod}/{ID}"}
    top = tmp_path / "sys/fs/cgroup"
    assert found.file("memory", pod, "memory.stat") == f"{top}/memory/{pod}/memory.stat"
    assert found.unified_file(pod, "cpu.pressure") == f"{top}/unified/{pod}/cpu.pressure"


@pytest.mark.parametrize("scope", ["cri-containerd-{}.scope", "crio-{}.scope", "docker-{}.scope"])
def test_version_2_with_systemd(tmp_path: Path, scope: str) -> None:
    """One hierarchy holds all; a slice is named with the slices above it, a uid without dashes."""
    burstable = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SYSTEMD_UID}.slice"
    v2_tree(tmp_path, f"{burstable}/{scope.format(ID)}", "system.slice", "init.scope")
    found = find_hierarchy(tmp_path)
    assert (found.version, found.driver, found.kubepods) == (2, Driver.SYSTEMD, "kubepods.slice")
    assert found.pod(KubeQoS.BURSTABLE, UID) == burstable
    assert found.containers(burstable) == {ID: f"{burstable}/{scope.format(ID)}"}
    assert found.file("cpu", burstable, "cpu.max") == f"{tmp_path}/sys/fs/cgroup/{burstable}/cpu.max"


def test_controllers_that_share_a_hierarchy(tmp_path: Path) -> None:
    """As systemd mounts them, ``cpu,cpuacct``; without version 2 there are no pressure files."""
    v1_tree(tmp_path, "kubepods.slice", joined=True, hybrid=False)
    found = find_hierarchy(tmp_path)
    top = tmp_path / "sys/fs/cgroup"
    assert found.file("cpuacct", "", "cpuacct.usage") in {
        f"{top}/{name}/cpuacct.usage" for name in ("cpuacct", "cpu,cpuacct")
    }
    assert found.unified_file("", "cpu.pressure") is None


def test_a_kubelet_below_a_group_of_its_own(tmp_path: Path) -> None:
    """With a cgroupRoot, as in kind; its name goes on in the names of the slices below."""
    v2_tree(tmp_path, "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice")
    found = find_hierarchy(tmp_path)
    assert found.kubepods == "kubelet.slice/kubelet-kubepods.slice"
    assert found.qos(KubeQoS.BURSTABLE) == f"{found.kubepods}/kubelet-kubepods-burstable.slice"


def test_the_groups_of_two_kubelets_are_an_error_until_one_is_named(tmp_path: Path) -> None:
    """Which of them is ours cannot be guessed."""
    v1_tree(tmp_path, "kubepods", "kubepods.slice")
    with pytest.raises(HierarchyError, match=r"kubepods and kubepods\.slice .* name one with --kubepods"):
        find_hierarchy(tmp_path)
    assert find_hierarchy(tmp_path, "/kubepods").driver is Driver.CGROUPFS
    with pytest.raises(HierarchyError, match="there is no folder"):
        find_hierarchy(tmp_path, "elsewhere")


def test_a_machine_without_a_kubelet_is_named(tmp_path: Path) -> None:
    """The error says what was looked for, and where."""
    with pytest.raises(HierarchyError, match=r"there is no cgroup hierarchy .*: give with --root"):
        find_hierarchy(tmp_path)
    v2_tree(tmp_path, "system.slice")
    with pytest.raises(HierarchyError, match=r"there is no group kubepods .*, or give with --root"):
        find_hierarchy(tmp_path)


def test_a_folder_that_nobody_may_look_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root without capabilities meets such ones, too."""
    v1_tree(tmp_path, "kubepods")

    def refused(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refused)
    with pytest.raises(HierarchyError, match=r"/sys/fs/cgroup/.*: Permission denied: run this as root"):
        find_hierarchy(tmp_path)


def test_a_pod_that_is_gone_has_no_containers(tmp_path: Path) -> None:
    """Between list and look a pod may end."""
    v2_tree(tmp_path, "kubepods")
    found = find_hierarchy(tmp_path)
    assert found.containers(found.pod(KubeQoS.BURSTABLE, UID)) == {}


def test_controllers_that_are_missing_are_known(tmp_path: Path) -> None:
    """Version 2 counts CPU time without a controller, version 1 does not."""
    write(tmp_path / "two", {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io\n"})
    (tmp_path / "two/sys/fs/cgroup/kubepods").mkdir()
    found = find_hierarchy(tmp_path / "two")
    assert found.lacking == ("memory",)
    assert found.file("memory", "kubepods", "memory.stat") is None
    for name in ("cpu", "cpuset"):
        (tmp_path / "one/sys/fs/cgroup" / name / "kubepods").mkdir(parents=True)
    assert find_hierarchy(tmp_path / "one").lacking == ("cpuacct", "memory")
