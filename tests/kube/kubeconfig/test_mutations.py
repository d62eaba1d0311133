"""Kubeconfigs of every shape: an Access or an AccessError, and never less checking than was asked for."""

import base64
import copy
import ssl

import pytest
import trustme
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webhook.kube.access import Access, AccessError
from webhook.kube.client import Client
from webhook.kube.kubeconfig import read_kubeconfig

CA = trustme.CA()
JANE = CA.issue_cert("jane@example.org")
GOOD = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {},
    "current-context": "x",
    "contexts": [
        {"name": "x", "context": {"cluster": "c", "user": "token", "namespace": "home"}},
        {"name": "y", "context": {"cluster": "c", "user": "exec"}},
    ],
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://api.example:6443/prefix",
                "certificate-authority-data": base64.b64encode(CA.cert_pem.bytes()).decode(),
                "tls-server-name": "kubernetes",
                "insecure-skip-tls-verify": False,
                "proxy-url": "http://proxy.example:3128",
                "disable-compression": True,
                "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}],
            },
        }
    ],
    "users": [
        {
            "name": "token",
            "user": {
                "token": "t",
                "client-certificate-data": base64.b64encode(JANE.cert_chain_pems[0].bytes()).decode(),
                "client-key-data": base64.b64encode(JANE.private_key_pem.bytes()).decode(),
            },
        },
        {
            "name": "exec",
            "user": {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": "./none",
                    "args": ["a"],
                    "env": [{"name": "A", "value": "b"}],
                    "interactiveMode": "IfAvailable",
                    "provideClusterInfo": True,
                }
            },
        },
    ],
}
NAMES = (
    *("token", "tokenFile", "username", "password", "as", "as-groups", "exec", "auth-provider"),
    *("client-certificate", "client-key", "certificate-authority", "insecure-skip-tls-verify"),
    *("proxy-url", "server", "name", "user", "cluster", "config"),
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.dates()
    | st.text(max_size=8)
    | st.sampled_from(
        ["true", "false", "yes", "https://a.example", "socks5://p:1", "a\nb", "\0", "config", "oidc"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
QUICKLY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(value, path=()):
    """Every place in a value: the path to it."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


PLACES = list(places(GOOD))[1:]


@st.composite
def mutated(draw):
    """A good kubeconfig of which a few places say something else, are gone, or are new."""
    config = copy.deepcopy(GOOD)
    config["current-context"] = draw(st.sampled_from("xy"))
    for *path, last in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        parent = config
        try:
            for key in path:
                parent = parent[key]
        except (LookupError, TypeError):
            continue  # an earlier change took it away
        if isinstance(parent, dict) and draw(st.booleans()):
            parent[draw(st.sampled_from(NAMES))] = draw(VALUES)
        elif isinstance(parent, dict) and draw(st.booleans()):
            parent.pop(last, None)
        elif isinstance(parent, dict) or (isinstance(parent, list) and last in range(len(parent))):
            parent[last] = draw(VALUES)
    return config


def tried(path, content):
    """What a file gives: an Access of which everything has been asked, or None where it was refused."""
    path.write_bytes(content)
    try:
        access = read_kubeconfig(path)
        Client(access)
        access.headers()
        if access.server.startswith("https:"):
            access.context()
    except AccessError as error:
        assert "\n" not in str(error)
        return None
    return access


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Nothing of whoever runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_the_good_one_is_good(tmp_path):
    """Else nothing that follows says anything."""
    access = tried(tmp_path / "config", yaml.safe_dump(GOOD).encode())
    assert isinstance(access, Access)
    assert access.headers() == {"Authorization": "Bearer t"}


@QUICKLY
@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes(tmp_path, content):
    """No kubeconfig: an error."""
    assert tried(tmp_path / "config", content) is None


@QUICKLY
@given(VALUES)
def test_any_yaml(tmp_path, value):
    """Nor is this."""
    assert tried(tmp_path / "config", yaml.safe_dump(value, allow_unicode=True).encode()) is None


@QUICKLY
@given(st.data())
def test_half_written_and_tampered_with(tmp_path, data):
    """Cut off anywhere, or a few bytes of it changed."""
    content = bytearray(yaml.safe_dump(GOOD, sort_keys=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    access = tried(tmp_path / "config", bytes(content[:end]))
    assert access is None or access.verify


@settings(QUICKLY, max_examples=200)
@given(mutated())
def test_no_mutation_checks_less_than_it_says(tmp_path, config):
    """Verification is off where exactly ``true`` stands, and nowhere else; nobody else's authority counts."""
    access = tried(tmp_path / "config", yaml.safe_dump(config, sort_keys=False).encode())
    if access is None:
        return
    clusters = [each["cluster"] for each in config["clusters"] if isinstance(each.get("cluster"), dict)]
    asked = any(each.get("insecure-skip-tls-verify") is True for each in clusters)
    if not asked:
        assert access.verify
        if access.server.startswith("https:"):
            assert access.context().verify_mode is ssl.CERT_REQUIRED
            assert access.context().check_hostname
    if access.authority is not None:
        assert access.authority() == CA.cert_pem.bytes()
    assert access.proxy is None or access.proxy.startswith("http")
