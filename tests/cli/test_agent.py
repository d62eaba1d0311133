"""``agent``: what would be written is printed, what was written is printed and taken back."""

import json
import shutil
from collections import Counter

import pytest
import yaml

from tests.agent.plan.builders import batch, raw_pod
from tests.agent.tree import v1_tree, write
from tests.kube.fakeapi import FakeApi
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import LEDGER, ActionLedger

CONTAINER = "a" * 64
POD = "kubepods/besteffort/podu-be"
FILES = {
    "cpuset/{}/cpuset.cpus": "0-3",
    "cpu/{}/cpu.shares": "2",
    "cpu/{}/cpu.cfs_quota_us": "-1",
    "cpu/{}/cpu.cfs_period_us": "100000",
    "cpu/{}/cpu.idle": "0",
    "memory/{}/memory.limit_in_bytes": "9223372036854771712",
}


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {}}],
}


@pytest.fixture
def machine(tmp_path):
    """A recorded machine of four CPUs with a BE pod, and its objects in a file."""
    root = tmp_path / "root"
    lse = "kubepods/podu-lse"
    v1_tree(root, "kubepods", lse, POD, f"{POD}/{CONTAINER}")
    for group in ("kubepods", lse, POD, f"{POD}/{CONTAINER}"):
        write(root / "sys/fs/cgroup", {name.format(group): f"{text}\n" for name, text in FILES.items()})
    for cpu in range(4):
        topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
        write(root, {f"{topology}/physical_package_id": "0\n", f"{topology}/core_id": f"{cpu}\n"})
    write(root, {"sys/devices/system/cpu/online": "0-3\n", "proc/sys/kernel/random/boot_id": "one\n"})
    be = raw_pod("be", "BE", containers=[batch("500", "64Mi")], uid="u-be")
    be["status"]["containerStatuses"][0]["containerID"] = f"containerd://{CONTAINER}"
    lse = raw_pod("lse", "LSE", cpus=1, set_="0", uid="u-lse")
    spec = {"systemStrategy": {"minFreeKbytesFactor": 100}, "cpuBurstStrategy": {"policy": "auto"}}
    slo = {"kind": "NodeSLO", "metadata": {"name": "n"}, "spec": spec}
    pods = [{"kind": "Pod", "apiVersion": "v1", **each} for each in (be, lse)]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all([*pods, slo]))
    return tmp_path


def files(machine):
    """Every file of the recorded machine."""
    return {path: path.read_text() for path in (machine / "root").rglob("*") if path.is_file()}


def dry_run(run, machine, *flags):
    """Run it on the recorded machine."""
    return run("agent", "--dry-run", "--root", machine / "root", "--pods", machine / "pods.yaml", *flags)


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


@pytest.mark.parametrize("more", [(), ("--mode", "enforce"), ("--ask-evictions",)])
def test_a_last_resort_needs_figures_and_cgroups(run, more):
    """Exit status 2, with what it goes with."""
    result = run("agent", "--node-name", "n", "--kill-after", "60", *more)
    assert result.exit_code == 2
    assert "--kill-after goes with --ask-evictions, whose figures it needs" in result.output


@pytest.mark.parametrize("text", ["LS", "LS=x", "ls=1", "LS=20", "LS=-21", "LS=1.5"])
def test_a_nice_value_that_is_none(run, machine, text):
    """Exit status 2, with what to write."""
    folder = ("--state-dir", machine / "s", "--root", machine / "root", "--kubeconfig", machine / "k")
    (machine / "k").write_text(yaml.safe_dump(KUBECONFIG))
    result = run("agent", "--node-name", "n", *folder, "--nice", text)
    assert result.exit_code == 2
    assert f"--nice {text}: write CLASS=N" in result.output


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


@pytest.fixture
def written(machine):
    """The state folder of an agent that wrote two files, one of which somebody changed after that."""
    kernel = KernelFiles()
    ledger = ActionLedger(machine / "state" / LEDGER, boot="one", identity=kernel.identity)
    cpu = machine / "root/sys/fs/cgroup/cpu"
    for name, old, new, now in (
        ("cpu.cfs_quota_us", "-1", "50000", "50000"),
        ("cpu.cfs_period_us", "100000", "100000", "7000"),
    ):
        path = cpu / POD / name
        path.write_text(f"{now}\n")
        why = {"rule": "limits", "pod": "shop/be", "inputs": {"kubernetes.io/batch-cpu": "500"}}
        line = {"t": "now", "path": str(path.parent), "file": name, "old": old, "new": new, "why": why}
        ledger.append(line | {"cgroup": kernel.identity(str(path))})
    ledger.close()
    return machine


def test_the_log_prints_what_was_written(run, written):
    """Of a pod, or of all; as text, and as the lines that they are."""
    for pod in ("shop/be", "be", "u-be"):
        result = run("agent", "log", "--state-dir", written / "state", "--pod", pod)
        assert "shop/be  cpu.cfs_quota_us  -1 -> 50000  limits (kubernetes.io/batch-cpu=500)" in result.output
    result = run("agent", "log", "--state-dir", written / "state", "-o", "json")
    assert [json.loads(line)["file"] for line in result.output.splitlines()] == [
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
    ]
    assert "nothing was written for pod x" in run("agent", "log", "--state-dir", written, "--pod", "x").stderr


