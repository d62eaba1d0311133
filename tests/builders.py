"""Pods, profiles and reviews for tests, in as few words as a test needs."""

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import jsonpatch

from webhook.admission.decision import Decision, decide
from webhook.admission.review import Review, Webhook, parse_review
from webhook.admission.settings import Settings
from webhook.admission.view import View, build_view

Json = dict[str, Any]

DEFAULTS = Settings(signing_key=b"a key that only tests know")
NAMESPACE = "spark-demo"


def container(name: str = "main", **fields: Any) -> Json:
    """Return a container; ``requests`` and ``limits`` go into its resources."""
    resources = {s: fields.pop(s) for s in ("requests", "limits") if s in fields}
    return {"name": name, "image": "busybox"} | ({"resources": resources} if resources else {}) | fields


def pod(
    *containers: Json,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    """Return a pod as an API server sends it: no namespace, the Priority plugin has run."""
    metadata: Json = {
        "name": "pod-1",
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
        ],
    }
    if labels is not None:
        metadata["labels"] = dict(labels)
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    priority = {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers) or [container()]} | priority | spec,
    }


def profile(name: str = "a-profile", *, marks: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """Return a ClusterColocationProfile; ``marks`` are annotations of its own."""
    return {
        "apiVersion": "config.koordinator.sh/v1alpha1",
        "kind": "ClusterColocationProfile",
        "metadata": {"name": name} | ({"annotations": dict(marks)} if marks else {}),
        "spec": spec,
    }


def namespace(name: str = NAMESPACE, labels: Mapping[str, str] | None = None) -> Json:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


def priority_class(name: str, value: int, policy: str | None = None) -> Json:
    """Return a PriorityClass."""
    raw = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
    }
    return raw | ({"preemptionPolicy": policy} if policy else {})


def batch_profile(name: str = "batch", **spec: Any) -> Json:
    """Return a profile that makes every pod a batch pod."""
    return profile(name, qosClass="BE", priorityClassName="koord-batch", **spec)


def view_of(objects: Iterable[Json]) -> View:
    """Build a view of objects."""
    return build_view((each, f"object {i}") for i, each in enumerate(objects))


def review(
    new: Json | None,
    *,
    old: Json | None = None,
    uid: str | None = None,
    operation: str | None = None,
    **request: Any,
) -> Json:
    """Return an AdmissionReview; an UPDATE where there is an old object."""
    fields: Json = {
        "uid": uid or str(uuid.uuid4()),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": ("CREATE" if old is None else "UPDATE") if operation is None else operation,
        "namespace": NAMESPACE,
        "userInfo": {"username": "jane"},
        "object": new,
        "oldObject": old,
        "dryRun": False,
    }
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": fields | request,
    }


def read(raw: Json) -> Review:
    """Read a review as the service would: from bytes."""
    return parse_review(json.dumps(raw).encode())


def mutate(new: Json, *objects: Json, settings: Settings = DEFAULTS, **request: Any) -> Decision:
    """Ask the mutating webhook about a new pod."""
    return decide(Webhook.MUTATE, read(review(new, **request)), view_of(objects), settings)


def validate(new: Json, *, settings: Settings = DEFAULTS, **request: Any) -> Decision:
    """Ask the validating webhook about a pod; ``old`` makes it an update."""
    return decide(Webhook.VALIDATE, read(review(new, **request)), View(), settings)


def after(decision: Decision, before: Json) -> Json:
    """Return the pod after the decision's patch, applied by an independent library."""
    assert decision.denial is None, decision.denial
    copied = json.loads(json.dumps(before))  # unlike a deep copy it shares nothing within
    changed: Json = jsonpatch.apply_patch(copied, decision.patch())
    return changed


def mutated(new: Json, *objects: Json, **options: Any) -> Json:
    """Return the pod as the mutating webhook leaves it."""
    return after(mutate(new, *objects, **options), new)


def resources_of(changed: Json, index: int = 0, kind: str = "containers") -> Json:
    """Return the resources of one container."""
    found: Json = changed["spec"][kind][index].get("resources", {})
    return found
