"""Flags that say which cluster is meant."""

import pytest


def test_serve_needs_a_source(run):
    """The message names the three flags."""
    result = run("serve")
    assert result.exit_code == 2
    assert "--objects DIR, --kubeconfig FILE or --in-cluster" in " ".join(result.output.split())


@pytest.mark.parametrize("lease", ["x", "/x", "x/", "a/b/c"])
def test_a_lease_is_namespace_and_name(run, lease):
    """Anything else is a usage error."""
    result = run("serve", "--lease", lease)
    assert (result.exit_code, "is not NAMESPACE/NAME" in result.output) == (2, True)


def test_outside_a_pod_in_cluster_says_so(run, monkeypatch):
    """And what to use instead."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    result = run("serve", "--in-cluster", "--no-tls")
    assert (result.exit_code, "use --kubeconfig FILE outside a cluster" in result.output) == (1, True)


def test_kubectls_own_variable_is_followed(run, monkeypatch, tmp_path):
    """Where no flag says which cluster, KUBECONFIG does; several files in it are not guessed from."""
    one, other = tmp_path / "one", tmp_path / "other"
    monkeypatch.setenv("KUBECONFIG", str(one))
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, str(one) in result.output) == (1, True)
    monkeypatch.setenv("KUBECONFIG", f"{one}:{other}")
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, "give --kubeconfig FILE" in result.output) == (1, True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG")
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, str(tmp_path / ".kube" / "config") in result.output) == (1, True)