def test_restore_writes_back_and_names_what_somebody_else_changed(run, written):
    """Exit status 0, and the files are as they were before the agent."""
    result = run("agent", "--restore", "--root", written / "root", "--state-dir", written / "state")
    assert result.exit_code == 0, result.output
    assert "2 files are as they were" in result.output
    assert "cpu.cfs_period_us: somebody else had changed 100000 to 7000" in result.stderr
    cpu = written / "root/sys/fs/cgroup/cpu" / POD
    assert [(cpu / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")] == [
        "-1\n",
        "100000\n",
    ]


def test_restore_while_an_agent_runs(run, written):
    """It would write again: exit status 1, with what to do. One that only observes is in nobody's way."""
    folder = written / "state" / LEDGER
    restoring = ("agent", "--restore", "--root", written / "root", "--state-dir", written / "state")
    ledger = ActionLedger(folder, boot="one", identity=KernelFiles().identity)
    result = run(*restoring)
    ledger.close()
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"{folder}: is in use: an agent in the mode enforce runs here, which would write again" in said
    assert "One pod has its files back with the annotation colocation-webhook.io/agent: ignore" in said
    assert "all with agent.mode=observe" in said
    observing = ActionLedger(folder, boot="one", identity=KernelFiles().identity, writable=False)
    assert len(observing.originals) == 2
    result = run(*restoring)
    assert (result.exit_code, result.stdout) == (0, "2 files are as they were before the agent\n")
    observing.look_again()
    assert observing.originals == {}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--dry-run", "--restore"], "exclude each other"),
        (["--pods", "-"], "--pods goes with --dry-run"),
        (["--pod", "x"], "--pod goes with --restore"),
        (["--dry-run"], "give --node-name NAME for those of a cluster's node, or --pods FILE"),
        ([], "give --node-name NAME"),
    ],
)
def test_options_that_do_not_go_together(run, flags, says):
    """Wrong usage, with the remedy."""
    result = run("agent", *flags)
    assert result.exit_code == 2
    assert says in result.output.replace("\n", " ")


def test_a_folder_without_cgroups(run, tmp_path):
    """Exit status 1, with where they were looked for."""
    result = run("agent", "--dry-run", "--root", tmp_path, "--pods", "-", stdin="")
    assert result.exit_code == 1
    assert "there is no cgroup hierarchy" in result.output


def test_a_folder_without_cpus(run, tmp_path):
    """The file that is missing, and a remedy that this command has."""
    v1_tree(tmp_path, "kubepods")
    result = run("agent", "--dry-run", "--root", tmp_path, "--pods", "-", stdin="")
    assert result.exit_code == 1
    assert "cpu/online': cannot be read" in result.output
    assert "--topology" not in result.output


def test_a_node_without_pods(run, machine):
    """One empty line stands between the sum and the CPUs."""
    result = run("agent", "--dry-run", "--root", machine / "root", "--pods", "-", stdin="")
    assert "0 pods, 0 files would be written; nothing was\n\nCPUs now\n" in result.output


@pytest.fixture
def kubeconfig(tmp_path):
    """A kubeconfig of an API server that nobody will call."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "c", '
        '"contexts": [{"name": "c", "context": {"cluster": "c"}}]}'
    )
    return path


def test_a_cluster_and_a_node_have_to_be_named(run):
    """The flags are in the message."""
    result = run("agent", "--node-name", "n1")
    assert result.exit_code == 2
    assert "--in-cluster" in result.output
    assert "--node-name" in run("agent", "--in-cluster").output


def test_a_machine_without_a_kubelet_is_named(run, kubeconfig, tmp_path):
    """With what to do."""
    v1_tree(tmp_path / "root", "system.slice")
    common = ("agent", "--kubeconfig", kubeconfig, "--node-name", "n1", "--root", tmp_path / "root")
    result = run(*common)
    assert result.exit_code == 1
    assert "there is no group kubepods" in result.output
    result = run(*common, "--kubepods", "elsewhere")
    assert result.exit_code == 1
    assert "--kubepods elsewhere" in result.output


def test_a_state_folder_that_cannot_be_had_is_named(run, kubeconfig, tmp_path):
    """With the reason."""
    v1_tree(tmp_path / "root", "kubepods")
    (tmp_path / "file").write_text("")
    result = run(
        *("agent", "--kubeconfig", kubeconfig, "--node-name", "n1", "--root", tmp_path / "root"),
        *("--admin-bind", "127.0.0.1:0", "--state-dir", tmp_path / "file" / "state"),
    )
    assert result.exit_code == 1
    assert "--state-dir" in result.output
    assert "Not a directory" in result.output


def test_a_path_of_metrics_begins_with_a_slash(run, kubeconfig):
    """As a path of a URL does."""
    flags = ("--metrics-bind", "127.0.0.1:0", "--metrics-path", "prometheus")
    result = run("agent", "--kubeconfig", kubeconfig, "--node-name", "n1", *flags)
    assert result.exit_code == 2
    assert "--metrics-path prometheus" in result.output


def test_a_kernel_that_counts_no_memory_is_named(run, kubeconfig, tmp_path):
    """Rather than that pods seem to use none."""
    write(
        tmp_path, {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu\n", "sys/fs/cgroup/kubepods/cpu.stat": ""}
    )
    result = run("agent", "--kubeconfig", kubeconfig, "--node-name", "n1", "--root", tmp_path)
    assert result.exit_code == 1
    assert "no controller memory" in result.output
    assert "cgroup_enable=memory" in result.output


def test_agents_are_removed(run, kubeconfig):
    """The DaemonSet has to be named; what stands in the way is in the message."""
    assert run("agent", "remove", "--kubeconfig", kubeconfig).exit_code == 2
    result = run("agent", "remove", "--kubeconfig", kubeconfig, "--daemonset", "colocation/agents")
    assert result.exit_code == 1
    assert "the agents stay: DELETE" in result.output
    with FakeApi() as api:
        kubeconfig.write_text(kubeconfig.read_text().replace(":9", f":{api.port}"))
        result = run("agent", "remove", "--kubeconfig", kubeconfig, "--daemonset", "colocation/agents")
    assert (result.exit_code, result.output) == (0, "no agent is left\n")
