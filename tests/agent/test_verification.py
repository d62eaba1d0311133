"""The CPU sets of pods as recorded kernels have them, next to what should stand there."""

import json

import pytest

from tests.agent.plan.builders import batch, raw_pod
from tests.agent.tree import v1_tree, v2_tree, write
from webhook.agent.machine.hierarchy import find_hierarchy
from webhook.agent.machine.kubelet import Kubelet
from webhook.agent.verification import Owed, data_of, verify
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.cpuset.cpulist import parse_cpulist
from webhook.cpuset.discovery import parse_shape

CPUS = parse_shape("1x1x16x1")
SUPPRESSED = {"resourceUsedThresholdWithBE": {"enable": True, "cpuSuppressPolicy": "cpuset"}}
SEED = {"lse": "0-1", "lsr": "2-3", "ls": "4-15", "be": "2,4-12"}
"""What seed 004 reads from ``cpuset.cpus``."""


def container_id(name):
    """The id of a pod's container, as containerd gives one."""
    return f"{sum(map(ord, name)):064x}"


def pods(**kinds):
    """The pods of seed 004, one a class, and their containers."""
    made = [
        raw_pod("lse", "LSE", cpus=2, set_="0-1", uid="u-lse", kube=kinds.get("lse", "Burstable")),
        raw_pod("lsr", "LSR", cpus=2, set_="2-3", uid="u-lsr", kube="Burstable"),
        raw_pod("ls", "LS", cpus=2, uid="u-ls"),
        raw_pod("be", "BE", containers=[batch("2000")], uid="u-be"),
    ]
    for each in made:
        each["status"]["containerStatuses"][0]["containerID"] = (
            f"containerd://{container_id(each['metadata']['name'])}"
        )
    return made


FOLDERS = {
    "Guaranteed": "",
    "Burstable": "kubepods-burstable.slice/kubepods-burstable-",
    "BestEffort": "kubepods-besteffort.slice/kubepods-besteffort-",
}


def slice_of(pod):
    """The path of a pod's cgroup under the driver systemd, spelled here once more by hand."""
    kind = FOLDERS[pod["status"]["qosClass"]] or "kubepods-"
    return f"kubepods.slice/{kind}pod{pod['metadata']['uid'].replace('-', '_')}.slice"


def v2_systemd(root, made, sets):
    """A machine of cgroup v2 and the driver systemd on which each pod's container has a set."""
    groups = [slice_of(each) for each in made]
    v2_tree(root, *groups)
    top = root / "sys/fs/cgroup"
    for group, each in zip(groups, made, strict=True):
        name = each["metadata"]["name"]
        scope = f"{group}/cri-containerd-{container_id(name)}.scope"
        sandbox = f"{group}/cri-containerd-{'f' * 64}.scope"
        for folder, text in ((group, ""), (scope, sets[name]), (sandbox, "0-15")):
            write(
                top, {f"{folder}/cpuset.cpus": text + "\n", f"{folder}/cpuset.cpus.effective": text or "0-15"}
            )
    return find_hierarchy(root)


def look(hierarchy, made, **more):
    """What is found, by the names of pods without their namespace."""
    found = verify(hierarchy, KernelFiles(), CPUS, made, {"metadata": {"name": "n"}}, **more)
    return found, {each.pod.name.partition("/")[2]: each for each in found.pods}


