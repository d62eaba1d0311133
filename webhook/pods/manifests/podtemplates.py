"""Pods of pod templates, as a controller would create them.

A pod is given the name, labels and owner that its controller would give it, as far as
they can be known without one.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.pods.manifests.controllers import MADE_UP, complete
from webhook.pods.text import shown
from webhook.protocol import LABEL_CONTROLLER_UID

Object = dict[str, Any]


class WorkloadError(ValueError):
    """A manifest that cannot become pods; the message names object and field."""


class PodOf(NamedTuple):
    """A pod that would be created.

    Attributes:
        kind: of the object it would be created from.
        name: of that object; of a SparkApplication with the role: ``pi, driver``.
        namespace: as the manifest says, "" where it does not.
        pod: the object as its creator would send it; nobody else holds it.
        replicas: how many such pods the object asks for.
        phase: of a Pod that exists already, else "".
        selector: the LabelSelector by which its controller knows it, None where that is not known.
        guessed_from: where the template stands, if the object's controller is not known, else "".
    """

    kind: str
    name: str
    namespace: str
    pod: Object
    replicas: int = 1
    phase: str = ""
    selector: object = None
    guessed_from: str = ""

    @property
    def origin(self) -> str:
        """Name the object for people: ``Deployment web``."""
        return f"{self.kind} {self.name}"


def template_pods(document: Object, source: str) -> list[PodOf]:
    """Return the pod of a Pod, or of an object with a pod template, of a kind of TEMPLATES.

    Args:
        document: an object as read from YAML or JSON.
        source: where it stands, for messages.

    Raises:
        WorkloadError: the template is missing or broken, or the number of replicas is.
    """
    kind = document["kind"]
    path = _PATHS[kind]
    template = _at(document, path)
    if not isinstance(template, dict) or not isinstance(_at(template, ("spec", "containers")), list):
        field = ".".join((*path, "spec", "containers"))
        raise WorkloadError(f"{source}: {kind} {name_of(document)}: {field} is missing or no list")
    namespace = str(metadata_of(document).get("namespace") or "")
    selector = _selector(kind, _at(document, path[:-1]), template)
    made = PodOf(kind, name_of(document), namespace, _pod(document, template, kind), selector=selector)
    if kind == "Pod":
        return [made._replace(phase=str(_at(document, ("status", "phase")) or ""))]
    if kind in _ONE_POD:
        return [made]
    count = (*path[:-1], "parallelism" if kind in _JOBS else "replicas")
    return [made._replace(replicas=_count(document, count, f"{source}: {made.origin}"))]


def _selector(kind: str, spec: object, template: Object) -> object:
    """Return the LabelSelector by which the controller of a kind knows its pods, None without one."""
    selector = _at(spec, ("selector",))
    if kind == "ReplicationController":
        return {"matchLabels": selector or metadata_of(template).get("labels")}
    if kind in _JOBS and _at(spec, ("manualSelector",)) is not True:
        return {"matchLabels": {LABEL_CONTROLLER_UID: MADE_UP}}
    return selector


def _count(document: Object, field: tuple[str, ...], at: str) -> int:
    """Return the number of pods that a field asks for, 1 where it does not say so; raises WorkloadError."""
    value = _at(document, field)
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WorkloadError(
            f"{at}: {'.'.join(field)}: {shown(value)} is not a number of pods: write 0 or more"
        )
    return value


_USUAL: Final = ("spec", "template")
# Where each kind, by group and name, keeps its pod template.
TEMPLATES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("", "Pod"): (),
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): _USUAL,
    **{("apps", kind): _USUAL for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")},
    ("batch", "Job"): _USUAL,
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
_PATHS: Final = {kind: path for (_, kind), path in TEMPLATES.items()}
_ONE_POD: Final = frozenset({"DaemonSet", "PodTemplate"})  # one on each node; one for each use
_JOBS: Final = frozenset({"Job", "CronJob"})


def name_of(document: Object) -> str:
    """Return the name of an object, its generateName, or ``(no name)``."""
    metadata = metadata_of(document)
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
    made: Object = {"apiVersion": "v1", "kind": "Pod", "spec": copy.deepcopy(template["spec"])}
    metadata = copy.deepcopy(metadata_of(template))
    if kind == "Pod":
        metadata.pop("managedFields", None)
        metadata.pop("creationTimestamp", None)
        return {**made, "metadata": metadata}
    name = name_of(document)
    by = owner(kind, str(document.get("apiVersion", "")), name)
    copied = {key: metadata[key] for key in ("labels", "annotations", "finalizers") if metadata.get(key)}
    made["metadata"] = {"generateName": f"{name}-", **copied, "ownerReferences": [by]}
    holder = _at(document, _PATHS[kind][:-1])
    complete(made, kind, name, holder if isinstance(holder, dict) else {})
    return made


def metadata_of(document: Mapping[str, Any]) -> Object:
    """Return the metadata of an object or a template, empty where there is none."""
    metadata = document.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _at(document: object, path: tuple[str, ...]) -> object:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
