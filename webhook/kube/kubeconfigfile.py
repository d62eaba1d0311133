"""Kubeconfig files: read, merged and checked, before the ``kubernetes`` package sees them.

As strict as client-go: each field has its type (the text "false" is no truth value), and
fields that exclude each other are refused. What is empty or false counts as absent. The package's own
merger takes another file's ``current-context`` and refuses an empty file. Source: client-go's
tools/clientcmd and plugin/pkg/client/auth.
"""

import base64
import os
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from webhook.kube.access import AccessError, check_token, http_url, parse_server
from webhook.kube.files import read_file

_Types = Mapping[type[Any], Sequence[str]]
_QUOTED: Final = re.compile(r"'[^'<\s]{2,}'")
"""What PyYAML quotes of a file: an alias, a tag or a value."""

_PAIR: Final = ("client-certificate", "client-key")
_TYPES: Final[Mapping[str, _Types]] = {
    "kubeconfig": {
        str: ("apiVersion", "kind", "current-context"),
        list: ("clusters", "users", "contexts"),
    },
    "cluster": {
        str: ("server", "tls-server-name", "certificate-authority", "proxy-url"),
        bytes: ("certificate-authority-data",),
        bool: ("insecure-skip-tls-verify", "disable-compression"),
        list: ("extensions",),
    },
    "user": {
        str: ("token", "tokenFile", "username", "password", *_PAIR, "as", "as-uid"),
        bytes: ("client-certificate-data", "client-key-data"),
        list: ("as-groups",),
        dict: ("as-user-extra", "auth-provider", "exec"),
    },
    "context": {str: ("cluster", "user", "namespace")},
    "auth-provider": {str: ("name",), dict: ("config",)},
    "exec": {
        str: ("apiVersion", "command", "installHint", "interactiveMode"),
        list: ("args", "env"),
        bool: ("provideClusterInfo",),
    },
}
_EXPECTED: Final = {
    str: "text: write it in quotes",
    bytes: "text: write it in quotes",
    bool: "true or false: write it without quotes",
    list: "a list",
    dict: "a map",
}
_EXCLUDING: Final = (
    ("token", "username"),
    ("token", "password"),
    ("tokenFile", "username"),
    ("tokenFile", "password"),
    ("exec", "auth-provider"),
    *((name, f"{name}-data") for name in ("certificate-authority", *_PAIR)),
    ("insecure-skip-tls-verify", "certificate-authority"),
    ("insecure-skip-tls-verify", "certificate-authority-data"),
)
_PATHS: Final = frozenset({"certificate-authority", "tokenFile", *_PAIR})
_IMPERSONATION: Final = ("as", "as-uid", "as-groups", "as-user-extra")
_SECRET: Final = frozenset(
    {"token", "password", "client-key-data", "config", "env", "value", "clientKeyData"}
)
_EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class Entry(NamedTuple):
    """A cluster, a user or a context.

    Attributes:
        fields: those that are not empty; ``…-data`` as bytes, paths absolute.
        at: where they stand, for messages: ``FILE: clusters.NAME``.
    """

    fields: dict[str, Any]
    at: str


def read_context(paths: Sequence[Path], name: str | None) -> tuple[str, Entry, Entry]:
    """Return the namespace, the cluster and the user of the context ``name``, or of the current one.

    The namespace is ``default``, and the user has no fields, where the context names none.

    Raises:
        AccessError: a file cannot be read, or what it says cannot be used.
    """
    found: dict[tuple[str, str], Entry] = {}
    present = [path for path in paths if len(paths) == 1 or path.exists()]
    where = os.pathsep.join(map(str, paths))
    if not present:
        raise AccessError(f"{where}: none of these files exists")
    for path in present:
        config = _read(path)
        name = name or config.get("current-context")
        found = {**_entries(config, path), **found}
    if not name:
        raise AccessError(f"{where}: current-context: is empty: run 'kubectl config use-context NAME'")

    def look_up(kind: str, wanted: str, said_by: str) -> Entry:
        if (kind, wanted) in found:
            return found[kind, wanted]
        raise AccessError(
            f"{where}: {said_by}: there is no {kind} named {wanted!r}: add it or correct the name"
        )

    context, at = look_up("context", name, "current-context")
    cluster = look_up("cluster", context.get("cluster", ""), f"contexts.{name}.cluster")
    user = look_up("user", context["user"], f"contexts.{name}.user") if "user" in context else Entry({}, at)
    _check_cluster(*cluster)
    _check_user(*user)
    return context.get("namespace", "default"), cluster, user


def check_proxy(url: str, at: str) -> None:
    """Raise AccessError for what is no HTTP proxy."""
    if http_url(url) is None:
        raise AccessError(
            f"{at}: is not an http:// or https:// URL with a host name, and other proxies (socks5) are not "
            "supported: name an HTTP proxy, or reach the API server without one"
        )


def checked(raw: object, types: _Types, at: str) -> dict[str, Any]:
    """Return the fields of ``raw`` that ``types`` names and that are not empty; None has none.

    Raises:
        AccessError: it is no map, or a field is not of its type.
    """
    fields: dict[str, Any] = {}
    given = {} if raw is None else _checked_value(raw, dict, at)
    for kind, names in types.items():
        for name in names:
            if given.get(name) is None:
                continue
            value = _checked_value(given[name], kind, f"{at}.{name}")
            if kind is dict and name in _TYPES:
                fields[name] = checked(value, _TYPES[name], f"{at}.{name}")
            elif value:
                fields[name] = value
    return fields