@pytest.mark.parametrize("kind", ["Burstable", "Guaranteed"])
def test_seed_004(tmp_path, kind):
    """Each pod's figure from the folder of the seed's script, also of a Guaranteed pod; all are right."""
    made = pods(lse=kind)
    found, by_name = look(v2_systemd(tmp_path, made, SEED), made, slo=SUPPRESSED)
    assert found.cgroups == "cgroup v2, driver systemd"
    assert found.differing == 0
    assert {name: each.agrees for name, each in by_name.items()} == dict.fromkeys(SEED, True)
    data = {each["pod"]: each for each in data_of(found)["pods"]}
    for each in made:
        name = each["metadata"]["name"]
        (container,) = data[f"shop/{name}"]["containers"]
        assert container["cpuset"] == SEED[name]
        assert container["cgroup"] == (
            f"{tmp_path}/sys/fs/cgroup/{slice_of(each)}/cri-containerd-{container_id(name)}.scope"
        )
    assert [data[f"shop/{name}"]["annotation"] for name in SEED] == ["0-1", "2-3", None, None]
    assert [data[f"shop/{name}"]["wanted"] for name in SEED] == ["0-1", "2-3", "4-15", "2-15"]
    assert data["shop/be"]["rule"] == "be-pool, suppression"


@pytest.mark.parametrize(
    "slo",
    [
        None,
        {"resourceUsedThresholdWithBE": {"enable": False}},
        {"resourceUsedThresholdWithBE": {"enable": True, "cpuSuppressPolicy": "cfsQuota"}},
    ],
)
def test_be_pods_have_less_only_while_they_are_suppressed(tmp_path, slo):
    """Without suppression by CPU sets a part of the pool is another set."""
    made = pods()
    _, by_name = look(v2_systemd(tmp_path, made, SEED), made, slo=slo)
    assert {name: each.agrees for name, each in by_name.items()} == {
        **dict.fromkeys(SEED, True),
        "be": False,
    }


@pytest.mark.parametrize(
    ("name", "text"), [("lse", "0-2"), ("lsr", "2"), ("ls", "3-15"), ("be", "1-5"), ("be", "")]
)
def test_a_set_that_differs(tmp_path, name, text):
    """Whoever has a CPU more, one too few, or an LSE pod's: that pod, and no other."""
    made = pods()
    found, by_name = look(v2_systemd(tmp_path, made, {**SEED, name: text}), made, slo=SUPPRESSED)
    assert [each for each in by_name if by_name[each].agrees is False] == [name]
    assert found.differing == 1


def test_the_kernel_decides_in_version_2(tmp_path):
    """A group without a set of its own runs on that of the group above, which koordlet uses for BE pods."""
    made = pods()
    hierarchy = v2_systemd(tmp_path, made, {**SEED, "be": ""})
    scope = f"{slice_of(made[3])}/cri-containerd-{container_id('be')}.scope"
    write(tmp_path / "sys/fs/cgroup", {f"{scope}/cpuset.cpus.effective": "4-12\n"})
    _, by_name = look(hierarchy, made, slo=SUPPRESSED)
    assert by_name["be"].agrees
    ((_, group),) = by_name["be"].containers
    assert (group.cpus, group.on) == (frozenset(), parse_cpulist("4-12"))


def test_version_1_and_the_driver_cgroupfs(tmp_path):
    """The folders are those of the controller cpuset."""
    made = pods(lse="Guaranteed")[:1]
    group = f"kubepods/podu-lse/{container_id('lse')}"
    v1_tree(tmp_path, "kubepods", "kubepods/podu-lse", group)
    top = tmp_path / "sys/fs/cgroup/cpuset"
    write(top, {"kubepods/podu-lse/cpuset.cpus": "0-15\n", f"{group}/cpuset.cpus": "0-1\n"})
    found, by_name = look(find_hierarchy(tmp_path), made)
    assert found.cgroups == "cgroup v1, driver cgroupfs"
    lse = by_name["lse"]
    assert lse.agrees
    assert lse.group is not None
    assert (lse.group.folder, lse.group.cpus) == (f"{top}/kubepods/podu-lse", parse_cpulist("0-15"))
    assert [group.folder for _, group in lse.containers] == [f"{top}/{group}"]


def test_pods_without_a_cgroup(tmp_path):
    """One that runs is not where it should be; of one that has not started nothing is said."""
    made = pods()
    made[1]["status"]["phase"] = "Pending"
    v2_tree(tmp_path, "kubepods.slice")
    _, by_name = look(find_hierarchy(tmp_path), made)
    assert {name: each.agrees for name, each in by_name.items()} == {
        **dict.fromkeys(SEED, False),
        "lsr": None,
    }
    assert by_name["lse"].group is None


