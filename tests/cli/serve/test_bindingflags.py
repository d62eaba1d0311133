"""CPU sets at binding on the command line."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.binding.builders import Replica, pod, server, store
from webhook.cli.main import main
from webhook.kube.paths import PODS


def run(*arguments):
    """Run a command."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def kubeconfig(folder, fake):
    """A file that names the fake server."""
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{fake.port}"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def replica_of():
    """A fake API server with a node, and a replica at it."""
    with server() as fake:
        yield fake, Replica(fake)


def test_cpusets_need_a_cluster():
    """Files have no nodes: a usage error that says what to give."""
    objects = Path(__file__).parents[3] / "examples" / "objects"
    result = run("serve", "--objects", objects, "--cpusets", "--no-tls")
    assert result.exit_code == 2
    assert "--cpusets needs a cluster: give --kubeconfig FILE or --in-cluster" in result.output


def test_a_lease_has_a_namespace(tmp_path):
    """As the other lease."""
    result = run("serve", "--objects", tmp_path, "--cpusets", "--cpusets-lease", "name")
    assert result.exit_code == 2
    assert "is not NAMESPACE/NAME" in result.output


@pytest.mark.parametrize("size", ["0", "101%", "much"])
def test_the_share_pool_has_a_size(tmp_path, replica_of, size):
    """A number of CPUs or a percentage; anything else is a usage error that says what to give."""
    fake, _ = replica_of
    flags = (
        "--kubeconfig",
        kubeconfig(tmp_path, fake),
        "--no-tls",
        "--cpusets",
        "--cpusets-share-pool",
        size,
    )
    result = run("serve", *flags)
    assert result.exit_code == 2
    assert "give 1 to 8192, or 1% to 100% of a node's CPUs" in " ".join(result.output.split())


def test_show_a_node(tmp_path, replica_of):
    """Drawn from its ledger; without a ledger it is all free."""
    fake, replica = replica_of
    path = kubeconfig(tmp_path, fake)
    empty = run("cpuset", "show", "--node", "node-1", "--kubeconfig", path).output
    assert "16 CPUs, 0 held by 0 pods" in empty
    made = store(fake, PODS, pod())
    replica.hear()
    assert replica.cpuset(made) == "0,8"
    drawn = run("cpuset", "show", "--node", "node-1", "--kubeconfig", path).output
    assert "node-1: 16 CPUs, 2 held by 1 pod, 14 free (7 whole cores)" in drawn
    assert "d/p" in drawn
    printed = run("cpuset", "show", "--node", "node-1", "--kubeconfig", path, "-o", "yaml").output
    data = yaml.safe_load(printed)
    assert (data["node"], {each["pod"] in drawn for each in data["pods"]}) == ("node-1", {True})
    missing = run("cpuset", "show", "--node", "other", "--kubeconfig", path)
    assert missing.exit_code == 1
    assert "--node other: there is no such node" in missing.output


def test_show_reads_kubectls_cluster(tmp_path, replica_of, monkeypatch):
    """Where no flag says which cluster, KUBECONFIG does."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, replica_of[0])))
    assert "16 CPUs, 0 held by 0 pods" in run("cpuset", "show", "--node", "node-1").output


def test_show_says_what_does_not_go_together(tmp_path, replica_of):
    """A node has its own topology, and a cluster has several nodes."""
    path = kubeconfig(tmp_path, replica_of[0])
    for arguments, said in (
        (("--node", "n", "--topology", "1x1x2x2"), "exclude each other"),
        (("--kubeconfig", path), "need --node NAME"),
    ):
        result = run("cpuset", "show", *arguments)
        assert result.exit_code == 2
        assert said in result.output
