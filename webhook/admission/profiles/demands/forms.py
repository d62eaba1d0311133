"""The forms that the API server demands of texts and numbers; ``podschema.FORMS`` names them."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from webhook.pods.labels import key_problem, value_problem
from webhook.pods.quantities import NANO, QuantityError, milli, parse, text_of
from webhook.pods.text import shown
from webhook.protocol import HUGEPAGES_PREFIX, NATIVE_RESOURCES

_RESOURCES: Final = {*NATIVE_RESOURCES, "ephemeral-storage"}
_FINALIZERS: Final = {"kubernetes", "orphan", "foregroundDeletion"}
_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
)
_SEARCH: Final = re.compile(
    r"(?=.{1,253}$)_?[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:\._?[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?)*"
)
_PORT_NAME: Final = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_ENV_NAME: Final = re.compile(r"[ -<>-~]+")
_HEADER: Final = re.compile(r"[-A-Za-z0-9]+")
_KEY: Final = re.compile(r"(?!\.\.|\.$)[-._a-zA-Z0-9]{1,253}")
_SYSCTL: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:[./][a-z0-9](?:[-_a-z0-9]*[a-z0-9])?)*"
)
_ISCSI: Final = re.compile(
    r"(?:iqn.*)?iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+|eui.[A-Za-z0-9]{16}|naa.[A-Za-z0-9]{32}",
    re.ASCII,
)
_HOST_PORT: Final = re.compile(r"(?:\[[^][]*]|[^][:]*):[^][:]*", re.DOTALL)
_LEADING_ZEROS: Final = re.compile(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])")
_SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go takes for blanks."""
_DOMAIN: Final = re.compile(
    r"(?:[^\\/:*?\"<>|.][^\\/:*?\"<>|]{0,14}|[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*)"
)
_ACCOUNT: Final = re.compile(r"(?![. ]*$)[^\"/\\:;|=,+*?<>@[\]]{1,104}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MAX_DOMAIN: Final = 255  # bytes of a Windows domain
_MAX_PORT: Final = 65535
_MAX_DRIVER: Final = 63
_LONG: Final = 1024  # a longer name is left to the API server: it takes too long to match
_MILLI: Final = 1000
_QUOTA_PREFIX: Final = "requests."  # a name must be valid with it, too


def form_problem(form: str, value: object) -> str | None:
    """Return why a value has not the form that the API server demands, or None."""
    if not form:
        return None
    if ".." in form and form[0] in "-0123456789":
        low, _, high = form.partition("..")
        outside = isinstance(value, int) and not int(low) <= value <= int(high)
        return f"{shown(value)} is not from {low} to {high}" if outside else None
    choices = form.split("|")
    if len(choices) > 1:
        return None if value in choices else f"{shown(value)} is not one of {', '.join(choices)}"
    valid = _CHECKS[form](value)
    return None if valid else f"{shown(value)} is no {form}"


def entry_problem(form: str, key: str, value: object) -> str | None:
    """Return what is wrong with an entry of a map, or None."""
    if form == "label":
        return key_problem(key) or value_problem(str(value))
    if form == "annotation":
        return key_problem(key.lower())
    return _resource_problem(key, value) if form == "resource" else None


def is_subdomain(value: object) -> bool:
    """Whether a text is a DNS subdomain, as most names of objects are."""
    return bool(_DNS_SUBDOMAIN.fullmatch(str(value)))


def _resource_problem(name: str, quantity: object) -> str | None:
    """Return what is wrong with the name of a resource, or with how much of it there is."""
    amount = _amount(quantity)
    if "/" in name:
        native = "kubernetes.io/" in name
        if not native and name.startswith(_QUOTA_PREFIX):
            return f"{shown(name)} begins with {_QUOTA_PREFIX}, as names in quotas do: write another name"
        if problem := key_problem(name) or (None if native else key_problem(_QUOTA_PREFIX + name)):
            return problem
        whole = native or amount is None or not milli(text_of(quantity)) % _MILLI
    elif name.startswith(HUGEPAGES_PREFIX):
        size = _amount(name.removeprefix(HUGEPAGES_PREFIX))
        if size is None or size <= 0:
            return f"{shown(name)} names no size of a huge page: write one, as in {HUGEPAGES_PREFIX}2Mi"
        whole = amount is None or not -(-amount // NANO) % -(-size // NANO)
    elif name in _RESOURCES:
        return None
    else:
        return f"{shown(name)} is no resource of Kubernetes: name its domain, as in example.com/NAME"
    return None if whole else f"{shown(quantity)} of {name} is no whole number of them"


def _amount(quantity: object) -> int | None:
    try:
        return parse(text_of(quantity))
    except QuantityError:
        return None  # the check of types says so


def _is_port(value: object) -> bool:
    return 1 <= value <= _MAX_PORT if isinstance(value, int) else bool(_PORT_NAME.fullmatch(str(value)))


def _goes_up(value: object) -> bool:
    return ".." in str(value).split("/")


def is_below(value: object) -> bool:
    """Whether a path is relative and stays below where it begins."""
    return not str(value).startswith("/") and not _goes_up(value)


def _is_address(value: object) -> bool:
    """Whether a text is an IP address; older API servers take leading zeros."""
    try:
        return "%" not in str(value) and bool(ip_address(_LEADING_ZEROS.sub("", str(value))))
    except ValueError:
        return False


def _begins_subdomain(value: object) -> bool:
    """Whether a text can begin a DNS subdomain: it may end with a dash."""
    text = str(value)
    return is_subdomain(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)


def _is_driver(value: object) -> bool:
    return len(str(value)) <= _MAX_DRIVER and is_subdomain(str(value).lower())


def _is_finalizer(value: object) -> bool:
    return ("/" in str(value) and not key_problem(str(value))) or value in _FINALIZERS


def _is_api_version(value: object) -> bool:
    group, _, version = str(value).rpartition("/")
    return bool(version) and "/" not in group


def _is_windows_user(value: object) -> bool:
    """Whether a text is a user of Windows, or a domain, a backslash and a user."""
    domain, backslash, user = str(value).rpartition("\\")
    if _CONTROL.search(str(value)) or not _ACCOUNT.fullmatch(user):
        return False
    return not backslash or (len(domain.encode()) <= _MAX_DOMAIN and bool(_DOMAIN.fullmatch(domain)))


def _is_search(value: object) -> bool:
    return value == "." or bool(_SEARCH.fullmatch(str(value).removesuffix(".")))


_CHECKS: Final[Mapping[str, Callable[[object], object]]] = {
    "API version": _is_api_version,
    "CSI driver": _is_driver,
    "DNS label": lambda value: _DNS_LABEL.fullmatch(str(value)),
    "DNS subdomain": is_subdomain,
    "HTTP header": lambda value: _HEADER.fullmatch(str(value)),
    "IP address": _is_address,
    "Windows user": _is_windows_user,
    "absolute path": lambda value: str(value).startswith("/"),
    "beginning of a DNS subdomain": _begins_subdomain,
    "environment variable name": lambda value: _ENV_NAME.fullmatch(str(value)),
    "finalizer": _is_finalizer,
    "iSCSI name": lambda value: len(str(value)) > _LONG or _ISCSI.fullmatch(str(value)),
    "image": lambda value: str(value) == str(value).strip(_SPACES),
    "key of a ConfigMap": lambda value: _KEY.fullmatch(str(value)),
    "label value": lambda value: not value_problem(str(value)),
    "list of host:port": lambda value: all(_HOST_PORT.fullmatch(each) for each in str(value).split(",")),
    "path below": is_below,
    "path of a file below": lambda value: is_below(value) and not str(value).startswith(".."),
    "path without ..": lambda value: not _goes_up(value),
    "port": _is_port,
    "port name": lambda value: _PORT_NAME.fullmatch(str(value)),
    "qualified name": lambda value: not key_problem(str(value)),
    "search domain": _is_search,
    "sysctl": lambda value: _SYSCTL.fullmatch(str(value)),
    "version of a Pod": lambda value: value == "v1",
}
