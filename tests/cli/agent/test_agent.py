"""``agent``: what was written is printed and taken back; what it cannot begin with is named."""

import json

import pytest
import yaml

from tests.agent.tree import v1_tree, write
from tests.cli.agent.recorded import POD
from tests.kube.fakeapi import FakeApi
from webhook.agent.writing.cgroupfiles import KernelFiles
from webhook.agent.writing.ledger import LEDGER, ActionLedger

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {}}],
}


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
    """It is said; one empty line stands between the sum and the CPUs."""
    result = run("agent", "--dry-run", "--root", machine / "root", "--pods", "-", stdin="")
    assert "there is no pod of this node: give another --node-name, or --pods with pods" in result.output
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
