"""Kubeconfigs, as kubectl reads them: what is sent, to whom, and what is refused before anything is."""

import base64
import datetime as dt
import json
import shlex
import ssl
import tempfile

import pytest
import trustme
import yaml

from tests.kube.fakeapi import NAMESPACES, FakeApi
from tests.kube.fakeproxy import FakeProxy
from webhook.kube import kubeconfig as module
from webhook.kube.access import AccessError
from webhook.kube.client import ApiError, Client
from webhook.kube.kubeconfig import read_kubeconfig

V1 = "client.authentication.k8s.io/v1"
BASE64 = base64.b64encode(b"x").decode()
CA = trustme.CA()
JANE = CA.issue_cert("jane@example.org")
PAIR = {
    "client-certificate-data": base64.b64encode(JANE.cert_chain_pems[0].bytes()).decode(),
    "client-key-data": base64.b64encode(JANE.private_key_pem.bytes()).decode(),
}


def written(folder, *, user=None, cluster=None, name="config", **config):
    """Write a kubeconfig; its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "home"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    } | config
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Nothing of whoever runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def sent(fake, tmp_path):
    """Make a call as a user of a kubeconfig; the Authorization that came."""

    def call(**user):
        path = written(tmp_path, user=user, cluster={"server": f"http://127.0.0.1:{fake.port}"})
        with_it = Client(read_kubeconfig(path))
        with_it.get(NAMESPACES)
        with_it.close()
        return fake.tokens[-1]

    return call


@pytest.fixture
def plugin(tmp_path):
    """Make ``exec`` of a user: a program that writes ``answer``, and in ``asked`` what it was asked."""
    program = tmp_path / "bin" / "plugin"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\ncat\necho run >> runs\n".replace("runs", shlex.quote(str(tmp_path / "runs")))
        + f'echo "$KUBERNETES_EXEC_INFO" > {shlex.quote(str(tmp_path / "asked"))}\n'
        'echo "$MORE" >&2\n'
        f"cat {shlex.quote(str(tmp_path / 'answer'))}\nexit ${{CODE:-0}}\n"
    )
    program.chmod(0o755)

    def make(status=None, *, answer=None, **spec):
        said = {"kind": "ExecCredential", "apiVersion": V1, "status": status or {"token": "EXEC"}}
        (tmp_path / "answer").write_text(json.dumps(said) if answer is None else answer)
        (tmp_path / "runs").write_text("")
        return {"apiVersion": V1, "command": "./bin/plugin", "interactiveMode": "Never", **spec}

    make.runs = lambda: len((tmp_path / "runs").read_text().splitlines())
    make.asked = lambda: json.loads((tmp_path / "asked").read_text())
    return make


@pytest.fixture
def secure():
    """A TLS server that asks for a client certificate; and the CA of both."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    CA.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    with FakeApi(tls) as fake:
        yield fake


def encoded(authority, width=None):
    """An authority as base64, in lines of ``width``."""
    text = base64.b64encode(authority.cert_pem.bytes()).decode()
    return "\n".join(text[i : i + width] for i in range(0, len(text), width)) if width else text


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, None),
        ({"token": "INLINE"}, "Bearer INLINE"),
        ({"tokenFile": "token.txt"}, "Bearer FILE"),
        ({"token": "INLINE", "tokenFile": "token.txt"}, "Bearer FILE"),
        ({"token": "INLINE", "tokenFile": "none.txt"}, "Bearer INLINE"),
        (
            {"username": "jane", "password": "p:é☃"},
            "Basic " + base64.b64encode("jane:p:é☃".encode()).decode(),
        ),
        ({"username": "jane"}, "Basic " + base64.b64encode(b"jane:").decode()),
        ({"token": "", "tokenFile": None, "username": "", "password": ""}, None),
        ({"username": "", "password": "p"}, None),
        ({"token": "", "exec": "plugin"}, "Bearer EXEC"),
        ({"username": "", "exec": "plugin"}, "Bearer EXEC"),
        ({"token": "INLINE", "exec": "plugin"}, "Bearer INLINE"),
        ({"tokenFile": "token.txt", "exec": "plugin"}, "Bearer FILE"),
        ({"username": "jane", "exec": "plugin"}, "Basic " + base64.b64encode(b"jane:").decode()),
        (PAIR | {"exec": "plugin"}, None),
    ],
)
def test_one_way_of_proving_who_we_are(sent, plugin, tmp_path, user, header):
    """Empty is absent; a file wins over text; a plugin is asked only where nothing else is given."""
    (tmp_path / "token.txt").write_text("FILE\n")
    if "exec" in user:
        user = user | {"exec": plugin()}
    assert sent(**user) == header
    assert "exec" not in user or plugin.runs() == (header == "Bearer EXEC")


