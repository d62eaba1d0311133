"""Kubeconfigs, as kubectl reads them, and what is refused before anything is sent."""

import pytest

from tests.kube.fakeapi import NAMESPACES
from tests.kube.kubeconfig.builders import BASE64, CA, PAIR, V1, encoded, written
from webhook.kube.access import AccessError
from webhook.kube.client import Client
from webhook.kube.kubeconfig import read_kubeconfig

REFUSED = [
    ({"current-context": ""}, "current-context: is empty: run 'kubectl config use-context NAME'"),
    ({"current-context": "y"}, "current-context: there is no context named 'y'"),
    ({"current-context": 1}, "current-context: 1 is not text: write it in quotes"),
    ({"apiVersion": "v2"}, "apiVersion, kind: are not 'v1' and 'Config'"),
    ({"kind": "Secret"}, "apiVersion, kind: are not 'v1' and 'Config'"),
    ({"clusters": None}, "contexts.x.cluster: there is no cluster named 'c'"),
    ({"clusters": {}}, "clusters: {} is not a list"),
    ({"clusters": ["c"]}, r"clusters\[0\]: 'c' is not a map"),
    ({"users": []}, "contexts.x.user: there is no user named 'u'"),
    ({"users": [{"name": "u"}, {"name": "u"}]}, "users: two are named 'u': rename or remove one"),
    ({"users": [{"name": 1}]}, r"users\[0\].name: 1 is not text"),
    ({"users": [{"name": "u", "user": "x"}]}, "users.u: 'x' is not a map"),
    ({"contexts": [{"name": "x", "context": {"cluster": "c", "namespace": 5}}]}, "namespace: 5 is not text"),
    ({"cluster": {"server": ""}}, "clusters.c.server: '' is not an https:// URL"),
    ({"cluster": {"server": "10.0.0.1"}}, "clusters.c.server: '10.0.0.1' is not an https:// URL"),
    ({"cluster": {"server": "https://[::1"}}, "clusters.c.server: .* is not an https:// URL"),
    ({"cluster": {"insecure-skip-tls-verify": "false"}}, "'false' is not true or false: write it without"),
    ({"cluster": {"insecure-skip-tls-verify": "true"}}, "'true' is not true or false"),
    ({"cluster": {"insecure-skip-tls-verify": 0}}, "insecure-skip-tls-verify: 0 is not true or false"),
    ({"cluster": {"tls-server-name": True}}, "tls-server-name: True is not text"),
    ({"cluster": {"disable-compression": "no"}}, "disable-compression: 'no' is not true or false"),
    ({"cluster": {"certificate-authority-data": "%"}}, "certificate-authority-data: is not base64"),
    ({"cluster": {"certificate-authority-data": "eA"}}, "certificate-authority-data: is not base64"),
    ({"cluster": {"certificate-authority-data": BASE64}}, "is no PEM certificate"),
    ({"cluster": {"certificate-authority": "none.crt"}}, "certificate-authority: .*none.crt: No such file"),
    ({"cluster": {"certificate-authority": "."}}, "certificate-authority: .*: Is a directory"),
    (
        {"cluster": {"certificate-authority-data": encoded(CA), "certificate-authority": "config"}},
        "certificate-authority and certificate-authority-data exclude each other",
    ),
    (
        {"cluster": {"insecure-skip-tls-verify": True, "certificate-authority-data": encoded(CA)}},
        "insecure-skip-tls-verify and certificate-authority-data exclude each other",
    ),
    (
        {"cluster": {"proxy-url": "socks5://p:1"}},
        "proxy-url: .*other proxies .socks5. are not supported: name",
    ),
    ({"cluster": {"proxy-url": "p:3128"}}, "proxy-url: is not an http:// or https:// URL"),
    ({"cluster": {"proxy-url": "http://"}}, "proxy-url: is not an http:// or https:// URL"),
    ({"user": {"token": "a\nb"}}, "users.u.token: holds a line break"),
    ({"user": {"token": "a\n"}}, "users.u.token: holds a line break"),
    ({"user": {"token": "é"}}, "users.u.token: holds a line break, or another character"),
    ({"user": {"token": 12345}}, "users.u.token: the value is not text: write it in quotes"),
    ({"user": {"token": {"a": 1}}}, "users.u.token: the value is not text"),
    ({"user": {"password": 12345}}, "users.u.password: the value is not text"),
    ({"user": {"tokenFile": "none"}}, "users.u.tokenFile: .*none: No such file"),
    ({"user": {"tokenFile": "a\0b"}}, "users.u.tokenFile: holds a NUL"),
    ({"user": {"token": "a", "username": "b"}}, "token and username exclude each other"),
    ({"user": {"token": "a", "password": "b"}}, "token and password exclude each other"),
    ({"user": {"client-key-data": "AA=="}}, "client-certificate and client-key go together"),
    ({"user": {"client-certificate-data": "AA=="}}, "client-certificate and client-key go together"),
    ({"user": PAIR | {"client-key": "config"}}, "client-key and client-key-data exclude each other"),
    ({"user": PAIR | {"client-key-data": BASE64}}, "the client certificate for .* cannot be used"),
    ({"user": {"as": "root"}}, "users.u.as: impersonation is not supported: use that user's own"),
    ({"user": {"as-groups": ["g"]}}, "users.u.as-groups: impersonation is not supported"),
    ({"user": {"as-uid": "1"}}, "users.u.as-uid: impersonation is not supported"),
    ({"user": {"as-user-extra": {"a": ["b"]}}}, "users.u.as-user-extra: impersonation is not supported"),
    ({"user": {"auth-provider": {"name": "gcp"}}}, "auth-provider.name: 'gcp' is not oidc: use an exec"),
    ({"user": {"auth-provider": {"name": "oidc"}}}, "auth-provider.config.idp-issuer-url: is empty: log in"),
    ({"user": {"auth-provider": {"name": "oidc", "config": {"a": 1}}}}, "config.a: the value is not text"),
    ({"user": {"exec": {}}}, "users.u.exec.command: is empty: name the program"),
    ({"user": {"exec": "sh"}}, "users.u.exec: 'sh' is not a map"),
    ({"user": {"exec": {"command": "sh"}}}, "exec.apiVersion: '' is not client.authentication.k8s.io/v1 or"),
    ({"user": {"exec": {"command": "sh", "apiVersion": f"{V1}alpha1"}}}, "apiVersion: .*v1alpha1' is not"),
    ({"user": {"exec": {"command": "sh", "apiVersion": V1}}}, "interactiveMode: '' is not Never or"),
    (
        {"user": {"exec": {"command": "sh", "apiVersion": V1, "interactiveMode": "Always"}}},
        "interactiveMode: 'Always' is not Never or IfAvailable: a plugin has no terminal here",
    ),
    (
        {"user": {"exec": {"command": "sh", "apiVersion": f"{V1}beta1", "args": [1]}}},
        r"users.u.exec.args\[0\]: 1 is not text",
    ),
    (
        {"user": {"exec": {"command": "sh", "apiVersion": f"{V1}beta1", "env": [{"value": "a"}]}}},
        r"users.u.exec.env\[0\].name: is empty",
    ),
    (
        {"user": {"exec": {"command": "sh", "apiVersion": V1, "provideClusterInfo": "yes"}}},
        "provideClusterInfo: 'yes' is not true or false",
    ),
    (
        {"user": {"auth-provider": {"name": "oidc"}, "exec": {"command": "sh"}}},
        "exec and auth-provider exclude each other",
    ),
]