@pytest.mark.parametrize("mode", ["observe", "ignore"])
def test_a_pod_that_is_left_alone(tmp_path, mode):
    """By its annotation, whatever its set is."""
    made = pods()
    made[2]["metadata"]["annotations"]["colocation-webhook.io/agent"] = mode
    _, by_name = look(v2_systemd(tmp_path, made, {**SEED, "ls": "0-15"}), made, slo=SUPPRESSED)
    assert by_name["ls"].agrees is None
    assert by_name["ls"].owed.rule == f"left alone, {mode}"


@pytest.mark.parametrize(("pinned", "agrees"), [("8-9", True), ("8-10", False)])
def test_cpus_that_the_kubelet_chose(tmp_path, pinned, agrees):
    """A Guaranteed pod without a class under the policy static runs on what the checkpoint says."""
    plain = raw_pod("plain", "", cpus=2, uid="u-plain", kube="Guaranteed")
    plain["status"]["containerStatuses"][0]["containerID"] = f"containerd://{container_id('plain')}"
    kubelet = Kubelet("static", {}, frozenset(), 0, {"u-plain": parse_cpulist(pinned)}, "", ())
    hierarchy = v2_systemd(tmp_path, [plain], {"plain": "8-9"})
    _, by_name = look(hierarchy, [plain], kubelet=kubelet)
    assert by_name["plain"].owed.rule == "kubelet"
    assert by_name["plain"].agrees is agrees
    twin = {"name": "twin", "containerID": f"containerd://{container_id('twin')}"}
    plain["status"]["containerStatuses"].append(twin)
    _, by_name = look(hierarchy, [plain], kubelet=kubelet)
    assert (by_name["plain"].owed.rule, by_name["plain"].agrees) == ("left alone", None)
    _, by_name = look(hierarchy, [plain], kubelet=kubelet._replace(policy="none", pinned={}))
    assert (by_name["plain"].owed.rule, by_name["plain"].agrees) == ("share-pool", False)
    _, by_name = look(hierarchy, [plain])
    assert (by_name["plain"].owed.rule, by_name["plain"].agrees) == ("left alone", None), "nobody knows"


def test_one_pod_of_many(tmp_path):
    """By namespace/name, name or uid; the CPUs of the others count all the same, and findings are its own."""
    made = pods()
    other = "scheduling.koordinator.sh/resource-status"
    made[2]["metadata"]["annotations"][other] = json.dumps({"cpuset": "5-6"})
    made[3]["metadata"]["annotations"][other] = "{"
    hierarchy = v2_systemd(tmp_path, made, SEED)
    for name in ("shop/ls", "ls", "u-ls"):
        found, by_name = look(hierarchy, made, named=name)
        assert list(by_name) == ["ls"]
        assert by_name["ls"].agrees
        assert by_name["ls"].given == {5, 6}
        assert len(found.findings) == 1
        assert found.findings[0].startswith("shop/ls: ")
    assert look(hierarchy, made, named="s")[0].pods == []


@pytest.mark.parametrize(
    ("cpus", "met", "met_by_less"),
    [
        ("2-3", True, True),
        ("2", False, True),
        ("", False, False),
        ("3-4", False, False),
        ("1-3", False, False),
    ],
)
def test_what_meets_what_is_owed(cpus, met, met_by_less):
    """The same CPUs; some of them where less is right, but no CPU at all never."""
    found, owed = parse_cpulist(cpus), parse_cpulist("2-3")
    assert Owed("rule", owed).is_met_by(found) is met
    assert Owed("rule", owed, less=True).is_met_by(found) is met_by_less
    assert Owed("rule", owed, less=True).is_met_by(None) is False
    assert Owed("rule").is_met_by(found) is None