def test_a_token_file_is_read_again_and_the_last_good_one_counts(fake, tmp_path):
    """It rotates; while it is half-written, what was read before is used."""
    (tmp_path / "token").write_text("one")
    cluster = {"server": f"http://127.0.0.1:{fake.port}"}
    api = Client(read_kubeconfig(written(tmp_path, user={"tokenFile": "token"}, cluster=cluster)))
    for content in (b"two\n", b"", b"a\nb", b"\xff", b"three"):
        (tmp_path / "token").write_bytes(content)
        api.get(NAMESPACES)
    assert fake.tokens == [f"Bearer {token}" for token in ("two", "two", "two", "two", "three")]
    api.close()


@pytest.mark.parametrize("width", [None, 64])
def test_certificates_from_files_and_as_data(tmp_path, secure, width, monkeypatch):
    """Relative to the kubeconfig; line breaks in base64 say nothing; files may change between two calls."""
    seen = []
    monkeypatch.setattr(
        "tests.kube.fakerequests.FakeRequests._count",
        lambda self, *_: seen.append((self.connection.getpeercert() or {}).get("subjectAltName")),
    )
    jane = (("email", "jane@example.org"),)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    server = {"server": f"https://127.0.0.1:{secure.port}"}
    (tmp_path / "ca.crt").write_bytes(CA.cert_pem.bytes())
    (tmp_path / "jane.crt").write_bytes(JANE.cert_chain_pems[0].bytes())
    (tmp_path / "jane.key").write_bytes(JANE.private_key_pem.bytes())
    files = {"client-certificate": "jane.crt", "client-key": "jane.key"}
    cluster = server | {"certificate-authority": "ca.crt"}
    api = Client(read_kubeconfig(written(tmp_path, user=files, cluster=cluster)))
    api.get(NAMESPACES)
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(ApiError, match="the server's certificate is not good"):
        api.get(NAMESPACES)
    (tmp_path / "ca.crt").write_bytes(CA.cert_pem.bytes())
    (tmp_path / "jane.key").write_bytes(b"")
    with pytest.raises(ApiError, match=r"client certificate for .* cannot be used"):
        api.get(NAMESPACES)
    api.close()
    data = server | {"certificate-authority-data": encoded(CA, width)}
    api = Client(read_kubeconfig(written(tmp_path, user=PAIR, cluster=data)))
    api.get(NAMESPACES)
    api.close()
    assert seen == [jane, jane]
    assert list((tmp_path / "temporary").iterdir()) == [], "a key given as data reaches no file"


def test_names_and_checks_can_be_set(tmp_path, secure):
    """tls-server-name, and insecure-skip-tls-verify, which is true or false and nothing else."""
    server = {"server": f"https://127.0.0.1:{secure.port}"}
    trusted = server | {"certificate-authority-data": encoded(CA)}

    def call(cluster):
        api = Client(read_kubeconfig(written(tmp_path, cluster=cluster)))
        try:
            api.get(NAMESPACES)
        finally:
            api.close()

    call(trusted | {"tls-server-name": "localhost"})
    with pytest.raises(ApiError, match="not good: Hostname mismatch"):
        call(trusted | {"tls-server-name": "example.org"})
    call(server | {"insecure-skip-tls-verify": True})
    for value in (False, None):
        with pytest.raises(ApiError, match="the server's certificate is not good"):
            call(server | {"insecure-skip-tls-verify": value})


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


