"""What the Kubeflow operator's own webhook adds to a pod that Spark made.

Source: spark-operator 2, ``sparkpod_defaulter.go``. Which field of a role does what to
the field of the same meaning in the pod template is one table here: replaces it, is
appended to it, or is added where no container of that name and image is there.
"""

import copy
import re
from typing import Final

from webhook.pods.manifests.podtemplates import Object
from webhook.pods.manifests.spark.manifest import Manifest
from webhook.pods.manifests.spark.pod import container_name

_REPLACED: Final = {
    "affinity": "affinity",
    "dnsConfig": "dnsConfig",
    "podSecurityContext": "securityContext",
    "priorityClassName": "priorityClassName",
    "runtimeClassName": "runtimeClassName",
    "terminationGracePeriodSeconds": "terminationGracePeriodSeconds",
}
_ONLY_TRUE: Final = ("hostNetwork", "shareProcessNamespace")
_APPENDED: Final = ("hostAliases", "tolerations")
_CONTAINERS: Final = {"initContainers": "initContainers", "sidecars": "containers"}
_REPLACED_IN_CONTAINER: Final = ("lifecycle", "securityContext")
_APPENDED_IN_CONTAINER: Final = ("env", "envFrom", "ports")
_JAVA_SIZE: Final = re.compile(r"([0-9]+)([kmgtp])b?", re.ASCII)


def add_fields(pod: Object, application: Manifest, role: str) -> None:
    """Change a pod as the operator's webhook does.

    Args:
        pod: of Spark; changed.
        application: the spec of the SparkApplication.
        role: ``driver`` or ``executor``.

    Raises:
        WorkloadError: a field has the wrong type.
    """
    own = application.map(role)
    spec = pod["spec"]
    _replace(spec, own)
    for field in _APPENDED:
        _append(spec, field, own.maps(field))
    for field, target in _CONTAINERS.items():
        there = [(item.get("name"), item.get("image")) for item in spec.get(target) or []]
        _append(spec, target, [c for c in own.maps(field) if (c.get("name"), c.get("image")) not in there])
    if selector := own.map("nodeSelector").texts():
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **selector}
    # What batchScheduler says wins over the role's own scheduler.
    if scheduler := application.text("batchScheduler") or own.text("schedulerName"):
        spec["schedulerName"] = scheduler
    _add_to_container(_spark_container(spec["containers"], role), own)
    _mount(spec, role, application, own)


def _replace(spec: Object, own: Manifest) -> None:
    for field, target in _REPLACED.items():
        if own.value.get(field) not in (None, ""):
            spec[target] = copy.deepcopy(own.value[field])
    for field in _ONLY_TRUE:
        if own.value.get(field) is True:
            spec[field] = True
    if own.value.get("hostNetwork") is True:
        spec["dnsPolicy"] = "ClusterFirstWithHostNet"
    if own.text("priorityClassName"):  # else the value of another class would stay
        spec.pop("priority", None)
        spec.pop("preemptionPolicy", None)


def _append(to: Object, field: str, items: list[Object]) -> None:
    if items:
        to[field] = [*(to.get(field) or []), *copy.deepcopy(items)]


def _spark_container(containers: list[Object], role: str) -> Object:
    """Return the container that the operator takes for Spark's: by name, else the first one."""
    return next((item for item in containers if item.get("name") == container_name(role)), containers[0])


def _add_to_container(container: Object, own: Manifest) -> None:
    for field in _REPLACED_IN_CONTAINER:
        if own.value.get(field) is not None:
            container[field] = copy.deepcopy(own.value[field])
    for field in _APPENDED_IN_CONTAINER:
        _append(container, field, own.maps(field))
    limits = {}
    if own.value.get("memoryLimit") is not None:
        limits["memory"] = _kubernetes_size(own.text("memoryLimit"))
    gpu = own.map("gpu")
    quantity = gpu.value.get("quantity")
    if gpu.text("name") and isinstance(quantity, int) and quantity > 0:
        limits[gpu.text("name")] = str(quantity)
    if limits:
        resources = container.get("resources") or {}
        container["resources"] = {**resources, "limits": {**(resources.get("limits") or {}), **limits}}


def _kubernetes_size(text: str) -> str:
    """Return a size in Spark's notation (4g) in Kubernetes' (4Gi); others are passed on as they are."""
    form = _JAVA_SIZE.fullmatch(text)
    return f"{form[1]}{form[2].upper()}i" if form else text


def _mount(spec: Object, role: str, application: Manifest, own: Manifest) -> None:
    """Add the application's volumes that the role mounts; Spark itself adds those for local storage."""
    volumes = {str(volume.get("name")): volume for volume in application.maps("volumes")}
    mounts = [mount for mount in own.maps("volumeMounts") if str(mount.get("name")) in volumes]
    _append(spec, "volumes", [volumes[name] for name in dict.fromkeys(str(m["name"]) for m in mounts)])
    _append(_spark_container(spec["containers"], role), "volumeMounts", mounts)
