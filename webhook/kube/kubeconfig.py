"""Kubeconfigs into an ``Access``, by the ``kubernetes`` package.

This module is imported only where a kubeconfig is used: in a cluster the package need not be
installed. What the package would read otherwise than client-go is checked before it sees it
(``kubeconfigfile``) or replaced here, with the reason. Files are read again as they change.
"""

import base64
import contextlib
import datetime as dt
import shutil
import ssl
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import certifi
import orjson
from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader

from webhook.kube.access import Access, AccessError, Bytes, from_file, token_file
from webhook.kube.kubeconfigfile import Entry, check_proxy, checked, read_context
from webhook.kube.timestamps import utc_now

_SECONDS: Final = 60.0
_EARLY: Final = dt.timedelta(seconds=30)
_SAID: Final = 300  # characters of what a plugin said
_CLUSTER_EXTENSION: Final = "client.authentication.k8s.io/exec"
_LOOPBACK: Final = "localhost,127.0.0.0/8,::1"
"""What client-go reaches without a proxy, in the form of NO_PROXY; the package goes by NO_PROXY alone."""


def read_kubeconfig(*paths: Path, context: str | None = None) -> Access:
    """Return the access that kubeconfigs give; no plugin runs yet, and nothing is sent.

    Args:
        paths: merged as by client-go: the first file that names something wins, and of several
            those that do not exist are passed over. Paths in a file are relative to its folder.
        context: its name; None is the current one.

    Raises:
        AccessError: a file cannot be read, or what it says cannot be used.
    """
    namespace, cluster, user = read_context(paths, context)
    loaded = _load(cluster.fields)
    access = Access(
        server=loaded.host,
        namespace=namespace,
        authority=_content(cluster, "certificate-authority"),
        verify=loaded.verify_ssl,
        server_name=loaded.tls_server_name,
        proxy=cluster.fields.get("proxy-url") or _proxy_of_environment(loaded.host),
    )
    certificate, key = (_content(user, name) for name in ("client-certificate", "client-key"))
    if certificate is not None and key is not None:
        access.client = lambda: key() + b"\n" + certificate()
    elif certificate or key:
        raise AccessError(f"{user.at}: client-certificate and client-key go together: one of them is missing")
    access.context()
    fields = user.fields
    if "tokenFile" in fields:
        access.token = _token_file(user)
    elif "token" in fields:
        access.token = fields["token"].encode
    elif "username" in fields:
        # The package writes it in Latin-1, which has not every name.
        pair = f"{fields['username']}:{fields.get('password', '')}"
        access.basic = base64.b64encode(pair.encode()).decode()
    elif "auth-provider" in fields:
        access.token = _openid_connect(cluster, user)
    elif "exec" in fields and certificate is None:
        plugin = _ExecCredentials(cluster, user, access.authority)
        access.token, access.client, access.renew = plugin.token, plugin.client, plugin.renew
    return access


def _load(cluster: Mapping[str, Any], **user: object) -> Configuration:
    """Return what the package makes of a cluster and a user; certificates and keys do not reach its files."""
    names = ("server", "insecure-skip-tls-verify", "tls-server-name")
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {name: cluster[name] for name in names if name in cluster}}],
        "users": [{"name": "x", "user": user}],
    }
    configuration = Configuration()
    KubeConfigLoader(config_dict=config).load_and_set(configuration)
    return configuration


def _content(entry: Entry, name: str) -> Bytes | None:
    """Return a reader of what an entry holds as data, or of the file that it names."""
    data: bytes | None = entry.fields.get(f"{name}-data")
    if data is not None:
        return lambda: data
    path = entry.fields.get(name)
    return path and from_file(Path(path), f"{entry.at}.{name}: {path}")


def _proxy_of_environment(server: str) -> str | None:
    """Return the proxy that kubectl would use: HTTPS_PROXY, unless NO_PROXY or a loopback address."""
    scheme = urllib.parse.urlsplit(server).scheme
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(scheme)
    if not proxy or should_bypass_proxies(server, f"{_LOOPBACK},{proxies.get('no', '')}"):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    check_proxy(proxy, f"{scheme.upper()}_PROXY")
    return proxy


def _token_file(user: Entry) -> Bytes:
    """Return a reader of a token's file; while it cannot be read, the last one counts, at first ``token``."""
    path = user.fields["tokenFile"]
    read = token_file(Path(path), f"{user.at}.tokenFile: {path}")
    last: bytes = user.fields["token"].encode() if "token" in user.fields else read()

    def token() -> bytes:
        nonlocal last
        with contextlib.suppress(AccessError):
            last = read()
        return last

    return token


