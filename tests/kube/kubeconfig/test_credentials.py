"""Who we are, as a kubeconfig says it: what is sent, to whom, and whom we believe."""

import base64
import json
import tempfile

import pytest
import trustme

from tests.kube.fakeapi import NAMESPACES
from tests.kube.kubeconfig.builders import CA, JANE, PAIR, encoded, written
from webhook.kube.client import ApiError, Client
from webhook.kube.kubeconfig import read_kubeconfig


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
