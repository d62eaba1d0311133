"""What the API server demands of an object of a pod beyond its single fields, by the object's type."""

from collections.abc import Mapping
from typing import Final

from webhook.admission.profiles.demands import (
    annotations,
    containers,
    resources,
    scheduling,
    security,
    volumes,
)
from webhook.admission.profiles.demands.flaw import Check, Flaw, Found, Object, one_of, texts
from webhook.admission.profiles.demands.podspec import pod_spec
from webhook.pods.pod import mappings


def _metadata(metadata: Object) -> Found:
    yield from annotations.metadata(metadata)
    if {"orphan", "foregroundDeletion"} <= set(texts(metadata.get("finalizers"))):
        problem = "leaves the finalizers orphan and foregroundDeletion, which exclude each other: leave one"
        yield Flaw("finalizers", problem, ("finalizers",))
    if sum(owner.get("controller") is True for owner in mappings(metadata.get("ownerReferences"))) > 1:
        problem = "leaves two ownerReferences with controller: true, of which there may be one"
        yield Flaw("controllers", problem, ("ownerReferences",))


def _owner(reference: Object) -> Found:
    if reference.get("apiVersion") in ("v1", "/v1") and reference.get("kind") == "Event":
        yield Flaw("event", "makes an Event an owner, which none can be: name another object")


def _pod(pod: Object) -> Found:
    yield from scheduling.narrowed(pod)
    yield from volumes.claims_of_pod(pod)
    yield from annotations.profiles(pod)


CHECKS: Final[Mapping[str, Check]] = {
    "AppArmorProfile": security.apparmor,
    "AzureDiskVolumeSource": volumes.azure_disk,
    "CSIVolumeSource": volumes.csi,
    "CinderVolumeSource": volumes.named_secret,
    "Container": containers.container,
    "ContainerRestartRule": containers.restart_rule,
    "DownwardAPIVolumeFile": containers.downward_file,
    "EnvFromSource": one_of("configMapRef", "secretRef", needed=True),
    "EnvVar": one_of("value", "valueFrom"),
    "EnvVarSource": containers.variable_source,
    "FCVolumeSource": volumes.fibre_channel,
    "FlexVolumeSource": volumes.flex_volume,
    "FlockerVolumeSource": volumes.flocker,
    "ISCSIVolumeSource": volumes.iscsi,
    "LabelSelectorRequirement": scheduling.requirement,
    "LifecycleHandler": one_of("exec", "httpGet", "sleep", "tcpSocket", needed=True),
    "NodeSelectorRequirement": scheduling.requirement,
    "NodeSelectorTerm": scheduling.node_term,
    "ObjectMeta": _metadata,
    "OwnerReference": _owner,
    "PersistentVolumeClaimSpec": volumes.claim,
    "PersistentVolumeClaimTemplate": volumes.claim_template,
    "Pod": _pod,
    "PodAffinityTerm": scheduling.label_keys,
    "PodResourceClaim": one_of("resourceClaimName", "resourceClaimTemplateName", needed=True),
    "PodSecurityContext": security.pod_security_context,
    "PodSpec": pod_spec,
    "Probe": one_of("exec", "grpc", "httpGet", "tcpSocket", needed=True),
    "ProjectedVolumeSource": volumes.projected,
    "QuobyteVolumeSource": volumes.quobyte,
    "ResourceFieldSelector": containers.resource_reference,
    "ResourceRequirements": resources.resources,
    "SeccompProfile": security.seccomp,
    "SecurityContext": security.security_context,
    "StorageOSVolumeSource": volumes.named_secret,
    "Toleration": scheduling.toleration,
    "TopologySpreadConstraint": scheduling.spread,
    "TypedLocalObjectReference": volumes.data_source,
    "TypedObjectReference": volumes.data_source,
    "Volume": volumes.volume,
    "VolumeMount": containers.mount,
    "VolumeProjection": one_of("configMap", "downwardAPI", "secret", "serviceAccountToken"),
    "WindowsSecurityContextOptions": security.windows_options,
}
