"""Readers of single Kubernetes objects, which keep only what a decision needs.

Each function takes an object's name and its JSON tree. Their results make up a view,
from files or from a watched cluster.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from webhook.pods.priority import DEFAULT_PREEMPTION_POLICY, PriorityClass
from webhook.pods.text import shown
from webhook.protocol import LABEL_NAMESPACE_NAME, NATIVE_RESOURCES


class ObjectError(ValueError):
    """An object cannot be read; the message names kind, name, field and value."""


def read_priority_class(name: str, raw: Mapping[str, Any]) -> PriorityClass:
    """Read a ``scheduling.k8s.io/v1 PriorityClass``; raises ObjectError."""
    value = raw.get("value", 0)
    policy = raw.get("preemptionPolicy") or DEFAULT_PREEMPTION_POLICY
    if not isinstance(value, int) or isinstance(value, bool) or not isinstance(policy, str):
        raise ObjectError(f"PriorityClass {shown(name)}: value must be an integer, not {shown(value)}")
    return PriorityClass(name, value, policy)


def read_namespace(name: str, raw: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a namespace's labels, with the name label that the API server adds; raises ObjectError."""
    labels = raw["metadata"].get("labels") or {}
    if not isinstance(labels, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in labels.items()
    ):
        raise ObjectError(f"Namespace {shown(name)}: metadata.labels must be a map of strings")
    return MappingProxyType({**labels, LABEL_NAMESPACE_NAME: name})


def read_limit_range(name: str, raw: Mapping[str, Any]) -> str | None:
    """Return ``LimitRange "name"`` if it refuses pods without native cpu or memory, else None.

    Raises:
        ObjectError: it cannot be read.
    """
    for limit in _items(raw, "limits", f"LimitRange {shown(name)}"):
        bounds = (limit.get(b) for b in ("min", "max", "maxLimitRequestRatio"))
        # A PersistentVolumeClaim's limits do not concern pods.
        if limit.get("type") in {"Container", "Pod"} and any(
            isinstance(b, Mapping) and not b.keys().isdisjoint(NATIVE_RESOURCES) for b in bounds
        ):
            return f'LimitRange "{name}"'
    return None


def read_resource_quota(name: str, raw: Mapping[str, Any]) -> str | None:
    """Return ``ResourceQuota "name"`` if it refuses pods without native cpu or memory, else None.

    Raises:
        ObjectError: it cannot be read.
    """
    spec = raw.get("spec") or {}
    hard = spec.get("hard") or {} if isinstance(spec, Mapping) else None
    if not isinstance(hard, Mapping):
        raise ObjectError(f"ResourceQuota {shown(name)}: spec.hard must be a map")
    scopes = spec.get("scopes") or []
    if not isinstance(scopes, list):
        raise ObjectError(f"ResourceQuota {shown(name)}: spec.scopes must be a list")
    selector = spec.get("scopeSelector")
    expressions = selector.get("matchExpressions") if isinstance(selector, Mapping) else None
    if isinstance(expressions, list):
        scopes = scopes + [e.get("scopeName") for e in expressions if isinstance(e, Mapping)]
    # Quotas of the NotBestEffort scope do not count pods without native resources.
    if "NotBestEffort" not in scopes and any(
        str(resource).removeprefix("requests.").removeprefix("limits.") in NATIVE_RESOURCES
        for resource in hard
    ):
        return f'ResourceQuota "{name}"'
    return None


def _items(raw: Mapping[str, Any], field: str, what: str) -> list[Mapping[str, Any]]:
    spec = raw.get("spec") or {}
    items = spec.get(field) or [] if isinstance(spec, Mapping) else None
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise ObjectError(f"{what}: spec.{field} must be a list of maps")
    return items
