"""Manifests into the pods that would be created from them.

A pod is given the name, labels and owner that its controller would give it, as far as
they can be known without one: made-up parts are the word ``preview``.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

Object = dict[str, Any]
MADE_UP: Final = "preview"


class WorkloadError(ValueError):
    """A manifest that cannot become pods; the message names object and field."""


class PodOf(NamedTuple):
    """A pod that would be created.

    Attributes:
        origin: what it would be created from, for people: ``Deployment web``.
        namespace: as the manifest says, "" where it does not.
        pod: the object as its creator would send it; nobody else holds it.
    """

    origin: str
    namespace: str
    pod: Object


def pods_of(document: object, source: str) -> list[PodOf] | None:
    """Return the pods of a document.

    Args:
        document: an object as read from YAML or JSON; Lists are opened.
        source: where it stands, for messages.

    Returns:
        The pods, None where the kind makes none (a Service, say).

    Raises:
        WorkloadError: it is no Kubernetes object, or its pod template is missing or broken.
    """
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise WorkloadError(f"{source}: not a Kubernetes object: apiVersion and kind are missing")
    kind = document["kind"]
    items = document.get("items")
    if kind.endswith("List") and isinstance(items, list):
        found = [pods_of(item, f"{source} items[{i}]") for i, item in enumerate(items)]
        return [pod for pods in found if pods is not None for pod in pods]
    if kind in {"SparkApplication", "ScheduledSparkApplication"}:
        # Imported here, where both ends are known: that module builds on this one.
        from webhook.pods.sparkapplication import spark_pods

        return spark_pods(document, source)
    path = ("",) if kind == "Pod" else TEMPLATES.get(kind, ("spec", "template"))
    template = document if kind == "Pod" else _at(document, path)
    if not isinstance(template, dict) or not isinstance(_at(template, ("spec", "containers")), list):
        if kind == "Pod" or kind in TEMPLATES:
            field = ".".join([*filter(None, path), "spec", "containers"])
            raise WorkloadError(f"{source}: {kind} {name_of(document)}: {field} is missing or no list")
        return None
    pod = _pod(document, template, kind)
    return [PodOf(f"{kind} {name_of(document)}", str(_metadata(document).get("namespace") or ""), pod)]


# Where each kind keeps its pod template; other kinds are tried at spec.template.
TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
}


def name_of(document: Object) -> str:
    """Return the name of an object, its generateName, or ``(no name)``."""
    metadata = _metadata(document)
    return str(metadata.get("name") or metadata.get("generateName") or "(no name)")


def owner(kind: str, api_version: str, name: str) -> Object:
    """Return an owner reference such as a controller writes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": MADE_UP,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod(document: Object, template: Object, kind: str) -> Object:
    metadata = copy.deepcopy(_metadata(template))
    if kind != "Pod":
        name = name_of(document)
        metadata = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
        created = _CREATED.get(kind, _by_controller)(name)
        labels = created.pop("labels", {})
        if isinstance(metadata.get("labels", {}), dict):  # else the decision says what is wrong
            metadata["labels"] = {**metadata.get("labels", {}), **labels}
        by = created.pop("owner", (kind, str(document.get("apiVersion", "")), name))
        metadata = {**created, **metadata, "ownerReferences": [owner(*by)]}
    else:
        metadata.pop("managedFields", None)
        metadata.pop("creationTimestamp", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": copy.deepcopy(template["spec"]),
    }


def _by_controller(name: str) -> Object:
    return {"generateName": f"{name}-"}


def _by_replica_set(name: str) -> Object:
    replica_set = f"{name}-{MADE_UP}"
    return {
        "generateName": f"{replica_set}-",
        "labels": {"pod-template-hash": MADE_UP},
        "owner": ("ReplicaSet", "apps/v1", replica_set),
    }


def _by_stateful_set(name: str) -> Object:
    labels = {
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": f"{name}-{MADE_UP}",
        "statefulset.kubernetes.io/pod-name": f"{name}-0",
    }
    return {"name": f"{name}-0", "labels": labels}


def _by_daemon_set(name: str) -> Object:
    labels = {"controller-revision-hash": MADE_UP, "pod-template-generation": "1"}
    return {"generateName": f"{name}-", "labels": labels}


def _by_job(name: str) -> Object:
    labels = {
        "batch.kubernetes.io/controller-uid": MADE_UP,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": MADE_UP,
        "job-name": name,
    }
    return {"generateName": f"{name}-", "labels": labels}


def _by_cron_job(name: str) -> Object:
    job = f"{name}-{MADE_UP}"
    return {**_by_job(job), "owner": ("Job", "batch/v1", job)}


_CREATED: Final[Mapping[str, Callable[[str], Object]]] = {
    "Deployment": _by_replica_set,
    "StatefulSet": _by_stateful_set,
    "DaemonSet": _by_daemon_set,
    "Job": _by_job,
    "CronJob": _by_cron_job,
}


def _metadata(document: Mapping[str, Any]) -> Object:
    metadata = document.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _at(document: object, path: tuple[str, ...]) -> object:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def containers_of(pod: Object) -> Iterator[Object]:
    """Yield init containers, then containers; what is no map is passed over."""
    for kind in ("initContainers", "containers"):
        listed = pod["spec"].get(kind)
        yield from (c for c in (listed if isinstance(listed, list) else ()) if isinstance(c, dict))
