"""How an API server is reached from a pod, with files that change and certificates that are old."""

import datetime as dt
import ipaddress
import ssl
import subprocess
import sys

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kube.fakeapi import NAMESPACES, FakeApi
from webhook.kube.access import Access, AccessError, in_cluster
from webhook.kube.client import ApiError, Client

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}

IN_A_POD = """
import sys
from pathlib import Path
import webhook.binding.service, webhook.certificates.rotator, webhook.cli.serve.command, webhook.server.app
from webhook.cli.options.access import ClusterFlags
from webhook.kube.access import in_cluster

environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": sys.argv[2]}
in_cluster.__defaults__ = (Path(sys.argv[1]), environment)
ClusterFlags(None, True).open().get("/api/v1/namespaces")
print([name for name in sys.modules if name.partition(".")[0] in {"kubernetes", "requests", "oauthlib"}])
"""


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


@pytest.fixture
def pod(tmp_path):
    """The folder of a service account whose authority vouches for loopback; and a server's TLS."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    return tmp_path, tls


def test_in_a_pod_the_kubernetes_package_is_not_imported(pod):
    """So an image may leave it out: nothing that ``serve --in-cluster`` imports, nor a call, needs it."""
    folder, tls = pod
    with FakeApi(tls) as fake:
        command = [sys.executable, "-c", IN_A_POD, str(folder), str(fake.port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 — ours
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("token", b"", "token: is empty"),
        ("token", b"a\nb", "token: holds a line break"),
        ("token", b"\xff\xfe", "token: holds a line break, or another character"),
        ("token", None, "token: No such file"),
        ("ca.crt", b"", "certificate authority of .* is empty"),
        ("ca.crt", b"-----BEGIN CERTIFICATE-----\nMIIB", "is no PEM certificate"),
        ("ca.crt", b"\xff", "is no PEM certificate"),
    ],
)
def test_a_file_that_was_half_written_is_an_error_of_the_calls(pod, name, content, message):
    """Nothing is sent and nobody else is trusted meanwhile; when it is whole again, calls go on."""
    folder, tls = pod
    whole = (folder / name).read_bytes()
    with FakeApi(tls) as fake:
        environment = ENVIRONMENT | {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(fake.port),
        }
        api = Client(in_cluster(folder, environment))
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(ApiError, match=message):
            api.get(NAMESPACES)
        assert fake.tokens == []
        (folder / name).write_bytes(whole)
        api.get(NAMESPACES)
        assert fake.tokens == ["Bearer t"]
        api.close()


def old_authority():
    """A CA as Kubernetes before 2019 made it, without key identifiers, and a server's TLS by it."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("kubernetes", "kube-apiserver")
    ]
    use = x509.KeyUsage(True, False, True, False, False, True, False, False, False)
    made = []
    for key, name, extension in (
        (keys[0], names[0], x509.BasicConstraints(ca=True, path_length=None)),
        (keys[1], names[1], x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])),
    ):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(len(made) + 1)
            .not_valid_before(now - dt.timedelta(1))
            .not_valid_after(now + dt.timedelta(1))
            .add_extension(extension, critical=not made)
        )
        if not made:
            builder = builder.add_extension(use, critical=True)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made[0], made[1] + private


def test_an_authority_of_an_old_cluster_is_taken(tmp_path, monkeypatch):
    """As by client-go, whatever Python 3.13 asks of its extensions."""
    create = ssl.create_default_context

    def strict(**given):
        context = create(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    authority, server = old_authority()
    (tmp_path / "server.pem").write_bytes(server)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    with FakeApi(tls) as fake:
        api = Client(Access(f"https://127.0.0.1:{fake.port}", authority=lambda: authority))
        assert api.get(NAMESPACES)["items"] == []
        api.close()
