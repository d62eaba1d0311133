"""``agent``: what is wrong with a command line or a machine is said before anything is done."""

import pytest

from tests.agent.tree import v1_tree


@pytest.fixture
def kubeconfig(tmp_path):
    """A kubeconfig of an API server that nobody will call."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "c", '
        '"contexts": [{"name": "c", "context": {"cluster": "c"}}]}'
    )
    return path


def test_enforce_is_refused_until_it_is_built(run, kubeconfig):
    """Rather than that an administrator believes in it."""
    result = run("agent", "--kubeconfig", kubeconfig, "--node-name", "n1", "--mode", "enforce")
    assert result.exit_code == 2
    assert "--mode enforce is not built yet" in result.output


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