@pytest.mark.parametrize(("config", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_kubeconfig_that_cannot_be_used_is_refused_by_field(tmp_path, config, message):
    """File, field, value and remedy, in one line, before anything is sent; secrets are not shown."""
    with pytest.raises(AccessError, match=message) as raised:
        read_kubeconfig(written(tmp_path, **config))
    assert str(tmp_path / "config") in str(raised.value) or "127.0.0.1" in str(raised.value)
    assert "12345" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", [b"", b"- 1", b"{", b"\0", b"\xff\xfe", b"a: &a [*a]", b"!!python/none", b"[" * 9999]
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path, text):
    """Whatever it holds."""
    (tmp_path / "config").write_bytes(text)
    with pytest.raises(AccessError, match="config") as raised:
        read_kubeconfig(tmp_path / "config")
    assert "\n" not in str(raised.value)


def test_several_files_are_one(tmp_path, fake):
    """The first that names something wins, paths are of each file's folder, missing ones are passed over."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (other / "token").write_text("OTHER")
    server = f"http://127.0.0.1:{fake.port}"
    first = written(
        one,
        clusters=[{"name": "c", "cluster": {"server": server}}],
        users=[],
        contexts=[{"name": "y", "context": {"cluster": "c", "user": "u"}}],
        **{"current-context": "y"},
    )
    second = written(other, user={"tokenFile": "token"}, cluster={"server": "https://10.0.0.1"})
    (one / "empty").write_text("")
    access = read_kubeconfig(one / "empty", tmp_path / "none", first, second)
    assert (access.server, access.namespace) == (server, "default")
    Client(access).get(NAMESPACES)
    assert fake.tokens == ["Bearer OTHER"]
    assert read_kubeconfig(second, first).server == "https://10.0.0.1"
    assert read_kubeconfig(second, first, context="y").server == "https://10.0.0.1"
    with pytest.raises(AccessError, match="none of these files exists"):
        read_kubeconfig(tmp_path / "none", tmp_path / "nor this")
    with pytest.raises(AccessError, match="none: No such file"):
        read_kubeconfig(tmp_path / "none")


@pytest.mark.parametrize("text", ["*S3cret", "!!int S3cret", "!S3cret x", "!a!S3cret x"])
def test_a_value_that_is_no_yaml_is_not_shown(tmp_path, text):
    """It may be a token or a password that was written without quotes."""
    path = tmp_path / "config"
    path.write_text(f"users: [{{name: u, user: {{token: {text} }}}}]\n")
    with pytest.raises(AccessError, match="is not YAML") as caught:
        read_kubeconfig(path)
    assert "S3cret" not in str(caught.value)
