"""Credential plugins: when they run, what they are told, and what they may answer."""

import datetime as dt
import json

import pytest

from tests.kube.fakeapi import NAMESPACES
from tests.kube.kubeconfig.builders import CA, JANE, V1, encoded, written
from webhook.kube import kubeconfig as module
from webhook.kube.access import AccessError
from webhook.kube.client import ApiError, Client
from webhook.kube.kubeconfig import read_kubeconfig


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