def _read(path: Path) -> dict[str, Any]:
    try:
        # The first document, as kubectl; an empty file says nothing.
        config = next(yaml.safe_load_all(read_file(path)), None)
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:  # not as text: that has a line of the file, which may be a secret
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = _QUOTED.sub("'…'", " ".join(filter(None, (error.context, error.problem))))
        raise AccessError(f"{path}: is not YAML: {at}{what}: correct it") from None
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise AccessError(f"{path}: is not YAML: {what}: correct it") from None
    except Exception:  # noqa: BLE001 — PyYAML lets its constructors' errors, which quote values, and recursion through
        what = "a value does not fit its tag, or is nested too deeply"
        raise AccessError(f"{path}: is not YAML: {what}: correct it") from None
    if not isinstance(config, (Mapping, type(None))):
        raise AccessError(f"{path}: is no kubeconfig: it must be a map with clusters, users and contexts")
    fields = checked(config, _TYPES["kubeconfig"], str(path))
    if fields.get("apiVersion", "v1") != "v1" or fields.get("kind", "Config") != "Config":
        raise AccessError(f"{path}: apiVersion, kind: are not 'v1' and 'Config': it is no kubeconfig")
    return fields


def _entries(config: Mapping[str, Any], path: Path) -> dict[tuple[str, str], Entry]:
    """Return the entries of a file by kind and name."""
    folder = path.absolute().parent
    entries: dict[tuple[str, str], Entry] = {}
    for kind in ("cluster", "user", "context"):
        for i, raw in enumerate(config.get(f"{kind}s", ())):
            name = checked(raw, {str: ("name",)}, f"{path}: {kind}s[{i}]").get("name", "")
            if (kind, name) in entries:
                raise AccessError(f"{path}: {kind}s: two are named {name!r}: rename or remove one")
            at = f"{path}: {kind}s.{name}"
            fields = checked(raw[kind] if raw and kind in raw else None, _TYPES[kind], at)
            for field in _PATHS & fields.keys():
                fields[field] = str(folder / fields[field])
            if "/" in (command := fields.get("exec", {}).get("command", "")):
                fields["exec"]["command"] = str(folder / command)
            entries[kind, name] = Entry(fields, at)
    return entries


def _checked_value(value: Any, kind: type[Any], at: str) -> Any:  # noqa: ANN401 — as in the file
    """Return a value of its type; one that must be bytes is base64."""
    if not isinstance(value, str if kind is bytes else kind):
        shown = "the value" if _SECRET.intersection(at.split(".")[-2:]) else reprlib.repr(value)
        raise AccessError(f"{at}: {shown} is not {_EXPECTED[kind]}")
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise AccessError(f"{at}: holds a NUL or half a character: remove it")
    if kind is not bytes:
        return value
    try:
        # As in Go, line breaks in it say nothing.
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        raise AccessError(f"{at}: is not base64: encode the file with 'base64 --wrap=0'") from None


def _check_cluster(fields: Mapping[str, Any], at: str) -> None:
    _check_excluding(fields, at)
    parse_server(fields.get("server", ""), f"{at}.server")
    if "proxy-url" in fields:
        check_proxy(fields["proxy-url"], f"{at}.proxy-url")


def _check_user(fields: Mapping[str, Any], at: str) -> None:
    _check_excluding(fields, at)
    for name in _IMPERSONATION:
        if name in fields:
            raise AccessError(f"{at}.{name}: impersonation is not supported: use that user's own credentials")
    if "token" in fields:
        check_token(fields["token"].encode(), f"{at}.token")
    if "exec" in fields:
        _check_exec(fields["exec"], f"{at}.exec")
    if "auth-provider" in fields:
        provider = fields["auth-provider"]
        _check_choice(provider, "name", ("oidc",), f"{at}.auth-provider", "use an exec plugin")
        _check_openid_connect(provider.get("config", {}), f"{at}.auth-provider.config")


def _check_excluding(fields: Mapping[str, Any], at: str) -> None:
    for one, other in _EXCLUDING:
        if one in fields and other in fields:
            raise AccessError(f"{at}: {one} and {other} exclude each other: remove one")


def _check_choice(fields: Mapping[str, Any], name: str, allowed: Sequence[str], at: str, remedy: str) -> None:
    if (value := fields.get(name, "")) not in allowed:
        raise AccessError(f"{at}.{name}: {value!r} is not {' or '.join(allowed)}: {remedy}")


def _check_required(fields: Mapping[str, Any], names: Iterable[str], at: str, remedy: str) -> None:
    for name in names:
        if not fields.get(name):
            raise AccessError(f"{at}.{name}: is empty: {remedy}")


def _check_exec(fields: dict[str, Any], at: str) -> None:
    _check_required(fields, ("command",), at, "name the program")
    _check_choice(fields, "apiVersion", _EXEC_VERSIONS, at, "update the plugin and its entry")
    if fields["apiVersion"] == _EXEC_VERSIONS[1]:
        fields.setdefault("interactiveMode", "IfAvailable")
    _check_choice(fields, "interactiveMode", ("Never", "IfAvailable"), at, "a plugin has no terminal here")
    for i, argument in enumerate(fields.get("args", ())):
        _checked_value(argument, str, f"{at}.args[{i}]")
    variables = fields["env"] = list(fields.get("env", ()))
    for i, raw in enumerate(variables):
        variable = checked(raw, {str: ("name", "value")}, f"{at}.env[{i}]")
        if "=" in variable.get("name", "="):
            raise AccessError(f"{at}.env[{i}].name: is empty or holds '=': name the variable")
        variables[i] = {"value": "", **variable}


def _check_openid_connect(fields: Mapping[str, Any], at: str) -> None:
    for name, value in fields.items():
        _checked_value(value, str, f"{at}.{name}")
    names = ("idp-issuer-url", "client-id", "id-token")
    _check_required(fields, names, at, "log in again with the tool that wrote it")
