"""Flags that say which cluster is meant."""

import sys

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
    """Where no flag says which cluster, KUBECONFIG does, of whose files the missing ones are passed over."""
    one, other = tmp_path / "one", tmp_path / "other"
    monkeypatch.setenv("KUBECONFIG", str(one))
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, str(one) in result.output) == (1, True)
    monkeypatch.setenv("KUBECONFIG", f"{one}:{other}")
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, f"KUBECONFIG: {one}:{other}: none of these" in result.output) == (1, True)
    other.write_text("{current-context: x, contexts: [{name: x, context: {cluster: c}}]}")
    one.write_text("{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}")
    result = run("certs", "show", "home/secret")
    assert (result.exit_code, "http://127.0.0.1:1" in result.output) == (1, True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG")
    result = run("certs", "show", "home/secret")
    missing = f"which cluster, and there is no {tmp_path / '.kube' / 'config'}: give --kubeconfig"
    assert (result.exit_code, missing in result.output) == (1, True)


def test_a_kubeconfig_needs_the_kubernetes_package(run, monkeypatch, tmp_path):
    """Where it was left out, the message names it and what works without."""
    monkeypatch.delitem(sys.modules, "webhook.kube.kubeconfig", raising=False)
    for name in ("kubernetes", "kubernetes.client"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "config").write_text("")
    result = run("doctor", "--kubeconfig", str(tmp_path / "config"))
    said = " ".join(result.output.split())
    assert (result.exit_code, "by the Python package 'kubernetes'" in said, "--in-cluster" in said) == (
        1,
        True,
        True,
    )


def test_a_kubeconfig_that_is_no_yaml_is_not_quoted(run, tmp_path):
    """The place is said, not what stands there: it may be a token."""
    (tmp_path / "config").write_text("users:\n- name: u\n  token: s3cret: x\n")
    result = run("doctor", "--kubeconfig", str(tmp_path / "config"))
    said = f"{tmp_path / 'config'}: is not YAML: line 3, column 16: mapping values are not allowed"
    assert (result.exit_code, said in result.output, "s3cret" in result.output) == (1, True, False)


@pytest.mark.parametrize(
    "content", ["", "{", "a: &a [*a]", "users: [{name: u, user: {token: 1}}]", "[" * 9999]
)
def test_a_kubeconfig_that_is_none_is_one_line(run, tmp_path, content):
    """Half-written or tampered with: no traceback."""
    (tmp_path / "config").write_text(content)
    result = run("serve", "--kubeconfig", str(tmp_path / "config"))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith(f"Error: --kubeconfig: {tmp_path / 'config'}: ")
