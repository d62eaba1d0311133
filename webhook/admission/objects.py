"""Readers of single Kubernetes objects, which keep only what a decision needs.

Each function takes an object's name and its JSON tree. Their results make up a view,
from files or from a watched cluster.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from webhook.pods.apiserver.limitrange import QUANTITIES, LimitRange, limit_range_of
from webhook.pods.apiserver.resourcequota import ResourceQuota, Scope
from webhook.pods.priority import DEFAULT_PREEMPTION_POLICY, PriorityClass
from webhook.pods.quantities import QuantityError, parse, text_of
from webhook.pods.text import shown
from webhook.protocol import LABEL_NAMESPACE_NAME, NATIVE_RESOURCES


class ObjectError(ValueError):
    """An object cannot be read; the message names kind, name, field and value."""


def read_priority_class(name: str, raw: Mapping[str, Any]) -> PriorityClass:
    """Read a ``scheduling.k8s.io/v1 PriorityClass``; raises ObjectError."""
    value = raw.get("value", 0)
    policy = raw.get("preemptionPolicy") or DEFAULT_PREEMPTION_POLICY
    default = raw.get("globalDefault") or False
    if not isinstance(value, int) or isinstance(value, bool) or not isinstance(policy, str):
        raise ObjectError(f"PriorityClass {shown(name)}: value must be an integer, not {shown(value)}")
    if not isinstance(default, bool):
        raise ObjectError(
            f"PriorityClass {shown(name)}: globalDefault must be true or false, not {shown(default)}"
        )
    return PriorityClass(name, value, policy, default)


def read_namespace(name: str, raw: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a namespace's labels, with the name label that the API server adds; raises ObjectError."""
    labels = raw["metadata"].get("labels") or {}
    if not isinstance(labels, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in labels.items()
    ):
        raise ObjectError(f"Namespace {shown(name)}: metadata.labels must be a map of strings")
    return MappingProxyType({**labels, LABEL_NAMESPACE_NAME: name})


def read_limit_range(name: str, raw: Mapping[str, Any]) -> LimitRange:
    """Read a ``v1 LimitRange``; raises ObjectError."""
    what = f"LimitRange {shown(name)}"
    items = []
    for i, item in enumerate(_maps(raw, "limits", what)):
        at = f"{what}: spec.limits[{i}]."
        items.append({"type": item.get("type"), **{f: _quantities(item, f, at) for f in QUANTITIES}})
    return limit_range_of(name, items)


def read_resource_quota(name: str, raw: Mapping[str, Any]) -> ResourceQuota:
    """Read a ``v1 ResourceQuota``; raises ObjectError."""
    what = f"ResourceQuota {shown(name)}"
    spec = _map(raw, "spec", f"{what}: ")
    hard = _map(spec, "hard", f"{what}: spec.")
    scopes = [Scope(scope) for scope in _texts(spec, "scopes", f"{what}: spec.")]
    selector = _map(spec, "scopeSelector", f"{what}: spec.")
    for i, expression in enumerate(_list(selector, "matchExpressions", f"{what}: spec.scopeSelector.")):
        at = f"{what}: spec.scopeSelector.matchExpressions[{i}]"
        if not isinstance(expression, Mapping):
            raise ObjectError(f"{at} must be a map, not {shown(expression)}")
        values = frozenset(_texts(expression, "values", f"{at}."))
        scopes.append(Scope(str(expression.get("scopeName")), str(expression.get("operator")), values))
    counts_native = any(
        str(resource).removeprefix("requests.").removeprefix("limits.") in NATIVE_RESOURCES
        for resource in hard
    )
    return ResourceQuota(name, tuple(scopes), counts_native)


def _quantities(item: Mapping[str, Any], field: str, at: str) -> Mapping[str, str]:
    found = {}
    for resource, raw in _map(item, field, at).items():
        try:
            found[str(resource)] = text_of(raw)
            parse(found[str(resource)])
        except QuantityError as error:
            raise ObjectError(f"{at}{field}[{resource}]: {error}") from None
    return found


def _maps(raw: Mapping[str, Any], field: str, what: str) -> list[Mapping[str, Any]]:
    items = _list(_map(raw, "spec", f"{what}: "), field, f"{what}: spec.")
    if not all(isinstance(item, Mapping) for item in items):
        raise ObjectError(f"{what}: spec.{field} must be a list of maps")
    return items


def _texts(parent: Mapping[str, Any], field: str, at: str) -> list[str]:
    items = _list(parent, field, at)
    if not all(isinstance(item, str) for item in items):
        raise ObjectError(f"{at}{field} must be a list of texts")
    return items


def _list(parent: Mapping[str, Any], field: str, at: str) -> list[Any]:
    value = parent.get(field) or []
    if not isinstance(value, list):
        raise ObjectError(f"{at}{field} must be a list, not {shown(value)}")
    return value


def _map(parent: Mapping[str, Any], field: str, at: str) -> Mapping[str, Any]:
    value = parent.get(field) or {}
    if not isinstance(value, Mapping):
        raise ObjectError(f"{at}{field} must be a map, not {shown(value)}")
    return value
