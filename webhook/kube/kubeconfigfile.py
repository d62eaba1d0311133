"""Kubeconfig files: read, merged and checked, before the ``kubernetes`` package sees them.

As strict as client-go: each field has its type (the text "false" is no truth value), and
fields that exclude each other are refused. What is empty counts as absent, and what gives way
to another field is left out. Source: client-go's tools/clientcmd and plugin/pkg/client/auth.
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from webhook.kube.access import AccessError, check_token, from_file, parse_server

_EXEC: Final = {
    "apiVersion": str,
    "command": str,
    "args": list,
    "env": list,
    "installHint": str,
    "interactiveMode": str,
    "provideClusterInfo": bool,
}
_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "cluster": {
        "server": str,
        "tls-server-name": str,
        "insecure-skip-tls-verify": bool,
        "certificate-authority": str,
        "certificate-authority-data": bytes,
        "proxy-url": str,
        "disable-compression": bool,
        "extensions": list,
    },
    "user": {
        "client-certificate": str,
        "client-certificate-data": bytes,
        "client-key": str,
        "client-key-data": bytes,
        "token": str,
        "tokenFile": str,
        "username": str,
        "password": str,
        "as": str,
        "as-uid": str,
        "as-groups": list,
        "as-user-extra": dict,
        "auth-provider": {"name": str, "config": dict},
        "exec": _EXEC,
    },
    "context": {"cluster": str, "user": str, "namespace": str},
}
_EXPECTED: Final = {
    str: "text: write it in quotes",
    bytes: "text: write it in quotes",
    bool: "true or false: write it without quotes",
    list: "a list",
    dict: "a map",
}
_PATHS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_IMPERSONATION: Final = frozenset({"as", "as-uid", "as-groups", "as-user-extra"})
_SHOWN: Final = 60  # characters of a value
_SECRET: Final = frozenset({"token", "password", "client-key-data", "config", "env"})
_EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class Context(NamedTuple):
    """One context, checked.

    Attributes:
        namespace: its own, else ``default``.
        cluster: its fields; ``…-data`` as bytes, paths absolute.
        cluster_at: where they stand, for messages: ``FILE: clusters.NAME``.
        user: as ``cluster``; empty where the context names no user.
        user_at: as ``cluster_at``.
    """

    namespace: str
    cluster: dict[str, Any]
    cluster_at: str
    user: dict[str, Any]
    user_at: str


class _Entry(NamedTuple):
    fields: dict[str, Any]
    at: str


def read_context(paths: Sequence[Path], name: str | None) -> Context:
    """Read and merge files, and return the context ``name``, or the current one; raises AccessError."""
    found: dict[str, dict[str, _Entry]] = {kind: {} for kind in _FIELDS}
    present = [path for path in paths if len(paths) == 1 or path.exists()]
    where = os.pathsep.join(map(str, paths))
    if not present:
        raise AccessError(f"{where}: none of these files exists")
    for path in present:
        config = _read(path)
        name = name or _checked(config, {"current-context": str}, str(path)).get("current-context")
        for kind, entries in found.items():
            for key, entry in _entries(config, kind, path).items():
                entries.setdefault(key, entry)
    if not name:
        raise AccessError(f"{where}: current-context: is empty: run 'kubectl config use-context NAME'")

    def look_up(kind: str, wanted: str, said_by: str) -> _Entry:
        if wanted in found[kind]:
            return found[kind][wanted]
        raise AccessError(
            f"{where}: {said_by}: there is no {kind} named {wanted!r}: add it or correct the name"
        )

    context, at = look_up("context", name, "current-context")
    cluster = look_up("cluster", context.get("cluster", ""), f"contexts.{name}.cluster")
    user = look_up("user", context["user"], f"contexts.{name}.user") if "user" in context else _Entry({}, at)
    _check_cluster(*cluster)
    _check_user(*user)
    return Context(context.get("namespace", "default"), *cluster, *user)


def check_proxy(url: str, at: str) -> None:
    """Raise AccessError for what is no HTTP proxy."""
    try:
        scheme, _, host, *_ = parse_url(url)
    except LocationParseError:
        scheme = host = None
    if scheme not in {"http", "https"} or not host:
        raise AccessError(
            f"{at}: is not an http:// or https:// URL with a host name, and other proxies (socks5) are not "
            "supported: name an HTTP proxy, or reach the API server without one"
        )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        # The first document, as kubectl; an empty file says nothing.
        config = next(yaml.safe_load_all(path.read_bytes()), None)
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 — PyYAML lets its constructors' errors and recursion through
        raise AccessError(f"{path}: is not YAML: {' '.join(str(error).split())}: correct it") from None
    if not isinstance(config, (Mapping, type(None))):
        raise AccessError(f"{path}: is no kubeconfig: it must be a map with clusters, users and contexts")
    fields = _checked(config, {"apiVersion": str, "kind": str}, str(path))
    if fields.get("apiVersion", "v1") != "v1" or fields.get("kind", "Config") != "Config":
        raise AccessError(f"{path}: apiVersion, kind: are not 'v1' and 'Config': it is no kubeconfig")
    return config or {}


def _entries(config: Mapping[str, Any], kind: str, path: Path) -> dict[str, _Entry]:
    plural = f"{kind}s"
    entries: dict[str, _Entry] = {}
    for i, raw in enumerate(_checked(config, {plural: list}, str(path)).get(plural, ())):
        name = _checked(raw, {"name": str}, f"{path}: {plural}[{i}]").get("name", "")
        if name in entries:
            raise AccessError(f"{path}: {plural}: two are named {name!r}: rename or remove one")
        at = f"{path}: {plural}.{name}"
        fields = _checked(raw.get(kind) if raw else None, _FIELDS[kind], at)
        for field in _PATHS:
            if field in fields:
                fields[field] = str(path.absolute().parent / fields[field])
        if "/" in (command := fields.get("exec", {}).get("command", "")):
            fields["exec"]["command"] = str(path.absolute().parent / command)
        entries[name] = _Entry(fields, at)
    return entries


def _checked(raw: object, expected: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the fields of ``raw`` that are ``expected`` and not empty, each of its type."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise AccessError(f"{at}: {_shown(raw)} is not a map")
    fields: dict[str, Any] = {}
    for name, kind in expected.items():
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(kind, Mapping):
            fields[name] = _checked(value, kind, f"{at}.{name}")
            continue
        if not isinstance(value, str if kind is bytes else kind):
            shown = "the value" if name in _SECRET else _shown(value)
            raise AccessError(f"{at}.{name}: {shown} is not {_EXPECTED[kind]}")
        if isinstance(value, str):
            _check_text(value, f"{at}.{name}")
        if kind is bytes:
            value = _decoded(value, f"{at}.{name}")
        if value or kind is bool:
            fields[name] = value
    return fields


def _check_text(text: str, at: str) -> None:
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise AccessError(f"{at}: holds a NUL or half a character: remove it")


def _decoded(text: str, at: str) -> bytes:
    """Return what base64 stands for; as in Go, line breaks in it say nothing."""
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise AccessError(f"{at}: is not base64: encode the file with 'base64 --wrap=0'") from None


def _check_cluster(fields: dict[str, Any], at: str) -> None:
    parse_server(fields.get("server", ""), f"{at}.server")
    if "proxy-url" in fields:
        check_proxy(fields["proxy-url"], f"{at}.proxy-url")
    _check_content(fields, "certificate-authority", at)
    if fields.get("insecure-skip-tls-verify") and {
        f for f in fields if f.startswith("certificate-authority")
    }:
        raise AccessError(
            f"{at}.insecure-skip-tls-verify: true and a certificate-authority exclude each other: remove one"
        )


def _check_user(fields: dict[str, Any], at: str) -> None:
    for name in _IMPERSONATION & fields.keys():
        raise AccessError(f"{at}.{name}: impersonation is not supported: use that user's own credentials")
    certificate = _check_content(fields, "client-certificate", at)
    if certificate != _check_content(fields, "client-key", at):
        raise AccessError(f"{at}: client-certificate and client-key go together: one of them is missing")
    token = bool(fields.keys() & {"token", "tokenFile"})
    if token and fields.keys() & {"username", "password"}:
        raise AccessError(f"{at}: token and username exclude each other: remove one")
    if "token" in fields:
        check_token(fields["token"].encode(), f"{at}.token")
    if fields.keys() >= {"exec", "auth-provider"}:
        raise AccessError(f"{at}: exec and auth-provider exclude each other: remove one")
    for name, check in (("exec", _check_exec), ("auth-provider", _check_provider)):
        if name in fields:
            check(fields[name], f"{at}.{name}")
    # What gives way: client-go asks a plugin only where nothing else is given.
    if token or "username" in fields:
        fields.pop("auth-provider", None)
    if token or "username" in fields or certificate:
        fields.pop("exec", None)


def _check_content(fields: Mapping[str, Any], name: str, at: str) -> bool:
    """Whether a file is given, by name or as data; one that is named must be there."""
    if name in fields and f"{name}-data" in fields:
        raise AccessError(f"{at}: {name} and {name}-data exclude each other: remove one")
    if name in fields:
        from_file(Path(fields[name]), f"{at}.{name}")()
    return name in fields or f"{name}-data" in fields


def _check_exec(fields: dict[str, Any], at: str) -> None:
    if "command" not in fields:
        raise AccessError(f"{at}.command: is empty: name the program")
    if fields.get("apiVersion") not in _EXEC_VERSIONS:
        raise AccessError(
            f"{at}.apiVersion: {fields.get('apiVersion', '')!r} is not {' or '.join(_EXEC_VERSIONS)}: "
            "update the plugin and its entry"
        )
    mode = fields.get("interactiveMode", "IfAvailable" if fields["apiVersion"] == _EXEC_VERSIONS[1] else "")
    if mode not in {"Never", "IfAvailable"}:
        raise AccessError(
            f"{at}.interactiveMode: {mode!r} is not Never or IfAvailable: a plugin has no terminal here"
        )
    for i, argument in enumerate(fields.get("args", ())):
        if not isinstance(argument, str):
            raise AccessError(f"{at}.args[{i}]: {_shown(argument)} is not {_EXPECTED[str]}")
        _check_text(argument, f"{at}.args[{i}]")
    environment = []
    for i, raw in enumerate(fields.get("env", ())):
        variable = _checked(raw, {"name": str, "value": str}, f"{at}.env[{i}]")
        if not variable.get("name") or "=" in variable["name"]:
            raise AccessError(f"{at}.env[{i}].name: is empty or holds '=': name the variable")
        environment.append({"name": variable["name"], "value": variable.get("value", "")})
    fields["env"] = environment


def _check_provider(fields: Mapping[str, Any], at: str) -> None:
    if fields.get("name") != "oidc":
        raise AccessError(f"{at}.name: {fields.get('name', '')!r} is not supported: use an exec plugin")
    config = fields.get("config", {})
    for name, value in config.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise AccessError(f"{at}.config.{name}: the value is not {_EXPECTED[str]}")
        _check_text(value, f"{at}.config.{name}")
    for name in ("idp-issuer-url", "client-id", "id-token"):
        if not config.get(name):
            raise AccessError(f"{at}.config.{name}: is empty: log in again with the tool that wrote it")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
