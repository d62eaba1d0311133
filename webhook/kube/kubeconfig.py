"""Kubeconfigs into an ``Access``, by the ``kubernetes`` package.

This module is imported only where a kubeconfig is used: in a cluster the package need not be
installed. What the package would read otherwise than client-go is checked before it sees it
(``kubeconfigfile``) or replaced here, with the reason. Files are read again as they change.
"""

import base64
import datetime as dt
import ipaddress
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

from webhook.kube.access import Access, AccessError, Bytes, ClientCertificate, from_file, token_file
from webhook.kube.kubeconfigfile import Context, check_proxy, read_context
from webhook.kube.timestamps import utc_now

_SECONDS: Final = 60.0
_EARLY: Final = dt.timedelta(seconds=30)
_SAID: Final = 300  # characters of what a plugin said
_OURS: Final = frozenset({"exec", "auth-provider", "tokenFile", "username", "password"})
_CLUSTER_EXTENSION: Final = "client.authentication.k8s.io/exec"


def read_kubeconfig(*paths: Path, context: str | None = None) -> Access:
    """Return the access that kubeconfigs give; no plugin runs yet, and nothing is sent.

    Args:
        paths: merged as by client-go: the first file that names something wins, and of several
            those that do not exist are passed over. Paths in a file are relative to its folder.
        context: its name; None is the current one.

    Raises:
        AccessError: a file cannot be read, or what it says cannot be used.
    """
    chosen = read_context(paths, context)
    cluster, user = chosen.cluster, chosen.user
    loaded = _load(chosen, {name: value for name, value in user.items() if name not in _OURS})
    access = Access(
        server=loaded.host,
        namespace=chosen.namespace,
        authority=_content(cluster, "certificate-authority", chosen.cluster_at),
        verify=loaded.verify_ssl,
        server_name=loaded.tls_server_name,
        proxy=cluster.get("proxy-url") or _proxy_of_environment(loaded.host),
    )
    certificate = _content(user, "client-certificate", chosen.user_at)
    key = _content(user, "client-key", chosen.user_at)
    if certificate is not None and key is not None:
        pair = ClientCertificate(certificate, key)
        access.client = lambda: pair
    if "tokenFile" in user:
        access.token = _TokenFile(user, chosen.user_at).token
    elif "token" in user:
        access.token = lambda: _bearer(loaded)
    elif "username" in user:
        # The package writes it in Latin-1, which has not every name.
        access.basic = base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
    elif "auth-provider" in user:
        access.token = _OpenIDConnect(chosen).token
    elif "exec" in user:
        plugin = _ExecCredentials(chosen, access)
        access.token, access.client, access.renew = plugin.token, plugin.client, plugin.renew
    if "exec" not in user and access.server.startswith("https:"):
        access.context()
    return access


def _load(chosen: Context, user: Mapping[str, Any]) -> Configuration:
    """Return what the package makes of a cluster and a user; keys given as data never reach its files."""
    cluster = {name: value for name, value in chosen.cluster.items() if not name.endswith("-data")}
    user = {name: value for name, value in user.items() if not name.endswith("-data")}
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": user}],
    }
    configuration = Configuration()
    KubeConfigLoader(config_dict=config).load_and_set(configuration)
    return configuration


def _bearer(loaded: Configuration) -> bytes:
    return loaded.api_key.get("BearerToken", "").removeprefix("Bearer ").encode()


def _content(fields: Mapping[str, Any], name: str, at: str) -> Bytes | None:
    """Return a reader of what stands in ``fields`` as data, or of the file that is named there."""
    if f"{name}-data" in fields:
        data: bytes = fields[f"{name}-data"]
        return lambda: data
    return from_file(Path(fields[name]), f"{at}.{name}") if name in fields else None


def _proxy_of_environment(server: str) -> str | None:
    """Return the proxy that kubectl would use: HTTPS_PROXY, unless NO_PROXY or a loopback address."""
    parts = urllib.parse.urlsplit(server)
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme)
    if (
        not proxy
        or _is_loopback(parts.hostname or "")
        or should_bypass_proxies(server, proxies.get("no", ""))
    ):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    check_proxy(proxy, f"{parts.scheme.upper()}_PROXY")
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _TokenFile:
    """A token in a file; while it cannot be read, the last one counts, at first ``token``."""

    def __init__(self, user: Mapping[str, Any], at: str) -> None:
        self._read = token_file(Path(user["tokenFile"]), f"{at}.tokenFile")
        self._last: bytes | None = user["token"].encode() if "token" in user else None
        if self._last is None:
            self._last = self._read()

    def token(self) -> bytes:
        try:
            self._last = self._read()
        except AccessError:
            if self._last is None:
                raise
        return self._last


