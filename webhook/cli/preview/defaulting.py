"""Defaulting that the API server does to a pod before it calls mutating webhooks.

Source: Kubernetes' defaulting of ``v1 Pod`` and its Priority admission plugin, as observed
on a kube-apiserver 1.37. Only fields that a decision depends on are set.
"""

from typing import Final

from webhook.admission.review import Review
from webhook.admission.view import View
from webhook.pods.defaulting import default_requests
from webhook.pods.podtemplates import Object
from webhook.pods.priority import DEFAULT_PREEMPTION_POLICY

_DEFAULT_SCHEDULER: Final = "default-scheduler"


def apply_defaults(pod: Object, view: View) -> str | None:
    """Set defaults in a pod, in place; return why the API server would refuse it, or None."""
    spec = pod["spec"]
    spec.setdefault("schedulerName", _DEFAULT_SCHEDULER)
    default_requests(pod)
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
        dry_run=False,  # a dry run has dice of its own
        username="",
    )
