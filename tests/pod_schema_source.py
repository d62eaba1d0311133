"""Makes ``webhook/admission/profiles/pod_schema.json`` from the OpenAPI schema of Kubernetes.

Run ``python -m tests.pod_schema_source > webhook/admission/profiles/pod_schema.json`` after the
package kubernetes-validate, which brings the schemas along, has moved on. A test
compares the two.
"""

import json
import re
import sys
from importlib.resources import files
from typing import Any

ROOT = "io.k8s.api.core.v1.Pod"
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intstr",
}

# What the API server demands, and the schema does not say.
REQUIRED = {
    "ConfigMapEnvSource.name",
    "ConfigMapKeySelector.name",
    "ConfigMapProjection.name",
    "ConfigMapVolumeSource.name",
    "Container.image",
    "EphemeralVolumeSource.volumeClaimTemplate",
    "ExecAction.command",
    "ImageVolumeSource.reference",
    "PersistentVolumeClaimSpec.accessModes",
    "PodDNSConfigOption.name",
    "ScaleIOVolumeSource.volumeName",
    "SecretEnvSource.name",
    "SecretKeySelector.name",
    "SecretProjection.name",
    "SecretVolumeSource.secretName",
    "StorageOSVolumeSource.volumeName",
}
# What the schema demands, and the API server does not.
OPTIONAL = {
    "EvictionResponder.name",
    "EvictionResponder.priority",
    "HTTPHeader.value",
    "ISCSIVolumeSource.lun",
    "PreferredSchedulingTerm.preference",
    "ScaleIOVolumeSource.secretRef",
    "SleepAction.seconds",
    "Sysctl.value",
}
# The values that the API server takes; after a bar at the beginning, the empty text, which is as nothing.
_SIZE, _ID, _PORT, _WEIGHT, _MODE = "0..2147483647", "0..2147483647", "1..65535", "1..100", "0..511"
_BYTE = "0..255"
_PROFILE = "Localhost|RuntimeDefault|Unconfined"
VALUES = {
    "AWSElasticBlockStoreVolumeSource.partition": _BYTE,
    "AppArmorProfile.type": _PROFILE,
    "AzureDiskVolumeSource.cachingMode": "None|ReadOnly|ReadWrite",
    "AzureDiskVolumeSource.kind": "Dedicated|Managed|Shared",
    "CSIVolumeSource.driver": "CSI driver",
    "ConfigMapEnvSource.name": "beginning of a DNS subdomain",
    "ConfigMapKeySelector.key": "key of a ConfigMap",
    "ConfigMapKeySelector.name": "DNS subdomain",
    "ConfigMapVolumeSource.defaultMode": _MODE,
    "Container.image": "image",
    "Container.imagePullPolicy": "|Always|IfNotPresent|Never",
    "Container.name": "DNS label",
    "Container.restartPolicy": "Always|Never|OnFailure",
    "Container.terminationMessagePolicy": "|FallbackToLogsOnError|File",
    "ContainerPort.containerPort": _PORT,
    "ContainerPort.hostPort": "0..65535",
    "ContainerPort.name": "|port name",
    "ContainerPort.protocol": "|SCTP|TCP|UDP",
    "ContainerResizePolicy.resourceName": "cpu|memory",
    "ContainerResizePolicy.restartPolicy": "NotRequired|RestartContainer",
    "ContainerRestartRule.action": "Restart|RestartAllContainers",
    "ContainerRestartRuleOnExitCodes.operator": "In|NotIn",
    "DownwardAPIVolumeFile.mode": _MODE,
    "DownwardAPIVolumeFile.path": "path of a file below",
    "DownwardAPIVolumeSource.defaultMode": _MODE,
    "EnvFromSource.prefix": "|environment variable name",
    "EnvVar.name": "environment variable name",
    "FileKeySelector.key": "environment variable name",
    "FileKeySelector.path": "path without ..",
    "FileKeySelector.volumeName": "DNS label",
    "GCEPersistentDiskVolumeSource.partition": _BYTE,
    "GRPCAction.port": _PORT,
    "GitRepoVolumeSource.directory": "|path below",
    "HTTPGetAction.port": "port",
    "HTTPGetAction.scheme": "|HTTP|HTTPS",
    "HTTPHeader.name": "HTTP header",
    "HostAlias.hostnames": "[]DNS subdomain",
    "HostAlias.ip": "IP address",
    "HostPathVolumeSource.path": "path without ..",
    "HostPathVolumeSource.type": (
        "|BlockDevice|CharDevice|Directory|DirectoryOrCreate|File|FileOrCreate|Socket"
    ),
    "ISCSIVolumeSource.initiatorName": "iSCSI name",
    "ISCSIVolumeSource.iqn": "iSCSI name",
    "ISCSIVolumeSource.lun": _BYTE,
    "ImageVolumeSource.pullPolicy": "|Always|IfNotPresent|Never",
    "KeyToPath.mode": _MODE,
    "KeyToPath.path": "path of a file below",
    "LabelSelector.matchLabels": "{}label",
    "LabelSelectorRequirement.key": "qualified name",
    "LabelSelectorRequirement.operator": "DoesNotExist|Exists|In|NotIn",
    "LabelSelectorRequirement.values": "[]label value",
    "NFSVolumeSource.path": "absolute path",
    "NodeSelectorRequirement.key": "qualified name",
    "NodeSelectorRequirement.operator": "DoesNotExist|Exists|Gt|In|Lt|NotIn",
    "ObjectFieldSelector.apiVersion": "|version of a Pod",
    "ObjectMeta.annotations": "{}annotation",
    "ObjectMeta.finalizers": "[]finalizer",
    "ObjectMeta.labels": "{}label",
    "OwnerReference.apiVersion": "API version",
    "PersistentVolumeClaimSpec.accessModes": "[]ReadOnlyMany|ReadWriteMany|ReadWriteOnce|ReadWriteOncePod",
    "PersistentVolumeClaimSpec.storageClassName": "|DNS subdomain",
    "PersistentVolumeClaimSpec.volumeAttributesClassName": "|DNS subdomain",
    "PersistentVolumeClaimSpec.volumeMode": "Block|Filesystem",
    "PodAffinityTerm.matchLabelKeys": "[]qualified name",
    "PodAffinityTerm.mismatchLabelKeys": "[]qualified name",
    "PodAffinityTerm.namespaces": "[]DNS label",
    "PodAffinityTerm.topologyKey": "qualified name",
    "PodDNSConfig.nameservers": "[]IP address",
    "PodDNSConfig.searches": "[]search domain",
    "PodOS.name": "linux|windows",
    "PodReadinessGate.conditionType": "qualified name",
    "PodResourceClaim.name": "DNS label",
    "PodResourceClaim.resourceClaimName": "DNS subdomain",
    "PodResourceClaim.resourceClaimTemplateName": "DNS subdomain",
    "PodSchedulingGate.name": "qualified name",
    "PodSecurityContext.fsGroup": _ID,
    "PodSecurityContext.fsGroupChangePolicy": "Always|OnRootMismatch",
    "PodSecurityContext.runAsGroup": _ID,
    "PodSecurityContext.runAsUser": _ID,
    "PodSecurityContext.seLinuxChangePolicy": "MountOption|Recursive",
    "PodSecurityContext.supplementalGroups": "[]" + _ID,
    "PodSecurityContext.supplementalGroupsPolicy": "Merge|Strict",
    "PodSpec.activeDeadlineSeconds": "1..2147483647",
    "PodSpec.dnsPolicy": "|ClusterFirst|ClusterFirstWithHostNet|Default|None",
    "PodSpec.hostname": "|DNS label",
    "PodSpec.hostnameOverride": "DNS subdomain",
    "PodSpec.nodeName": "|DNS subdomain",
    "PodSpec.nodeSelector": "{}label",
    "PodSpec.preemptionPolicy": "Never|PreemptLowerPriority",
    "PodSpec.priorityClassName": "|DNS subdomain",
    "PodSpec.restartPolicy": "|Always|Never|OnFailure",
    "PodSpec.runtimeClassName": "DNS subdomain",
    "PodSpec.serviceAccountName": "|DNS subdomain",
    "PodSpec.subdomain": "|DNS label",
    "PreferredSchedulingTerm.weight": _WEIGHT,
    "Probe.failureThreshold": _SIZE,
    "Probe.initialDelaySeconds": _SIZE,
    "Probe.periodSeconds": _SIZE,
    "Probe.successThreshold": _SIZE,
    "Probe.terminationGracePeriodSeconds": "1..2147483647",
    "Probe.timeoutSeconds": _SIZE,
    "ProjectedVolumeSource.defaultMode": _MODE,
    "QuobyteVolumeSource.registry": "list of host:port",
    "ResourceClaim.request": "|DNS label",
    "ResourceRequirements.limits": "{}resource",
    "ResourceRequirements.requests": "{}resource",
    "SeccompProfile.localhostProfile": "|path below",
    "SeccompProfile.type": _PROFILE,
    "SecretEnvSource.name": "beginning of a DNS subdomain",
    "SecretKeySelector.key": "key of a ConfigMap",
    "SecretKeySelector.name": "DNS subdomain",
    "SecretVolumeSource.defaultMode": _MODE,
    "SecurityContext.procMount": "Default|Unmasked",
    "SecurityContext.runAsGroup": _ID,
    "SecurityContext.runAsUser": _ID,
    "ServiceAccountTokenProjection.expirationSeconds": "600..4294967296",
    "SleepAction.seconds": "0..9223372036854775807",
    "StorageOSVolumeSource.volumeName": "DNS label",
    "StorageOSVolumeSource.volumeNamespace": "|DNS label",
    "Sysctl.name": "sysctl",
    "TCPSocketAction.port": "port",
    "Toleration.effect": "|NoExecute|NoSchedule|PreferNoSchedule",
    "Toleration.key": "|qualified name",
    "Toleration.operator": "|Equal|Exists|Gt|Lt",
    "TopologySpreadConstraint.matchLabelKeys": "[]qualified name",
    "TopologySpreadConstraint.maxSkew": "1..2147483647",
    "TopologySpreadConstraint.minDomains": "1..2147483647",
    "TopologySpreadConstraint.nodeAffinityPolicy": "Honor|Ignore",
    "TopologySpreadConstraint.nodeTaintsPolicy": "Honor|Ignore",
    "TopologySpreadConstraint.whenUnsatisfiable": "DoNotSchedule|ScheduleAnyway",
    "TypedLocalObjectReference.apiGroup": "|DNS subdomain",
    "TypedObjectReference.apiGroup": "|DNS subdomain",
    "Volume.name": "DNS label",
    "VolumeDevice.devicePath": "path without ..",
    "VolumeMount.mountPropagation": "Bidirectional|HostToContainer|None",
    "VolumeMount.recursiveReadOnly": "Disabled|Enabled|IfPossible",
    "VolumeMount.subPath": "|path below",
    "VolumeMount.subPathExpr": "|path below",
    "WeightedPodAffinityTerm.weight": _WEIGHT,
    "WindowsSecurityContextOptions.gmsaCredentialSpecName": "DNS subdomain",
    "WindowsSecurityContextOptions.runAsUserName": "Windows user",
}


