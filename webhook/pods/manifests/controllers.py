"""What Kubernetes' controllers add to a pod that they make of a template.

Sources: the controllers of Deployments, StatefulSets, DaemonSets, Jobs and CronJobs, of Kubernetes
1.37. What cannot be known without them (a hash, a uid, a node's name) is MADE_UP.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from webhook.pods.pod import CONTAINER_LISTS, mapping
from webhook.protocol import LABEL_CONTROLLER_UID

Object = dict[str, Any]
MADE_UP: Final = "preview"

_COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"
_JOB_FINALIZER: Final = "batch.kubernetes.io/job-tracking"
_REVISION: Final = "controller-revision-hash"
# Taints that the pods of a DaemonSet tolerate, and the last one of host networks only.
_TOLERATED: Final = {
    "node.kubernetes.io/not-ready": "NoExecute",
    "node.kubernetes.io/unreachable": "NoExecute",
    "node.kubernetes.io/disk-pressure": "NoSchedule",
    "node.kubernetes.io/memory-pressure": "NoSchedule",
    "node.kubernetes.io/pid-pressure": "NoSchedule",
    "node.kubernetes.io/unschedulable": "NoSchedule",
}
_HOST_NETWORK: Final = {"node.kubernetes.io/network-unavailable": "NoSchedule"}


def complete(pod: Object, kind: str, name: str, spec: Mapping[str, Any]) -> None:
    """Add to a pod what the controller of its workload adds, in place.

    Args:
        pod: with its owner, the labels and annotations of the template, and a generateName of the
            workload's name.
        kind: of the workload.
        name: of the workload.
        spec: what holds the pod template: the workload's spec, of a CronJob its Job's.
    """
    if add := _ADD.get(kind):
        add(pod, name, spec)


def _deployment(pod: Object, name: str, spec: Mapping[str, Any]) -> None:
    del spec
    child = f"{name}-{MADE_UP}"
    _name(pod, f"{child}-")
    _add_labels(pod, {"pod-template-hash": MADE_UP})
    _own(pod, "apps/v1", "ReplicaSet", child)


def _stateful_set(pod: Object, name: str, spec: Mapping[str, Any]) -> None:
    ordinals = spec.get("ordinals")
    start = ordinals.get("start") or 0 if isinstance(ordinals, dict) else 0
    own = f"{name}-{start}"
    pod["metadata"] = {"name": own, **pod["metadata"]}
    labels = {
        "apps.kubernetes.io/pod-index": str(start),
        _REVISION: f"{name}-{MADE_UP}",
        "statefulset.kubernetes.io/pod-name": own,
    }
    _add_labels(pod, labels)
    pod["spec"]["hostname"] = own
    if spec.get("serviceName"):
        pod["spec"]["subdomain"] = spec["serviceName"]
    templates = spec.get("volumeClaimTemplates")
    named = [_name_of(template) for template in templates] if isinstance(templates, list) else []
    claims = [{"name": n, "persistentVolumeClaim": {"claimName": f"{n}-{own}"}} for n in named if n]
    volumes = pod["spec"].get("volumes") or []
    if claims and isinstance(volumes, list):
        others = [v for v in volumes if not isinstance(v, dict) or v.get("name") not in named]
        pod["spec"]["volumes"] = [*claims, *others]


def _daemon_set(pod: Object, name: str, spec: Mapping[str, Any]) -> None:
    del name, spec
    _add_labels(pod, {_REVISION: MADE_UP, "pod-template-generation": "1"})
    fields = pod["spec"]
    tolerations = fields.get("tolerations") or []
    if isinstance(tolerations, list):
        tolerated = _TOLERATED | (_HOST_NETWORK if fields.get("hostNetwork") is True else {})
        fields["tolerations"] = [*tolerations]
        for key, effect in tolerated.items():
            added = {"key": key, "operator": "Exists", "effect": effect}
            _put(fields["tolerations"], added)
    affinity = mapping(fields.get("affinity"))
    node = mapping(affinity.get("nodeAffinity"))
    field = {"key": "metadata.name", "operator": "In", "values": [MADE_UP]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    node = {**node, "requiredDuringSchedulingIgnoredDuringExecution": required}
    fields["affinity"] = {**affinity, "nodeAffinity": node}


def _put(tolerations: list[Any], added: Object) -> None:
    """Add a toleration, or replace the one of the same key, operator, value and effect."""
    for i, toleration in enumerate(tolerations):
        present = mapping(toleration)
        if {key: value for key, value in present.items() if key != "tolerationSeconds"} == added:
            tolerations[i] = added
            return
    tolerations.append(added)


def _job(pod: Object, name: str, spec: Mapping[str, Any]) -> None:
    labels = {
        LABEL_CONTROLLER_UID: MADE_UP,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": MADE_UP,
        "job-name": name,
    }
    _add_labels(pod, labels)
    finalizers = pod["metadata"].get("finalizers") or []
    if isinstance(finalizers, list) and _JOB_FINALIZER not in finalizers:
        pod["metadata"]["finalizers"] = [*finalizers, _JOB_FINALIZER]
    if spec.get("completionMode") == "Indexed":
        _first_index(pod, name)


def _first_index(pod: Object, name: str) -> None:
    _name(pod, f"{name}-0-")
    _add_labels(pod, {_COMPLETION_INDEX: "0"})
    annotations = mapping(pod["metadata"].get("annotations"))
    pod["metadata"]["annotations"] = {**annotations, _COMPLETION_INDEX: "0"}
    pod["spec"]["hostname"] = f"{name}-0"
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{_COMPLETION_INDEX}']"}}
    listed = [items for field in CONTAINER_LISTS if isinstance(items := pod["spec"].get(field), list)]
    for container in (item for items in listed for item in items if isinstance(item, dict)):
        variables = container.get("env") or []
        if isinstance(variables, list) and all(_name_of(v) != "JOB_COMPLETION_INDEX" for v in variables):
            container["env"] = [*variables, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]


def _cron_job(pod: Object, name: str, spec: Mapping[str, Any]) -> None:
    child = f"{name}-{MADE_UP}"
    _name(pod, f"{child}-")
    _own(pod, "batch/v1", "Job", child)
    _job(pod, child, spec)


_ADD: Final[Mapping[str, Callable[[Object, str, Mapping[str, Any]], None]]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
}


def _name(pod: Object, generate_name: str) -> None:
    pod["metadata"]["generateName"] = generate_name


def _own(pod: Object, api_version: str, kind: str, name: str) -> None:
    """Put the workload's child in the place of the workload as the owner."""
    (owner,) = pod["metadata"]["ownerReferences"]
    owner |= {"apiVersion": api_version, "kind": kind, "name": name}


def _add_labels(pod: Object, labels: Mapping[str, str]) -> None:
    present = pod["metadata"].get("labels") or {}
    if isinstance(present, dict):  # else the decision says what is wrong
        pod["metadata"]["labels"] = {**present, **labels}


def _name_of(item: object) -> str:
    """Return the name of an item of a list, or of its metadata."""
    holder = mapping(item)
    return str(holder.get("name") or mapping(holder.get("metadata")).get("name") or "")