def test_a_plugin_runs_when_it_must(tmp_path, fake, plugin, monkeypatch):
    """Once, until its answer has expired or is not accepted."""
    end = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    now = [end - dt.timedelta(minutes=5)]
    monkeypatch.setattr(module, "utc_now", lambda: now[0])
    spec = plugin({"token": "t", "expirationTimestamp": "2026-01-01T12:00:00Z"})
    cluster = {"server": f"http://127.0.0.1:{fake.port}"}
    api = Client(read_kubeconfig(written(tmp_path, user={"exec": spec}, cluster=cluster)))
    assert plugin.runs() == 0
    api.get(NAMESPACES)
    api.get(NAMESPACES)
    assert plugin.runs() == 1
    now[0] = end
    api.get(NAMESPACES)
    assert plugin.runs() == 2
    now[0] = end - dt.timedelta(minutes=5)
    fake.failures["GET", NAMESPACES] = [(401, {"message": "Unauthorized"})]
    with pytest.raises(ApiError, match="Unauthorized"):
        api.get(NAMESPACES)
    api.get(NAMESPACES)
    assert plugin.runs() == 3
    api.close()


def test_a_plugin_may_give_a_certificate(tmp_path, plugin, secure):
    """With it or instead of a token; then no empty token is sent."""
    status = {
        "clientCertificateData": JANE.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": JANE.private_key_pem.bytes().decode(),
    }
    cluster = {
        "server": f"https://127.0.0.1:{secure.port}",
        "certificate-authority-data": encoded(CA),
    }
    for given, header in ((status, None), (status | {"token": "t"}, "Bearer t")):
        access = read_kubeconfig(written(tmp_path, user={"exec": plugin(given)}, cluster=cluster))
        api = Client(access)
        api.get(NAMESPACES)
        assert secure.tokens[-1] == header
        assert access.client().endswith(JANE.cert_chain_pems[0].bytes())
        api.close()


def test_what_a_plugin_is_told(tmp_path, plugin):
    """Never a terminal; its variables beside ours; the cluster only if it asks, as client-go tells it."""
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    (tmp_path / "ca.crt").write_bytes(CA.cert_pem.bytes())
    cluster = {
        "server": "https://127.0.0.1:1",
        "certificate-authority": "ca.crt",
        "tls-server-name": "kubernetes",
        "proxy-url": "http://127.0.0.1:1",
        "extensions": [{"name": "other", "extension": {}}, extension],
    }
    told = {"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False}}
    read_kubeconfig(written(tmp_path, user={"exec": plugin()}, cluster=cluster)).token()
    assert plugin.asked() == told
    spec = plugin(provideClusterInfo=True, interactiveMode="IfAvailable")
    read_kubeconfig(written(tmp_path, user={"exec": spec}, cluster=cluster)).token()
    told["spec"]["cluster"] = {
        "server": "https://127.0.0.1:1",
        "tls-server-name": "kubernetes",
        "proxy-url": "http://127.0.0.1:1",
        "certificate-authority-data": encoded(CA),
        "config": {"audience": "x"},
    }
    assert plugin.asked() == told


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("x", "wrote no ExecCredential"),
        ("[]", "wrote no ExecCredential"),
        ({"status": None}, "wrote no ExecCredential"),
        ({"status": {"token": "t"}, "kind": "Secret"}, "wrote no ExecCredential"),
        ({"status": {"token": "t"}, "apiVersion": f"{V1}beta1"}, "wrote no ExecCredential of .*/v1 with"),
        ({"status": {}}, "gave neither a token nor a client certificate"),
        ({"status": {"token": ""}}, "gave neither a token nor a client certificate"),
        ({"status": {"token": 5}}, "status.token: the value is not text"),
        ({"status": {"token": "t", "clientKeyData": "k"}}, "a client certificate or its key, not both"),
        ({"status": {"token": "t", "expirationTimestamp": "soon"}}, "'soon' is no time"),
        ({"status": {"token": "t", "expirationTimestamp": "2026-01-01T12:00:00"}}, "is no time"),
        ({"status": {"token": "a\nb"}}, "holds a line break"),
    ],
)
def test_a_plugin_whose_answer_is_none_is_an_error(tmp_path, plugin, fake, answer, message):
    """One line that names it, before anything is sent."""
    if isinstance(answer, dict):
        answer = json.dumps({"kind": "ExecCredential", "apiVersion": V1} | answer)
    cluster = {"server": f"http://127.0.0.1:{fake.port}"}
    path = written(tmp_path, user={"exec": plugin(answer=answer)}, cluster=cluster)
    with pytest.raises(ApiError, match=message) as raised:
        Client(read_kubeconfig(path)).get(NAMESPACES)
    assert "\n" not in str(raised.value)
    assert fake.tokens == []


