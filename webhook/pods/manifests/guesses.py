"""Pods of custom resources whose controllers are not known here: a guess from the templates in them.

What holds a list of containers as a pod template does is taken for one. The controller may add
names, labels, containers and resources, so each such pod says where its template stands.
Templates of Argo Workflows hold containers in their own way.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.pods.manifests.podtemplates import Object, PodOf, metadata_of, name_of, owner

# Fields whose value is part of an object, or a pattern for one, and makes no pods.
_PARTS: Final = frozenset({"patch", "patches", "patchStrategicMerge", "pattern", "anyPattern", "status"})
_ARGO: Final = "argoproj.io"
# Fields of a template, or else of its Workflow, that Argo writes into the pod's spec.
_ARGO_POD_FIELDS: Final = (
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "hostAliases", "hostNetwork",
    "initContainers", "nodeSelector", "priorityClassName", "schedulerName", "securityContext",
    "serviceAccountName", "tolerations", "volumes",
)  # fmt: skip

Template = tuple[str, Object, Mapping[str, Any]]
"""Where a template stands, the template, and the map around it."""


def guessed_pods(document: Object, group: str) -> list[PodOf]:
    """Return a pod for each pod template below ``spec`` of an object, none where there is none.

    Args:
        document: an object as read from YAML or JSON.
        group: its API group.
    """
    spec = document.get("spec")
    found = [*_templates(spec, "spec", document), *(_argo_templates(spec, "spec") if group == _ARGO else ())]
    return [_guess(document, path, template, around) for path, template, around in found]


def _guess(document: Object, path: str, template: Object, around: Mapping[str, Any]) -> PodOf:
    name, kind = name_of(document), document["kind"]
    spec = copy.deepcopy(template["spec"])
    scheduler = document["spec"].get("schedulerName")
    if isinstance(scheduler, str):
        spec.setdefault("schedulerName", scheduler)  # as Volcano and Argo do
    own = metadata_of(template)
    metadata = {key: copy.deepcopy(own[key]) for key in ("labels", "annotations") if own.get(key)}
    by = owner(kind, str(document["apiVersion"]), name)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{name}-", **metadata, "ownerReferences": [by]},
        "spec": spec,
    }
    usual = path == "spec.template"
    replicas = around.get("replicas")
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        replicas = 1  # in a custom resource it may be something else
    return PodOf(
        kind,
        name if usual else f"{name}, {path}",
        str(metadata_of(document).get("namespace") or ""),
        pod,
        replicas=replicas,
        selector=around.get("selector") if usual else None,
        guessed_from=path,
    )


def _templates(value: object, path: str, around: Mapping[str, Any]) -> Iterator[Template]:
    """Yield the maps below ``value`` that hold ``spec.containers``; what is in such a map belongs to it."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _templates(item, f"{path}[{i}]", around)
    elif isinstance(value, dict):
        if path != "spec" and _holds_containers(value.get("spec")):
            yield path, value, around
            return
        for key, inner in value.items():
            if key not in _PARTS:
                yield from _templates(inner, f"{path}.{key}", value)


def _holds_containers(spec: object) -> bool:
    listed = spec.get("containers") if isinstance(spec, dict) else None
    return isinstance(listed, list) and bool(listed) and all(isinstance(item, dict) for item in listed)


def _argo_templates(value: object, path: str) -> Iterator[Template]:
    """Yield the templates of a Workflow, CronWorkflow or WorkflowTemplate that run containers."""
    workflow = value if isinstance(value, dict) else {}
    if isinstance(workflow.get("workflowSpec"), dict):  # of a CronWorkflow
        yield from _argo_templates(workflow["workflowSpec"], f"{path}.workflowSpec")
    templates = workflow.get("templates")
    for i, template in enumerate(templates if isinstance(templates, list) else ()):
        if not isinstance(template, dict):
            continue
        group = template.get("containerSet")
        main = template.get("container") or template.get("script")
        run: Object = {"containers": group.get("containers") if isinstance(group, dict) else None}
        if isinstance(main, dict):
            run["containers"] = [{"name": "main", **main}]
        if not _holds_containers(run):
            continue
        sidecars = template.get("sidecars")
        run["containers"] = [*run["containers"], *(sidecars if isinstance(sidecars, list) else ())]
        for field in _ARGO_POD_FIELDS:
            stated = template.get(field, workflow.get(field))
            if stated is not None:
                run[field] = stated
        labels = _joined("labels", workflow.get("podMetadata"), template.get("metadata"))
        annotations = _joined("annotations", workflow.get("podMetadata"), template.get("metadata"))
        made = {"metadata": {"labels": labels, "annotations": annotations}, "spec": run}
        yield f"{path}.templates[{i}]", made, {}


def _joined(field: str, *metadata: object) -> Object:
    maps = (one.get(field) for one in metadata if isinstance(one, dict))
    return {key: value for one in maps if isinstance(one, dict) for key, value in one.items()}
