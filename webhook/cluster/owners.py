"""The controllers of pods: whether one would not know a pod whose labels were changed."""

from collections.abc import Mapping
from typing import Any, Final

from webhook.admission.mutating.relabelling import Owner
from webhook.kube.client import Client
from webhook.kube.paths import collection, member
from webhook.pods.selectors import SelectorError, compile_selector

RESOURCES: Final[Mapping[tuple[str, str], str]] = {
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "DaemonSet"): "daemonsets",
    ("batch/v1", "Job"): "jobs",
    ("v1", "ReplicationController"): "replicationcontrollers",
}
"""The kinds whose selectors are read, and their plural names."""


def loses_pods(api: Client, owner: Owner, changes: Mapping[str, str | None], timeout: float) -> bool:
    """Whether an owner's selector does not hold for labels that were changed.

    Where the selector is not known, because the kind is another one, the answer is yes: whoever makes many
    pods may select by anything. An owner that does not exist makes none.

    Args:
        api: the API server.
        owner: the controller.
        changes: the labels that were changed and their values now; None: removed.
        timeout: seconds.

    Raises:
        ApiError: the owner could not be read.
    """
    resource = RESOURCES.get((owner.api_version, owner.kind))
    if resource is None:
        return True
    path = member(collection(owner.api_version, resource, owner.namespace), owner.name)
    found = api.find(path, timeout=timeout)
    if found is None or (found.get("metadata") or {}).get("uid") != owner.uid:
        return False
    selector: Any = (found.get("spec") or {}).get("selector")
    if owner.kind == "ReplicationController":
        selector = {"matchLabels": selector}
    try:
        requirements = compile_selector(selector, "spec.selector").requirements
    except SelectorError:
        return True
    now = {key: value for key, value in changes.items() if value is not None}
    return any(clause.key in changes and not clause.holds(now) for clause in requirements)
