"""A kubeconfig's current context into an ``Access``.

Read are server, certificate authority, token, client certificate, user and password, and
exec plugins (``execplugin``), each from the file or as data. ``proxy-url`` and
``auth-provider`` (which kubectl itself dropped) are refused by name rather than ignored.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from webhook.kube.access import Access, AccessError, Bytes, ClientCertificate, from_file
from webhook.kube.execplugin import ExecPlugin
from webhook.pods.documents import DocumentError, read_documents

_REFUSED: Final = {
    ("cluster", "proxy-url"): "make the API server reachable without a proxy",
    ("user", "auth-provider"): "use an exec plugin",
    ("user", "as"): "impersonation is not supported: use that user's own credentials",
}


def read_kubeconfig(path: Path, context: str | None = None) -> Access:
    """Return the access that a kubeconfig gives.

    Args:
        path: of the file; paths inside it are relative to its folder.
        context: its name; None is the current one.

    Raises:
        AccessError: the file cannot be read, or what it says cannot be used.
    """
    try:
        documents = read_documents(path.read_bytes(), str(path))
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise AccessError(str(error)) from None
    config = documents[0].value if documents else None
    if not isinstance(config, Mapping):
        raise AccessError(f"{path}: is no kubeconfig: it must be a map with clusters, users and contexts")
    return _Reader(path, config).access(context)


class _Reader:
    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self.config = config

    def access(self, wanted: str | None) -> Access:
        name = wanted or self.config.get("current-context")
        if not name:
            raise AccessError(
                f"{self.path}: current-context: is empty: run 'kubectl config use-context NAME'"
            )
        context = self.entry("contexts", "context", name)
        cluster = self.entry("clusters", "cluster", context.get("cluster"))
        user = self.entry("users", "user", context.get("user")) if context.get("user") else {}
        for (kind, field), remedy in _REFUSED.items():
            if (cluster if kind == "cluster" else user).get(field):
                raise AccessError(f"{self.path}: {kind}.{field}: is not supported: {remedy}")
        server = cluster.get("server")
        if not isinstance(server, str) or not server.startswith(("https://", "http://")):
            raise AccessError(f"{self.path}: cluster.server: {server!r} is not an https:// URL")
        access = Access(
            server=server.rstrip("/"),
            namespace=str(context.get("namespace") or "default"),
            authority=self.content(cluster, "certificate-authority"),
            verify=not cluster.get("insecure-skip-tls-verify"),
            server_name=cluster.get("tls-server-name"),
        )
        self.credentials(access, user)
        return access

    def credentials(self, access: Access, user: Mapping[str, Any]) -> None:
        if isinstance(token := user.get("token"), str):
            access.token = token.encode
        elif isinstance(file := user.get("tokenFile"), str):
            access.token = from_file(self.path.parent / file)
        elif isinstance(name := user.get("username"), str):
            access.basic = base64.b64encode(f"{name}:{user.get('password') or ''}".encode()).decode()
        elif isinstance(spec := user.get("exec"), Mapping):
            plugin = ExecPlugin(spec, self.path)
            access.token = plugin.token
            access.client = plugin.client
            access.renew = plugin.renew
        certificate = self.content(user, "client-certificate")
        key = self.content(user, "client-key")
        if (certificate is None) != (key is None):
            raise AccessError(
                f"{self.path}: user: client-certificate and client-key go together: one of them is missing"
            )
        if certificate is not None and key is not None:
            pair = ClientCertificate(certificate, key)
            access.client = lambda: pair

    def entry(self, plural: str, singular: str, name: object) -> Mapping[str, Any]:
        entries = self.config.get(plural)
        for each in entries if isinstance(entries, list) else ():
            if isinstance(each, Mapping) and each.get("name") == name:
                found = each.get(singular)
                return found if isinstance(found, Mapping) else {}
        raise AccessError(f"{self.path}: {plural}: there is none named {name!r}: add it or correct the name")

    def content(self, parent: Mapping[str, Any], field: str) -> Bytes | None:
        """Return a reader of ``field``-data, else of the file that ``field`` names."""
        if data := parent.get(f"{field}-data"):
            try:
                decoded = base64.b64decode(str(data), validate=True)
            except binascii.Error:
                raise AccessError(f"{self.path}: {field}-data: is not base64") from None
            return lambda: decoded
        if file := parent.get(field):
            return from_file(self.path.parent / str(file))
        return None
