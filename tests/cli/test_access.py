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
