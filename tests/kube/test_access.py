"""How an API server is reached: in a pod, by a kubeconfig, with files that change."""

import base64
import datetime as dt
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme
import yaml

from tests.kube.fakeapi import NAMESPACES
from webhook.kube.access import Access, AccessError, in_cluster
from webhook.kube.client import ApiError, Client
from webhook.kube.execplugin import ExecPlugin
from webhook.kube.kubeconfig import read_kubeconfig

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def kubeconfig(folder, user=None, cluster=None, **config):
    """Write a kubeconfig; its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "home"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    } | config
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def secure():
    """A TLS server that wants a client certificate; its port, and the CA."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            subject = (self.connection.getpeercert() or {}).get("subjectAltName")
            seen.append((self.headers.get("Authorization"), subject))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    class Server(HTTPServer):
        def handle_error(self, *_):
            """A handshake that is refused is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1], authority, seen
    server.shutdown()
    server.server_close()


def test_a_pod_has_an_access_and_its_token_rotates(tmp_path, fake):
    """Each request carries what the file holds at that moment."""
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    (tmp_path / "namespace").write_text("colocation-system")
    access = in_cluster(tmp_path, ENVIRONMENT)
    assert (access.server, access.namespace) == ("https://10.0.0.1:443", "colocation-system")
    access.server = f"http://127.0.0.1:{fake.port}"
    api = Client(access)
    api.get(NAMESPACES)
    (tmp_path / "token").write_text("second")
    api.get(NAMESPACES)
    assert fake.tokens == ["Bearer first", "Bearer second"]


def test_an_ipv6_address_of_a_cluster_stands_in_brackets(tmp_path):
    """As in any URL."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    assert (
        in_cluster(tmp_path, ENVIRONMENT | {"KUBERNETES_SERVICE_HOST": "fd00::1"}).server
        == "https://[fd00::1]:443"
    )


def test_outside_a_pod_it_is_said_what_to_do(tmp_path):
    """The message names what is missing."""
    with pytest.raises(AccessError, match="this is no pod; use --kubeconfig"):
        in_cluster(tmp_path, {})
    with pytest.raises(AccessError, match="token: No such file"):
        in_cluster(tmp_path, ENVIRONMENT)


