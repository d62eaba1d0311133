"""``agent --dry-run``: what would be written is printed, with the reasons, and nothing is written."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from tests.agent.plan.builders import raw_pod
from tests.agent.tree import write
from tests.cli.agent.recorded import CONTAINER, FILES, POD, dry_run, files


def test_a_dry_run_prints_what_would_be_written(run, machine):
    """With the CPUs before and after, in eighty columns, and what is asked for that is not built."""
    before = files(machine)
    result = dry_run(run, machine)
    assert result.exit_code == 0, result.output
    assert files(machine) == before
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("cgroup v1, driver cgroupfs: 2 pods, ")
    assert "shop/be  BE, on CPUs 0-3" in lines
    assert [line.split() for line in lines if "cpu.cfs_quota_us" in line] == [
        ["cpu.cfs_quota_us", "-1", "->", "50000", "limits,", "the", "pod"],
        ["cpu.cfs_quota_us", "-1", "->", "50000", "limits,", "main"],
    ]
    assert "  LSE pods are not alone on 0-3" in lines
    after = result.output.partition("CPUs as planned")[2]
    assert "0E" in after
    assert "1L+" in after
    assert "systemStrategy: settings of the whole machine (sysctl): not built" in result.output
    assert "cpuBurstStrategy: bursts" not in result.output


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda top: shutil.rmtree(top / "memory"), "there is no cgroup controller memory: nothing of it"),
        (
            lambda top: (top / "cpuset" / POD / "cpuset.cpus").write_bytes(b"\xff\n"),
            f"cpuset/{POD}/cpuset.cpus: '\N{REPLACEMENT CHARACTER}' for '1-3' is not understood: it is left",
        ),
    ],
    ids=["controller", "text"],
)
def test_what_cannot_be_done_is_a_finding(run, machine, spoil, said):
    """All other files would be written all the same."""
    everything = json.loads(dry_run(run, machine, "-o", "json").output)
    spoil(machine / "root/sys/fs/cgroup")
    found = json.loads(dry_run(run, machine, "-o", "json").output)
    (finding,) = set(found["findings"]) - set(everything["findings"])
    assert said in finding
    before, after = (
        [write["file"] for pod in each["pods"] for write in pod["writes"]] for each in (everything, found)
    )
    left = Counter(before) - Counter(after)
    assert left in (Counter({"memory.limit_in_bytes": 2}), Counter({"cpuset.cpus": 1}))
    assert after


@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_same_for_machines(run, machine, form, load):
    """Each write with its reason."""
    found = load(dry_run(run, machine, "-o", form).output)
    assert found["bePool"] == "1-3"
    be = next(each for each in found["pods"] if each["pod"] == "shop/be")
    quota = next(each for each in be["writes"] if each["file"] == "cpu.cfs_quota_us")
    assert quota["why"] == {"rule": "limits", "pod": "shop/be", "inputs": {"kubernetes.io/batch-cpu": "500"}}
    assert found["notBuilt"] == ["systemStrategy: settings of the whole machine (sysctl): not built"]


def test_the_quota_of_faster_cpus(run, machine):
    """A node whose CPUs count for more than they are offers more batch-cpu, each of which is less quota."""
    noted = {"node.koordinator.sh/cpu-normalization-ratio": "1.25"}
    node = {"kind": "Node", "metadata": {"name": "n", "annotations": noted}}
    listed = list(yaml.safe_load_all((machine / "pods.yaml").read_text()))
    (machine / "pods.yaml").write_text(yaml.safe_dump_all([*listed, node]))
    found = json.loads(dry_run(run, machine, "-o", "json").output)
    be = next(each for each in found["pods"] if each["pod"] == "shop/be")
    quotas = [each for each in be["writes"] if each["file"] == "cpu.cfs_quota_us"]
    assert [each["new"] for each in quotas] == ["40000", "40000"]
    assert quotas[0]["why"]["inputs"] == {"kubernetes.io/batch-cpu": "500", "normalization": "1.25"}


def test_processes(run, machine):
    """Each file of theirs that would be written is printed; nice values are in no recording."""
    (be, lse, slo) = yaml.safe_load_all((machine / "pods.yaml").read_text())
    be["metadata"]["annotations"] = {"koordinator.sh/oom-score-adj": "900"}
    (machine / "pods.yaml").write_text(yaml.safe_dump_all([be, lse, slo]))
    proc = machine / "root/proc"
    for number, group, score in ((7, CONTAINER, 0), (8, CONTAINER, 900), (9, "b" * 64, 0)):
        write(proc / str(number), {"cgroup": f"4:cpu:/{POD}/{group}\n", "oom_score_adj": f"{score}\n"})
        write(proc / str(number), {"stat": f"{number} (x) S {' '.join(['0'] * 40)}\n"})
    assert "oom_score_adj" not in dry_run(run, machine).output
    flags = ("--oom-score-adj", "--nice", "BE=19")
    result = dry_run(run, machine, *flags)
    told = " ".join(result.output.split())
    assert told.count("oom_score_adj") == 1
    assert "oom_score_adj 0 -> 900 oom-score-adj, process 7 " in told
    assert "nice values are in no recording: ask for them on the node itself" in told
    elsewhere = json.loads(dry_run(run, machine, *flags, "--host-proc", machine, "-o", "json").output)
    assert not [w for each in elsewhere["pods"] for w in each["writes"] if w["file"] == "oom_score_adj"]


def test_bursts(run, machine):
    """Where the kernel can; what is planned is at most the quota that the kubelet has written."""
    group = "kubepods/burstable/podu-ls"
    cgroups = machine / "root/sys/fs/cgroup"
    for controller in ("cpu", "cpuset", "memory", "cpuacct"):
        (cgroups / controller / group).mkdir(parents=True)
    write(cgroups, {name.format(group): f"{text}\n" for name, text in FILES.items()})
    for each in ("kubepods", group):
        write(cgroups / "cpu" / each, {"cpu.cfs_burst_us": "0\n"})
    write(cgroups / "cpu" / group, {"cpu.cfs_quota_us": "50000\n"})
    limited = {"name": "main", "resources": {"limits": {"cpu": "1"}}}
    pod = {"kind": "Pod", **raw_pod("ls", "LS", containers=[limited], uid="u-ls")}
    (machine / "pods.yaml").write_text(yaml.safe_dump(pod))
    policy = ("--node-slo", '{"cpuBurstStrategy": {"policy": "cpuBurstOnly"}}')
    found = json.loads(dry_run(run, machine, *policy, "-o", "json").output)
    writes = [each for each in found["pods"][0]["writes"] if each["file"] == "cpu.cfs_burst_us"]
    assert [(each["old"], each["new"], each["why"]["rule"]) for each in writes] == [
        ("0", "50000", "cpu-burst")
    ]
    assert not [each for each in (*found["findings"], *found["notBuilt"]) if "Burst" in each]
    assert "cfs_burst" not in dry_run(run, machine).output


def test_quotas_that_are_raised(run, machine, monkeypatch):
    """By what happens in a second: the share pool, what is throttled, and what would be written next."""
    group = f"kubepods/burstable/podu-ls/{CONTAINER}"
    cgroups = machine / "root/sys/fs/cgroup"
    for each in (group.rpartition("/")[0], group):
        for controller in ("cpu", "cpuset", "memory", "cpuacct"):
            (cgroups / controller / each).mkdir(parents=True, exist_ok=True)
        write(cgroups, {name.format(each): f"{text}\n" for name, text in FILES.items()})
        write(cgroups / "cpu" / each, {"cpu.cfs_quota_us": "100000\n"})
    write(cgroups / "cpu" / group, {"cpu.stat": "nr_throttled 4\n"})
    write(cgroups / "cpuacct/kubepods", {"cpuacct.usage": "0\n"})
    cpus = "".join(f"cpu{i} 0 0 0 0 0 0 0\n" for i in range(4))
    (machine / "root/proc/stat").write_text(f"cpu  0 0 0 0 0 0 0\n{cpus}")
    (machine / "root/proc/meminfo").write_text("MemTotal: 9 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
    limited = {"name": "main", "resources": {"limits": {"cpu": "1"}}}
    pod = {"kind": "Pod", **raw_pod("ls", "LS", containers=[limited], uid="u-ls")}
    pod["status"]["containerStatuses"][0]["containerID"] = f"containerd://{CONTAINER}"
    (machine / "pods.yaml").write_text(yaml.safe_dump(pod))
    policy = ("--node-slo", '{"cpuBurstStrategy": {"policy": "cfsQuotaBurstOnly"}}')
    calm = json.loads(dry_run(run, machine, *policy, "-o", "json").output)
    assert calm["bursts"] == {"pool": {"pool": "0 of 4000", "threshold": "50%"}, "raised": {}}
    assert not [each for each in calm["pods"][0]["writes"] if "quota" in each["file"]]
    assert "nothing is raised" in dry_run(run, machine, *policy).output
    counts = iter(range(5, 9))
    monkeypatch.setattr(
        "webhook.agent.dryrun.time.sleep",
        lambda _: write(cgroups / "cpu" / group, {"cpu.stat": f"nr_throttled {next(counts)}\n"}),
    )
    found = json.loads(dry_run(run, machine, *policy, "-o", "json").output)
    assert found["bursts"]["raised"] == {"shop/ls": {"main": 120000}}
    writes = [each for each in found["pods"][0]["writes"] if "quota" in each["file"]]
    assert [(each["old"], each["new"], each["why"]["rule"]) for each in writes] == [
        ("100000", "120000", "quota-burst")
    ] * 2
    assert writes[1]["why"]["inputs"]["throttled"] == "1 periods"
    told = dry_run(run, machine, *policy).output.partition("Quotas raised while pods are throttled")[2]
    assert [line.split() for line in told.splitlines()[1:4]] == [
        ["-", "pool", "0", "of", "4000"],
        ["-", "threshold", "50%"],
        ["-", "shop/ls,", "main:", "100000", "->", "120000"],
    ]
    assert dry_run(run, machine).output.count("Quotas raised") == 0


def test_a_nodeslo_for_nodes_that_have_none(run, machine):
    """By --node-slo; a NodeSLO counts instead where there is one, and a mistake there is only a finding."""
    wrong = '{"resourceUsedThresholdWithBE": {"enable": true, "cpuSuppressThresholdPercent": 650}}'
    fine = wrong.replace("650", "65")
    assert "resourceUsedThresholdWithBE" not in dry_run(run, machine, "--node-slo", fine).output
    pods = [each for each in yaml.safe_load_all((machine / "pods.yaml").read_text()) if each["kind"] == "Pod"]
    (machine / "pods.yaml").write_text(yaml.safe_dump_all(pods))
    found = json.loads(dry_run(run, machine, "--node-slo", fine, "-o", "json").output)
    assert {each.partition(":")[0] for each in found["notBuilt"]} == {"resourceUsedThresholdWithBE"}
    for text in (wrong, "[1]", "{"):
        result = dry_run(run, machine, "--node-slo", text)
        assert result.exit_code == 2
        assert "--node-slo: " in result.output
    slo = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": json.loads(wrong)}
    (machine / "pods.yaml").write_text(yaml.safe_dump_all([*pods, slo]))
    found = json.loads(dry_run(run, machine, "-o", "json").output)
    assert any("cpuSuppressThresholdPercent: 650 is out of range" in each for each in found["findings"])


def test_the_configmap_for_nodes_that_have_no_nodeslo(run, machine):
    """The one that --config names, for the node's labels; a NodeSLO counts first, --node-slo last."""
    strategy = {"clusterStrategy": {"enable": True}, "nodeStrategies": []}
    config = {
        "kind": "ConfigMap",
        "metadata": {"namespace": "koordinator-system", "name": "slo-controller-config"},
        "data": {"resource-threshold-config": json.dumps(strategy)},
    }
    pods = [each for each in yaml.safe_load_all((machine / "pods.yaml").read_text()) if each["kind"] == "Pod"]
    named = ("--config", "koordinator-system/slo-controller-config")

    def asked(*flags, objects=()):
        (machine / "pods.yaml").write_text(yaml.safe_dump_all([*pods, config, *objects]))
        found = json.loads(dry_run(run, machine, *flags, "-o", "json").stdout)
        return "suppression" in "".join(found["notBuilt"])

    assert asked(*named)
    assert not asked()
    assert not asked("--config", "koordinator-system/another")
    off = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": {}}
    assert not asked(*named, objects=[off])
    assert asked(*named, "--node-slo", '{"resourceUsedThresholdWithBE": {"enable": false}}')


