"""Objects of random patches, made to fit: most of what excludes or needs each other put right.

What is random in each field is right as a whole too rarely for what is wrong with one field to be seen.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

Json = dict[str, Any]

EMPTY: Final[Json] = {"emptyDir": {}}
COMPRESSIBLE: Final = {"cpu", "memory", "ephemeral-storage"}
CLAIM: Final[Json] = {"persistentVolumeClaim": {"claimName": "c"}}


def _requirement(made: Json) -> None:
    operator = made.get("operator")
    made["values"] = {"Exists": [], "DoesNotExist": []}.get(operator, (made.get("values") or ["5"])[:1])


def _node_term(made: Json) -> None:
    for each in made.get("matchFields") or ():
        each |= {"key": "metadata.name", "operator": "In", "values": (each.get("values") or ["5"])[:1]}


def _toleration(made: Json) -> None:
    if made.get("tolerationSeconds") is not None:
        made["effect"] = "NoExecute"
    if not made.get("key"):
        made["operator"] = "Exists"
    if made.get("operator") == "Exists":
        made.pop("value", None)


def _narrowing(made: Json) -> None:
    if made.get("matchLabelKeys") or made.get("mismatchLabelKeys"):
        made["labelSelector"] = made.get("labelSelector") or {"matchLabels": {"x": "y"}}
    if made.get("minDomains"):
        made["whenUnsatisfiable"] = "DoNotSchedule"


def _profile(made: Json) -> None:
    if made.get("type") == "Localhost":
        made["localhostProfile"] = made.get("localhostProfile") or "a.json"
    elif made.get("localhostProfile") is not None:
        made["type"] = "Localhost"


def _container(made: Json) -> None:
    if made.get("restartPolicyRules"):
        made["restartPolicy"] = made.get("restartPolicy") or "Never"
    if (made.get("readinessProbe") or {}).get("terminationGracePeriodSeconds"):
        made["readinessProbe"].pop("terminationGracePeriodSeconds")
    for probe in (made.get("livenessProbe"), made.get("startupProbe")):
        if probe:
            probe.pop("successThreshold", None)


def _claim(made: Json) -> None:
    made["resources"] = {"requests": {"storage": "1Gi"}} | (made.get("resources") or {})
    if "ReadWriteOncePod" in (made.get("accessModes") or ()):
        made["accessModes"] = ["ReadWriteOncePod"]
    if made.get("dataSource") and made.get("dataSourceRef"):
        made["dataSourceRef"] = made["dataSource"]


def _template(made: Json) -> None:
    for field in ("finalizers", "ownerReferences"):
        (made.get("metadata") or {}).pop(field, None)


def _source(made: Json) -> None:
    if made.get("kind") != "PersistentVolumeClaim":
        made["apiGroup"] = made.get("apiGroup") or "snapshot.storage.k8s.io"


def _mount(made: Json) -> None:
    if made.get("recursiveReadOnly") in ("Enabled", "IfPossible"):
        made |= {"readOnly": True, "mountPropagation": "None"}
    if made.get("mountPropagation") == "Bidirectional":
        made["mountPropagation"] = "HostToContainer"


def _file(made: Json) -> None:
    if made.get("resourceFieldRef"):
        made["resourceFieldRef"]["containerName"] = "main"


def _azure(made: Json) -> None:
    if made.get("diskURI") is not None:
        made["diskURI"] = "/subscriptions/x" if made.get("kind") == "Managed" else "https://x"


def _divided(made: Json) -> None:
    units = ("1", "1m") if str(made.get("resource")).endswith("cpu") else ("1", "1Mi", "1k")
    if made.get("divisor") in ("1m", "1Mi", "1k", "1000m"):
        made["divisor"] = units[-1]


def _resources(made: Json) -> None:
    requests, limits = (made.get(section) or {} for section in ("requests", "limits"))
    exact = {name: amount for name, amount in {**limits, **requests}.items() if name not in COMPRESSIBLE}
    if exact:
        made["requests"], made["limits"] = {"cpu": "1"} | requests | exact, {"cpu": "2"} | limits | exact


def _named(made: Json) -> None:
    for field in ("secretRef", "nodePublishSecretRef"):
        if made.get(field) is not None:
            made[field]["name"] = "s"


_FIT: Final[Mapping[str, Callable[[Json], object]]] = {
    "AppArmorProfile": _profile,
    "AzureDiskVolumeSource": _azure,
    "CinderVolumeSource": _named,
    "CSIVolumeSource": _named,
    "Container": _container,
    "ContainerRestartRule": lambda made: made.update(
        exitCodes=made.get("exitCodes") or {"operator": "In", "values": [1]}
    ),
    "DownwardAPIVolumeFile": _file,
    "FCVolumeSource": lambda made: made.setdefault("lun", 5),
    "ISCSIVolumeSource": lambda made: made.update(secretRef=made.get("secretRef") or {"name": "s"}),
    "LabelSelectorRequirement": _requirement,
    "NodeSelectorRequirement": _requirement,
    "NodeSelectorTerm": _node_term,
    "PersistentVolumeClaimSpec": _claim,
    "PersistentVolumeClaimTemplate": _template,
    "PodAffinityTerm": _narrowing,
    "PodSpec": lambda made: made.pop("ephemeralContainers", None),
    "ResourceFieldSelector": _divided,
    "ResourceRequirements": _resources,
    "SeccompProfile": _profile,
    "StorageOSVolumeSource": _named,
    "Toleration": _toleration,
    "TopologySpreadConstraint": _narrowing,
    "TypedLocalObjectReference": _source,
    "TypedObjectReference": _source,
    "VolumeMount": _mount,
}


def complete(patch: Json, spec: Json) -> Json:
    """Give a patch what its containers need that the pod does not have, and return it."""
    made = patch.get("spec") or {}
    volumes = {each["name"] for each in (*spec["volumes"], *(made.get("volumes") or ()))}
    claims = {each["name"] for each in (*spec.get("resourceClaims", ()), *(made.get("resourceClaims") or ()))}
    more: dict[str, Json] = {}
    for kind in ("initContainers", "containers"):
        known = {each["name"] for each in spec.get(kind, ())}
        for each in made.get(kind) or ():
            if each["name"] not in known and "$patch" not in each:
                each.setdefault("image", "busybox")
            more |= {name: source for name, source in _needed(each, volumes).items() if name not in volumes}
            for name in sorted(_claimed(each) - claims):
                made.setdefault("resourceClaims", None)
                made["resourceClaims"] = [
                    *(made["resourceClaims"] or ()),
                    {"name": name, "resourceClaimName": "c"},
                ]
            claims |= _claimed(each)
    if more:
        made["volumes"] = [*(made.get("volumes") or ()), *({"name": name} | more[name] for name in more)]
    if made.get("resources"):
        made["resources"] = _of_pod(made["resources"])
    return patch


def _needed(container: Json, volumes: Collection[str]) -> dict[str, Json]:
    """Return the volumes that a container mounts, after naming others where the pod's do not fit."""
    found = {each.get("name"): EMPTY for each in container.get("volumeMounts") or ()}
    for device in container.get("volumeDevices") or ():
        if device.get("name") and device["name"] not in ("claim", "made"):
            device["name"] = "block"
        found[device.get("name")] = CLAIM
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fileKeyRef") or {}
        if reference.get("volumeName") in volumes:
            reference["volumeName"] = "files"
        found[reference.get("volumeName")] = EMPTY
    return {name: source for name, source in found.items() if name}


def _claimed(container: Json) -> set[str]:
    claims = (container.get("resources") or {}).get("claims") or ()
    return {claim["name"] for claim in claims if claim.get("name")}


def _of_pod(resources: Json) -> Json:
    """Return resources at the pod's level that it may have, and enough of them."""
    return {
        section: {name: "64Gi" for name in resources.get(section) or () if name in ("cpu", "memory")}
        for section in ("requests", "limits")
    }


def for_windows(spec: Json) -> Json:
    """Return the spec of a pod of Windows, without what it cannot have."""
    for each in (*spec["containers"], *spec.get("initContainers", ())):
        each.pop("securityContext", None)
    unfit = ("hostIPC", "hostPID", "hostUsers", "resources", "securityContext", "shareProcessNamespace")
    return {field: value for field, value in spec.items() if field not in unfit} | {"os": {"name": "windows"}}


def fit(type_name: str, made: Json) -> Json:
    """Make an object of a type fit, and return it."""
    if change := _FIT.get(type_name):
        change(made)
    return made