def test_tls_with_the_authority_and_the_client_certificate_of_a_kubeconfig(tmp_path, secure):
    """From files, relative to the kubeconfig, and as data; files may change between two connections."""
    port, authority, seen = secure
    other = trustme.CA()
    client = authority.issue_cert("jane@example.org")
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "jane.crt").write_bytes(client.cert_chain_pems[0].bytes())
    (tmp_path / "jane.key").write_bytes(client.private_key_pem.bytes())
    files = {"client-certificate": "jane.crt", "client-key": "jane.key"}
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": "ca.crt"}
    api = Client(read_kubeconfig(kubeconfig(tmp_path, files, cluster)))
    api.get("/")
    assert seen[-1] == (None, (("email", "jane@example.org"),))
    (tmp_path / "ca.crt").write_bytes(other.cert_pem.bytes())
    with pytest.raises(ApiError, match="the server's certificate is not good"):
        api.get("/")
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    api.get("/")
    data = {
        "client-certificate-data": base64.b64encode(client.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(client.private_key_pem.bytes()).decode(),
    }
    trust = base64.b64encode(authority.cert_pem.bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": trust}
    Client(read_kubeconfig(kubeconfig(tmp_path, data, cluster))).get("/")
    assert seen[-1] == (None, (("email", "jane@example.org"),))


def test_names_and_checks_can_be_set(tmp_path, secure):
    """tls-server-name, and insecure-skip-tls-verify."""
    port, authority, seen = secure
    trust = base64.b64encode(authority.cert_pem.bytes()).decode()
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": trust}
    token = {"token": "t"}
    Client(read_kubeconfig(kubeconfig(tmp_path, token, cluster | {"tls-server-name": "localhost"}))).get("/")
    assert seen[-1][0] == "Bearer t"
    wrong = Client(read_kubeconfig(kubeconfig(tmp_path, token, cluster | {"tls-server-name": "example.org"})))
    with pytest.raises(ApiError, match="not good: Hostname mismatch"):
        wrong.get("/")
    skipping = {"server": cluster["server"], "insecure-skip-tls-verify": True}
    Client(read_kubeconfig(kubeconfig(tmp_path, {"username": "a", "password": "b"}, skipping))).get("/")
    assert seen[-1][0] == "Basic " + base64.b64encode(b"a:b").decode()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"current-context": ""}, "current-context: is empty"),
        ({"current-context": "y"}, "contexts: there is none named 'y'"),
        ({"clusters": None}, "clusters: there is none named 'c'"),
        ({"user": {"client-key-data": "AA=="}}, "client-certificate and client-key go together"),
        ({"user": {"auth-provider": {"name": "gcp"}}}, "user.auth-provider: is not supported: use an exec"),
        ({"user": {"exec": {}}}, "user.exec.command: is empty"),
        ({"cluster": {"server": "10.0.0.1"}}, "cluster.server: '10.0.0.1' is not an https:// URL"),
        ({"cluster": {"proxy-url": "http://p"}}, "cluster.proxy-url: is not supported"),
        ({"cluster": {"certificate-authority-data": "%"}}, "certificate-authority-data: is not base64"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused_by_field(tmp_path, config, message):
    """File, field, value and remedy."""
    with pytest.raises(AccessError, match=message) as raised:
        read_kubeconfig(kubeconfig(tmp_path, **config))
    assert str(raised.value).startswith(str(tmp_path / "config"))


@pytest.mark.parametrize("text", ["", "- 1", "{", "\0"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path, text):
    """Whatever it holds."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(AccessError, match="config"):
        read_kubeconfig(tmp_path / "config")


def plugin(folder, answer, code=0, **spec):
    """An exec plugin that counts its runs."""
    program = folder / "plugin"
    program.write_text(
        f'#!/bin/sh\necho run >> {folder}/runs\necho "$MORE" >&2\ncat {folder}/answer\nexit {code}\n'
    )
    program.chmod(0o755)
    (folder / "answer").write_text(answer if isinstance(answer, str) else json.dumps(answer))
    return {"command": "./plugin", "apiVersion": "client.authentication.k8s.io/v1", **spec}


def runs(folder):
    """How often the plugin ran."""
    return len((folder / "runs").read_text().splitlines())


def test_an_exec_plugin_runs_when_it_must(tmp_path, fake):
    """Once, until its token has expired or is not accepted."""
    end = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    status = {"token": "t", "expirationTimestamp": "2026-01-01T12:00:00Z"}
    now = [end - dt.timedelta(minutes=5)]
    path = tmp_path / "config"
    made = ExecPlugin(plugin(tmp_path, {"status": status}), path, now=lambda: now[0])
    assert [made.token(), made.token()] == [b"t", b"t"]
    assert made.client() is None
    assert runs(tmp_path) == 1
    now[0] = end
    made.token()
    assert runs(tmp_path) == 2
    now[0] = end - dt.timedelta(minutes=5)
    fake.failures["GET", NAMESPACES] = [(401, {"message": "Unauthorized"})]
    api = Client(Access(f"http://127.0.0.1:{fake.port}", token=made.token, renew=made.renew))
    with pytest.raises(ApiError, match="Unauthorized"):
        api.get(NAMESPACES)
    api.get(NAMESPACES)
    assert runs(tmp_path) == 3


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ("x", 0, "wrote no ExecCredential"),
        ("[]", 0, "wrote no ExecCredential"),
        ({"status": None}, 0, "wrote no ExecCredential"),
        ({}, 3, "ended with 3: log in first"),
    ],
)
def test_an_exec_plugin_that_fails_is_quoted(tmp_path, answer, code, message):
    """The error says which program of which file, and what it said."""
    spec = plugin(tmp_path, answer, code, env=[{"name": "MORE", "value": "log in first"}])
    with pytest.raises(AccessError, match=message):
        ExecPlugin(spec, tmp_path / "config").token()
    with pytest.raises(AccessError, match="is not installed: get it at x"):
        ExecPlugin({"command": "no-such-program", "installHint": "get it at x"}, tmp_path / "config").token()
