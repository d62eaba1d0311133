"""A pod of this node, as far as its cgroups depend on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from webhook.pods.pod import CONTAINER_LISTS, FINISHED, annotations, kubelet_uid, labels, mappings, spec
from webhook.pods.qosclass import kube_qos
from webhook.pods.text import shown
from webhook.protocol import (
    ANNOTATION_AGENT,
    ANNOTATION_CPU_BURST,
    ANNOTATION_EXTENDED_RESOURCE_SPEC,
    ANNOTATION_MIRROR_POD,
    ANNOTATION_NUMA_TOPOLOGY_SPEC,
    ANNOTATION_OOM_SCORE_ADJ,
    ANNOTATION_RESOURCE_SPEC,
    ANNOTATION_RESOURCE_STATUS,
    LABEL_QOS_CLASS,
    QOS_CLASSES,
    QOS_OF_KUBERNETES,
    KubeQoS,
    QoSClass,
)

_ANNOTATIONS: Final = frozenset(
    {
        ANNOTATION_RESOURCE_STATUS,
        ANNOTATION_RESOURCE_SPEC,
        ANNOTATION_NUMA_TOPOLOGY_SPEC,
        ANNOTATION_OOM_SCORE_ADJ,
        ANNOTATION_CPU_BURST,
        ANNOTATION_EXTENDED_RESOURCE_SPEC,
        ANNOTATION_MIRROR_POD,
    }
)
_UID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}", re.ASCII)
_SPEC: Final = ("priority", "overhead", "resources")
_CONTAINER: Final = ("name", "resources", "restartPolicy")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


class Mode(StrEnum):
    """What the agent may do with a pod's cgroups: the annotation ``colocation-webhook.io/agent``."""

    ENFORCE = "enforce"  # where there is no annotation
    OBSERVE = "observe"  # plan and report, write nothing
    IGNORE = "ignore"  # not even that


@dataclass(frozen=True, slots=True)
class AgentPod:
    """A pod, read.

    Attributes:
        uid: by which the kubelet names its cgroup; of a static pod not that of its mirror.
        name: namespace/name.
        kube_qos: Guaranteed, Burstable or BestEffort: under which folder its cgroup stands.
        qos: the label's class, "" where it states none that is known.
        created: when it was made, as the API server writes it.
        mode: what may be done.
        containers: container ids, without the runtime's name, to names.
        value: of the v1 Pod what CPU sets and limits depend on; the rest is let go of.
        findings: what could not be read.
    """

    uid: str
    name: str
    kube_qos: KubeQoS
    qos: str
    created: str = ""
    mode: Mode = Mode.ENFORCE
    containers: Mapping[str, str] = field(default_factory=dict)
    value: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    @property
    def counts_as(self) -> QoSClass:
        """Return the class that it counts as: without a label, Kubernetes' own in Koordinator's words."""
        return QoSClass(self.qos or QOS_OF_KUBERNETES[self.kube_qos])

    @property
    def finished(self) -> bool:
        """Whether it has ended: it has no cgroups any more, and holds nothing."""
        return (self.value.get("status") or {}).get("phase") in FINISHED

    @property
    def has_cgroup(self) -> bool:
        """Whether a kubelet can have named a cgroup by its uid, which becomes part of a path.

        Of a mirror pod anybody may have written it.
        """
        return _UID.fullmatch(self.uid) is not None


def read_agent_pod(pod: Mapping[str, Any]) -> AgentPod:
    """Read a v1 Pod; nothing of it has to be right."""
    metadata = pod.get("metadata") or {}
    name = f"{metadata.get('namespace') or 'default'}/{metadata.get('name') or ''}"
    label = labels(pod).get(LABEL_QOS_CLASS, "")
    stated = annotations(pod).get(ANNOTATION_AGENT, Mode.ENFORCE)
    findings = []
    if stated not in list(Mode):
        findings.append(
            f"{name}: annotation {ANNOTATION_AGENT}: {shown(stated)} is none of {', '.join(Mode)}: "
            f"nothing is written, as for {Mode.OBSERVE}"
        )
    return AgentPod(
        uid=kubelet_uid(pod),
        name=name,
        kube_qos=kube_qos(pod),
        qos=label if label in QOS_CLASSES else "",
        created=str(metadata.get("creationTimestamp") or ""),
        mode=Mode(stated) if stated in list(Mode) else Mode.OBSERVE,
        containers=dict(_containers(pod.get("status") or {})),
        value=_kept(pod),
        findings=tuple(findings),
    )


def _kept(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod with a few of its fields: an agent keeps some hundred pods for as long as they run."""
    of = spec(pod)
    return {
        "metadata": {
            "labels": labels(pod),
            "annotations": {key: text for key, text in annotations(pod).items() if key in _ANNOTATIONS},
        },
        "spec": {
            **{key: of[key] for key in _SPEC if key in of},
            **{
                kind: [{key: each[key] for key in _CONTAINER if key in each} for each in of.get(kind) or ()]
                for kind in CONTAINER_LISTS
            },
        },
        "status": {"phase": (pod.get("status") or {}).get("phase")},
    }


def _containers(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Ids and names of the containers that the kubelet has reported."""
    found = []
    for kind in _STATUSES:
        for each in mappings(status.get(kind)):
            _, _, number = str(each.get("containerID") or "").rpartition("://")
            if number:
                found.append((number, str(each.get("name") or "")))
    return found