def _openid_connect(cluster: Entry, user: Entry) -> Bytes:
    """Return a reader of an OpenID Connect provider's token, which the package renews when it has expired."""
    lock = threading.Lock()
    at = f"{user.at}.auth-provider"
    provider = user.fields["auth-provider"]
    if "idp-certificate-authority-data" not in provider["config"]:
        # Without an authority the package would ask the provider without looking at its certificate.
        system = ssl.get_default_verify_paths().cafile or certifi.where()
        provider["config"].setdefault("idp-certificate-authority", system)

    def token() -> bytes:
        with lock:
            try:
                loaded = _load(cluster.fields, **{"auth-provider": provider})
            except Exception as error:  # noqa: BLE001 — whatever its HTTP, JSON and OAuth libraries raise
                raise AccessError(f"{at}: no new token: {_one_line(error)}: log in again") from None
        bearer: str = loaded.api_key.get("BearerToken", "")
        if not bearer:
            raise AccessError(f"{at}.config.id-token: is no token of three parts: log in again")
        return bearer.removeprefix("Bearer ").encode()

    return token


class _Credential(NamedTuple):
    token: bytes
    client: bytes
    expires: dt.datetime | None


class _ExecCredentials:
    """What an exec plugin answers, until that has expired or was not accepted."""

    def __init__(self, cluster: Entry, user: Entry, authority: Bytes | None) -> None:
        self._cluster = cluster.fields
        self._authority = authority
        self._spec = user.fields["exec"]
        self._at = f"{user.at}.exec.command {self._spec['command']!r}"
        self._lock = threading.Lock()
        self._known: _Credential | None = None

    def token(self) -> bytes:
        return self._credential().token

    def client(self) -> bytes:
        return self._credential().client

    def renew(self) -> None:
        with self._lock:
            self._known = None

    def _credential(self) -> _Credential:
        with self._lock:
            known = self._known
            if known is None or (known.expires is not None and known.expires - _EARLY <= utc_now()):
                asked: dict[str, Any] = {"interactive": False}
                if "provideClusterInfo" in self._spec:
                    asked["cluster"] = _cluster_info(self._cluster, self._authority)
                self._known = known = _credential(_run(self._spec, asked, self._at), self._at)
            return known


def _run(spec: Mapping[str, Any], asked: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    """Run the plugin and return the status that it answers with.

    The package makes the command and its environment. Its own ``run`` waits without end, gives
    the plugin the terminal whatever ``interactiveMode`` says, and describes the cluster to it in the
    kubeconfig's words: an authority's file instead of the authority.
    """
    plugin = ExecProvider(ConfigNode("exec", spec), None)
    program = shutil.which(plugin.args[0])
    if program is None:
        raise AccessError(f"{at}: is not installed: {_one_line(spec.get('installHint', 'install it'))}")
    info = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": asked}
    try:
        done = subprocess.run(  # noqa: S603 — the kubeconfig's owner chose the program
            [program, *plugin.args[1:]],
            env={**plugin.env, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AccessError(f"{at}: gave no answer in {_SECONDS:.0f} s: run it by hand to see why") from None
    except (OSError, ValueError, TypeError) as error:
        raise AccessError(f"{at}: cannot be run: {_one_line(error)}") from None
    if done.returncode:
        said = _one_line(done.stderr.decode(errors="replace"))
        raise AccessError(f"{at}: ended with {done.returncode}: {said or 'and said nothing'}")
    try:
        answer = orjson.loads(done.stdout)
        same = (answer["kind"], answer["apiVersion"]) == ("ExecCredential", plugin.api_version)
        status = answer["status"] if same else None
    except (orjson.JSONDecodeError, LookupError, TypeError):
        status = None
    if not isinstance(status, Mapping):
        raise AccessError(f"{at}: wrote no ExecCredential of {plugin.api_version} with a status: update it")
    return status


def _cluster_info(cluster: Mapping[str, Any], authority: Bytes | None) -> dict[str, Any]:
    """Return ``spec.cluster`` of an ExecCredential."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
    info = {name: cluster[name] for name in names if name in cluster}
    if authority is not None:
        info["certificate-authority-data"] = base64.b64encode(authority()).decode()
    for extension in cluster.get("extensions", ()):
        if isinstance(extension, Mapping) and extension.get("name") == _CLUSTER_EXTENSION:
            info["config"] = extension.get("extension")
    return info


def _credential(status: Mapping[str, Any], at: str) -> _Credential:
    names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    fields = checked(status, {str: names}, f"{at}: status")
    token, certificate, key, end = (fields.get(name, "") for name in names)
    if bool(certificate) != bool(key):
        raise AccessError(f"{at}: gave a client certificate or its key, not both: update the plugin")
    if not token and not certificate:
        raise AccessError(f"{at}: gave neither a token nor a client certificate: log in with it again")
    expires = None
    with contextlib.suppress(ValueError):
        expires = dt.datetime.fromisoformat(end)
    if end and (expires is None or expires.tzinfo is None):
        raise AccessError(
            f"{at}: status.expirationTimestamp: {end!r} is no time of a zone: update the plugin"
        )
    return _Credential(token.encode(), f"{key}\n{certificate}".encode() if key else b"", expires)


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[-_SAID:]
