"""The pods of a node, as far as the agent needs them; pure."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.agent.measuring.peak import Subject
from webhook.agent.measuring.usage import Use
from webhook.agent.plan.agentpod import AgentPod, read_agent_pod
from webhook.kube.store import Store
from webhook.pods.pod import FINISHED, kubelet_uid, labels
from webhook.pods.qosclass import kube_qos, priority_class, qos_class
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.pods.text import shown
from webhook.protocol import CPU, KOORD_APP, KOORDLET, LABEL_QOS_CLASS, MEMORY, QOS_CLASSES, KubeQoS

_MILLI: Final = 1000
_UID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]*", re.ASCII)


class NodePod(NamedTuple):
    """A pod of the node.

    Attributes:
        namespace: of it.
        name: of it.
        uid: by which the kubelet knows it and names its cgroups; "" if it can be none.
        kube_qos: Kubernetes' class, by which its cgroup is found.
        qos: Koordinator's class, never empty.
        label: the class that its label states; "" where it states none.
        priority_class: never empty.
        request: cores and bytes.
        cpus: CPU ids that its resource-status gives it; None: none.
        finished: whether it has ended.
        ending: whether it is being deleted.
        koordlet: whether it is Koordinator's agent.
        planned: the same, as far as its cgroups depend on it.
        findings: what of it could not be read.
    """

    namespace: str
    name: str
    uid: str
    kube_qos: KubeQoS
    qos: str
    label: str
    priority_class: str
    request: Use
    cpus: frozenset[int] | None
    finished: bool
    ending: bool
    koordlet: bool
    planned: AgentPod
    findings: tuple[str, ...] = ()

    @property
    def subject(self) -> Subject:
        """Return what predictions need of it."""
        return Subject(self.uid, self.priority_class, self.request, self.ending or self.finished)


def pod_store() -> Store[NodePod]:
    """Return a store of pods."""
    return Store(lambda _name, raw, _old: read_pod(raw))


def read_pod(pod: Mapping[str, Any]) -> NodePod:
    """Read a v1 Pod; what cannot be read is left out and named in ``findings``."""
    metadata, findings = pod["metadata"], []
    name = f"pod {metadata.get('namespace')}/{metadata['name']}"
    try:
        request = Use(pod_request(pod, CPU) / _MILLI, pod_request(pod, MEMORY) / _MILLI)
    except QuantityError as error:
        request = Use(0.0, 0.0)
        findings.append(f"{name}: {error}; it counts as no request")
    try:
        cpus = given_cpus(pod)
    except StatusError as error:
        cpus = None
        findings.append(f"{name}: {error}; it counts as none")
    uid = kubelet_uid(pod)
    if not _UID.fullmatch(uid):  # it becomes part of a path, and of a mirror pod anybody may have written it
        findings.append(f"{name}: uid {shown(uid)} is none that a kubelet gives; the pod is not measured")
        uid = ""
    label = labels(pod).get(LABEL_QOS_CLASS, "")
    return NodePod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=uid,
        kube_qos=kube_qos(pod),
        qos=qos_class(pod),
        label=label if label in QOS_CLASSES else "",
        priority_class=priority_class(pod),
        request=request,
        cpus=cpus,
        finished=(pod.get("status") or {}).get("phase") in FINISHED,
        ending=metadata.get("deletionTimestamp") is not None,
        koordlet=labels(pod).get(KOORD_APP) == KOORDLET,
        planned=read_agent_pod(pod),
        findings=tuple(findings),
    )