class _OpenIDConnect:
    """Tokens of an OpenID Connect provider, renewed by the package when they are about to expire."""

    def __init__(self, chosen: Context) -> None:
        self._chosen = chosen
        self._lock = threading.Lock()
        config = chosen.user["auth-provider"]["config"]
        if "idp-certificate-authority-data" not in config:
            # Without an authority the package would ask the provider without looking at its certificate.
            system = ssl.get_default_verify_paths().cafile or certifi.where()
            config.setdefault("idp-certificate-authority", system)

    def token(self) -> bytes:
        at = f"{self._chosen.user_at}.auth-provider"
        provider = {"auth-provider": self._chosen.user["auth-provider"]}
        with self._lock:
            try:
                token = _bearer(_load(self._chosen, provider))
            except Exception as error:  # noqa: BLE001 — whatever its HTTP, JSON and OAuth libraries raise
                raise AccessError(f"{at}: no new token: {_one_line(error)}: log in again") from None
        if not token:
            raise AccessError(f"{at}.config.id-token: is no token of three parts: log in again")
        return token


class _Credential(NamedTuple):
    token: bytes
    client: ClientCertificate | None
    expires: dt.datetime | None


class _ExecCredentials:
    """What an exec plugin answers, until that has expired or was not accepted."""

    def __init__(self, chosen: Context, access: Access) -> None:
        self._chosen = chosen
        self._access = access
        self._lock = threading.Lock()
        self._known: _Credential | None = None

    def token(self) -> bytes:
        return self._credential().token

    def client(self) -> ClientCertificate | None:
        return self._credential().client

    def renew(self) -> None:
        with self._lock:
            self._known = None

    def _credential(self) -> _Credential:
        with self._lock:
            known = self._known
            if known is None or (known.expires is not None and known.expires - _EARLY <= utc_now()):
                at = f"{self._chosen.user_at}.exec.command {self._chosen.user['exec']['command']!r}"
                self._known = known = _credential(_run(self._chosen, self._access, at), at)
            return known


def _run(chosen: Context, access: Access, at: str) -> Mapping[str, Any]:
    """Run the plugin and return the status that it answers with.

    The package makes the command and its environment. Its own ``run`` waits without end, gives
    the plugin the terminal whatever ``interactiveMode`` says, and tells it the cluster in the
    kubeconfig's words: an authority's file instead of the authority.
    """
    spec = chosen.user["exec"]
    plugin = ExecProvider(ConfigNode("exec", spec), None)
    program = shutil.which(plugin.args[0])
    if program is None:
        raise AccessError(f"{at}: is not installed: {_one_line(spec.get('installHint', 'install it'))}")
    asked: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        asked["cluster"] = _cluster_info(chosen.cluster, access)
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
        status = answer["status"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        same, status = False, None
    if not same or not isinstance(status, Mapping):
        raise AccessError(f"{at}: wrote no ExecCredential of {plugin.api_version} with a status: update it")
    return status


def _cluster_info(cluster: Mapping[str, Any], access: Access) -> dict[str, Any]:
    """Return ``spec.cluster`` of an ExecCredential."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression")
    info = {name: cluster[name] for name in names if name in cluster}
    if access.authority is not None:
        info["certificate-authority-data"] = base64.b64encode(access.authority()).decode()
    for extension in cluster.get("extensions", ()):
        if isinstance(extension, Mapping) and extension.get("name") == _CLUSTER_EXTENSION:
            info["config"] = extension.get("extension")
    return info


def _credential(status: Mapping[str, Any], at: str) -> _Credential:
    names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    values = [status.get(name) or "" for name in names]
    if not all(isinstance(value, str) for value in values):
        raise AccessError(f"{at}: status.{', '.join(names)}: one is not text: update the plugin")
    token, certificate, key, end = values
    if bool(certificate) != bool(key):
        raise AccessError(f"{at}: gave a client certificate or its key, not both: update the plugin")
    if not token and not certificate:
        raise AccessError(f"{at}: gave neither a token nor a client certificate: log in with it again")
    try:
        # A time without a zone is none: it cannot be compared.
        expires = dt.datetime.fromisoformat(end) if end else None
    except ValueError:
        expires = dt.datetime.min  # noqa: DTZ901 — refused below, as having no zone
    if expires is not None and expires.tzinfo is None:
        raise AccessError(
            f"{at}: status.expirationTimestamp: {end!r} is no time of a zone: update the plugin"
        )
    pair = ClientCertificate(certificate.encode, key.encode) if certificate else None
    return _Credential(token.encode(), pair, expires)


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[-_SAID:]