def test_a_plugin_that_fails_is_quoted(tmp_path, plugin, monkeypatch):
    """Its exit code and its last words; how to install it; that it never ended."""
    env = [{"name": "CODE", "value": "3"}, {"name": "MORE", "value": "log in\nfirst"}]

    def asked(spec):
        return read_kubeconfig(written(tmp_path, user={"exec": spec})).token()

    with pytest.raises(AccessError, match=r"plugin': ended with 3: log in first$"):
        asked(plugin(env=env))
    with pytest.raises(AccessError, match="'no-such-program': is not installed: get it at x"):
        asked(plugin(command="no-such-program", installHint="get it\nat x"))
    monkeypatch.setattr(module, "_SECONDS", 0.05)
    with pytest.raises(AccessError, match="gave no answer in"):
        asked(plugin(command="sleep", args=["30"]))


def test_a_proxy_of_the_file_wins_over_the_environment(tmp_path, fake, monkeypatch):
    """And is used for loopback, too, because it was asked for by name."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    with FakeProxy() as proxy:
        cluster = {
            "server": f"http://127.0.0.1:{fake.port}",
            "proxy-url": f"http://127.0.0.1:{proxy.port}",
        }
        Client(read_kubeconfig(written(tmp_path, cluster=cluster))).get(NAMESPACES)
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        ("https://a.example", {}, None),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.example", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://a.example", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://a.example", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://a.example", {"ALL_PROXY": "socks5://p:1"}, None),
        ("http://a.example", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("https://localhost:1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.0.0.2:1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b, .example"}, None),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://a.example", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.example"}, "http://p:1"),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {"HTTPS_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://p:1"),
    ],
)
def test_the_environments_proxy_as_kubectl_takes_it(tmp_path, monkeypatch, server, environment, proxy):
    """By scheme, except for loopback and what NO_PROXY names."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read_kubeconfig(written(tmp_path, cluster={"server": server})).proxy == proxy


def test_a_socks_proxy_of_the_environment_is_refused(tmp_path, monkeypatch):
    """Going past it in silence could be what the user must not do."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://p:1")
    with pytest.raises(AccessError, match=r"HTTPS_PROXY: .*are not supported: name an HTTP proxy"):
        read_kubeconfig(written(tmp_path, cluster={"server": "https://a.example"}))


def jwt(**claims):
    """A token of OpenID Connect; nobody checks its signature here."""
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in ({}, claims)]
    return ".".join([*parts, "c2ln"])


def test_a_token_of_an_openid_provider(sent, secure):
    """Sent while it is good; when it is not, the provider is asked, and only one whose certificate is."""
    config = {"idp-issuer-url": f"https://127.0.0.1:{secure.port}", "client-id": "x", "client-secret": "s"}
    good = jwt(exp=4102444800)
    assert (
        sent(**{"auth-provider": {"name": "oidc", "config": config | {"id-token": good}}}) == f"Bearer {good}"
    )
    old = config | {"id-token": jwt(exp=1), "refresh-token": "r"}
    with pytest.raises(ApiError, match=r"auth-provider: no new token: .*certificate verify failed"):
        sent(**{"auth-provider": {"name": "oidc", "config": old}})
    assert secure.tokens == []
    with pytest.raises(ApiError, match="id-token: is no token of three parts"):
        sent(**{"auth-provider": {"name": "oidc", "config": config | {"id-token": "x"}}})
