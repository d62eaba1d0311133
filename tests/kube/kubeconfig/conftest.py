"""Servers that say what was sent, and a credential plugin."""

import json
import shlex
import ssl

import pytest

from tests.kube.fakeapi import NAMESPACES, FakeApi
from tests.kube.kubeconfig.builders import CA, V1, written
from webhook.kube.client import Client
from webhook.kube.kubeconfig import read_kubeconfig


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
