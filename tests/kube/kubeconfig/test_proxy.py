"""The proxy of a kubeconfig and of the environment, as kubectl takes it."""

import pytest

from tests.kube.fakeapi import NAMESPACES
from tests.kube.fakeproxy import FakeProxy
from tests.kube.kubeconfig.builders import written
from webhook.kube.access import AccessError
from webhook.kube.client import Client
from webhook.kube.kubeconfig import read_kubeconfig


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