def _definitions() -> dict[str, Any]:
    schemas = files("kubernetes_validate") / "kubernetes-json-schema"
    versions = [
        tuple(map(int, m.groups()))
        for entry in schemas.iterdir()
        if (m := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", entry.name))
    ]
    newest = "v{}.{}.{}-local".format(*max(versions))
    return json.loads((schemas / newest / "_definitions.json").read_text())["$defs"]


def _short(name: str) -> str:
    return name.rpartition(".")[2]


class _Schema:
    """Collects object types, each once, on the way down from Pod."""

    def __init__(self) -> None:
        self.definitions = _definitions()
        self.types: dict[str, dict[str, Any]] = {}

    def visit(self, name: str) -> str:
        """Collect an object type and all below it; return its short name."""
        if _short(name) not in self.types:
            fields = self.types[_short(name)] = {}
            for field, schema in sorted(self.definitions[name].get("properties", {}).items()):
                if (name, field) != (ROOT, "status"):
                    demanded = field in self.definitions[name].get("required", ())
                    fields[field] = self.field(schema, f"{_short(name)}.{field}", demanded=demanded)
        return _short(name)

    def field(self, schema: dict[str, Any], place: str, *, demanded: bool) -> Any:
        """Return a field's type, with the merge key where a patch merges the list."""
        kind = VALUES.get(place) or self.expression(schema)
        if (demanded or place in REQUIRED) and place not in OPTIONAL:
            kind += "!"
        if "merge" in schema.get("x-kubernetes-patch-strategy", "").split(",") and kind.startswith("[]"):
            return [kind, schema.get("x-kubernetes-patch-merge-key", "")]
        return kind

    def expression(self, schema: dict[str, Any]) -> str:
        """Return the type of a value."""
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in SPECIAL:
            return SPECIAL[name]
        if name and "properties" in self.definitions[name]:
            return self.visit(name)
        schema = self.definitions[name] if name else schema
        kind = schema.get("type", "any")
        kind = kind[0] if isinstance(kind, list) else kind
        if schema.get("format") == "int32":
            return "-2147483648..2147483647"
        if kind == "array":
            return "[]" + self.expression(schema["items"])
        inner = schema.get("additionalProperties")
        if kind == "object":
            return "{}" + self.expression(inner) if isinstance(inner, dict) else "any"
        return kind


def pod_schema() -> dict[str, dict[str, Any]]:
    """Return, for each object type below Pod, its fields and their types.

    A type is the name of an object type, or string, integer, number, boolean, quantity,
    intstr or any, with ``[]`` (list of) or ``{}`` (map of) before it. A list that a
    strategic merge patch merges is a pair: the type and the merge key, which is ""
    for a list of scalars. What the API server takes stands in the place of integer or string:
    ``low..high`` is an integer of that range, ``a|b`` one of these texts, others are forms
    that ``podschema.FORMS`` names; ``|`` before them stands for the empty text. A field that
    must be there ends with ``!``. The status is left out: a patch cannot set it.
    """
    schema = _Schema()
    schema.visit(ROOT)
    return dict(sorted(schema.types.items()))


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in pod_schema().items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