def test_suppression(run, machine):
    """With --suppress-be, by a NodeSLO: the sum, the CPUs, and what koordlet would do otherwise."""
    asked = '{"resourceUsedThresholdWithBE": {"enable": true, "cpuSuppressThresholdPercent": 25}}'
    mine = [each for each in yaml.safe_load_all((machine / "pods.yaml").read_text()) if each["kind"] == "Pod"]
    plain = {"kind": "Pod", "apiVersion": "v1", **raw_pod("plain", "", kube="BestEffort", uid="u-plain")}
    (machine / "pods.yaml").write_text(yaml.safe_dump_all([*mine, plain]))
    proc = machine / "root/proc"
    cpus = "".join(f"cpu{i} 0 0 0 0 0 0 0\n" for i in range(4))
    (proc / "stat").write_text(f"cpu  0 0 0 0 0 0 0\n{cpus}")
    (proc / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 9 kB\nMemAvailable: 9 kB\n")
    usage = machine / "root/sys/fs/cgroup/cpuacct/kubepods"
    (usage / "cpuacct.usage").write_text("0\n")
    flags = ("--node-slo", asked, "--suppress-be", "--suppress-least-cpus", "1")
    text = dry_run(run, machine, *flags).output
    told = text.partition("Suppression of BE pods")[2].partition("Findings")[0]
    assert ["-", "threshold", "25%", "of", "4000"] in [line.split() for line in told.splitlines()]
    assert "shop/plain: koordlet would suppress it, of no class, with the" in text
    found = json.loads(dry_run(run, machine, *flags, "-o", "json").output)
    assert found["suppression"]["cpus"] == "1 of 4"
    be = next(each for each in found["pods"] if each["pod"] == "shop/be")
    (why,) = {json.dumps(each["why"]) for each in be["writes"] if each["file"] == "cpuset.cpus"}
    assert json.loads(why)["rule"] == "suppression"
    (proc / "stat").unlink()
    assert json.loads(dry_run(run, machine, *flags, "-o", "json").output)["suppression"]["held"]
