"""Objects of random patches, made to fit: most of what excludes or needs each other put right.

What is random in each field is right as a whole too rarely for what is wrong with one field to be seen.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Json = dict[str, Any]


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


def _named(made: Json) -> None:
    for field in ("secretRef", "nodePublishSecretRef"):
        if made.get(field) is not None:
            made[field]["name"] = "s"


_FIT: Final[Mapping[str, Callable[[Json], None]]] = {
    "AppArmorProfile": _profile,
    "AzureDiskVolumeSource": _azure,
    "CinderVolumeSource": _named,
    "CSIVolumeSource": _named,
    "Container": _container,
    "ContainerRestartRule": lambda made: made.update(
        exitCodes=made.get("exitCodes") or {"operator": "In", "values": [1]}
    ),
    "DownwardAPIVolumeFile": _file,
    "FCVolumeSource": lambda made: made.update(lun=5),
    "ISCSIVolumeSource": lambda made: made.update(secretRef=made.get("secretRef") or {"name": "s"}),
    "LabelSelectorRequirement": _requirement,
    "NodeSelectorRequirement": _requirement,
    "NodeSelectorTerm": _node_term,
    "PersistentVolumeClaimSpec": _claim,
    "PersistentVolumeClaimTemplate": _template,
    "PodAffinityTerm": _narrowing,
    "PodSpec": lambda made: made.pop("ephemeralContainers", None),
    "ResourceFieldSelector": _divided,
    "SeccompProfile": _profile,
    "StorageOSVolumeSource": _named,
    "Toleration": _toleration,
    "TopologySpreadConstraint": _narrowing,
    "TypedLocalObjectReference": _source,
    "TypedObjectReference": _source,
    "VolumeMount": _mount,
}


def fit(type_name: str, made: Json) -> Json:
    """Make an object of a type fit, and return it."""
    if change := _FIT.get(type_name):
        change(made)
    return made
