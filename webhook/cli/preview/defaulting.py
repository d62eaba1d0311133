"""Defaulting that the API server does to a pod before it calls mutating webhooks.

Source: Kubernetes' defaulting of ``v1 Pod`` and its Priority admission plugin, as observed
on a kube-apiserver 1.37. Only fields that a decision depends on are set.
"""

import uuid
from typing import Any, Final

from webhook.admission import Review, View
from webhook.pods.priority import DEFAULT_PREEMPTION_POLICY
from webhook.pods.workloads import Object, containers_of

_DEFAULT_SCHEDULER: Final = "default-scheduler"


def apply_defaults(pod: Object, view: View) -> str | None:
    """Set defaults in a pod, in place; return why the API server would refuse it, or None."""
    spec = pod["spec"]
    spec.setdefault("schedulerName", _DEFAULT_SCHEDULER)
    for container in containers_of(pod):
        _default_requests(container)
    _default_pod_requests(pod)
    name = spec.get("priorityClassName")
    found = view.priority_classes.get(name) if isinstance(name, str) else None
    spec["priority"] = found.value if found else 0
    spec.setdefault("preemptionPolicy", found.preemption_policy if found else DEFAULT_PREEMPTION_POLICY)
    if name and found is None:
        return f"spec.priorityClassName: no PriorityClass {name!r} among the objects: create it first"
    return None


def creation_review(pod: Object, namespace: str, uid: str) -> Review:
    """Return the review of the creation of a pod."""
    name = pod["metadata"].get("name")
    return Review(
        uid=uid,
        resource=("", "v1", "pods"),
        subresource="",
        operation="CREATE",
        namespace=namespace,
        name=name if isinstance(name, str) else "",
        object=pod,
        old_object={},
        dry_run=True,
        username="",
    )


def request_uid(seed: str) -> str:
    """Return a uid for a request, always the same for the same ``seed``."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, seed))


def _default_requests(holder: Object) -> None:
    """Give each limit without a request a request of the same size."""
    resources: Any = holder.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    if not isinstance(limits, dict) or not limits:
        return
    requests = resources.get("requests") or {}
    if isinstance(requests, dict):
        missing = {name: value for name, value in limits.items() if name not in requests}
        if missing:
            resources["requests"] = {**requests, **missing}


def _default_pod_requests(pod: Object) -> None:
    """Do the same at pod level, except for resources that containers request: their sum counts there."""
    resources = pod["spec"].get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    requests = (resources.get("requests") or {}) if isinstance(resources, dict) else None
    if not isinstance(limits, dict) or not isinstance(requests, dict):
        return
    requested: set[str] = set()
    for container in containers_of(pod):
        own = container.get("resources")
        named = own.get("requests") if isinstance(own, dict) else None
        requested.update(named if isinstance(named, dict) else ())
    missing = {n: v for n, v in limits.items() if n not in requests and n not in requested}
    if missing:
        resources["requests"] = {**requests, **missing}
