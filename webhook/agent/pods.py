"""The pods of a node, as far as the agent needs them; pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from webhook.agent.measuring.peak import Subject
from webhook.agent.measuring.usage import Use
from webhook.agent.plan.agentpod import AgentPod, read_agent_pod
from webhook.eviction.asking import PodRequest
from webhook.eviction.candidates import Candidate, class_of, read_candidate, requests_of
from webhook.kube.cache.store import Store
from webhook.pods.pod import labels, spec
from webhook.pods.qosclass import priority_class, qos_class
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.pods.text import shown
from webhook.protocol import CPU, KOORD_APP, KOORDLET, MEMORY, KubeQoS

_MILLI: Final = 1000


class NodePod(NamedTuple):
    """A pod of the node: what cgroups depend on, and what is measured and published of it besides.

    Attributes:
        planned: the pod, as far as its cgroups depend on it.
        namespace: of it.
        name: of it.
        qos: Koordinator's class, never empty.
        priority_class: never empty.
        request: cores and bytes.
        cpus: CPU ids that its resource-status gives it; None: none.
        ending: whether it is being deleted.
        leaving: the same pod in the order of those that may be evicted; None: it is none of them, or nobody
            asked it to end.
        koordlet: whether it is Koordinator's agent.
        object_uid: of the pod in the API server.
        work: what it requests, and its priority, where it is no online work; None: it is.
        findings: what of it could not be read.
    """

    planned: AgentPod
    namespace: str
    name: str
    qos: str
    priority_class: str
    request: Use
    cpus: frozenset[int] | None
    ending: bool
    koordlet: bool
    object_uid: str = ""
    work: PodRequest | None = None
    leaving: Candidate | None = None
    findings: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        """Return the uid by which the kubelet knows it and names its cgroups; "" if it can be none."""
        return self.planned.uid if self.planned.has_cgroup else ""

    @property
    def kube_qos(self) -> KubeQoS:
        """Return Kubernetes' class, by which its cgroup is found."""
        return self.planned.kube_qos

    @property
    def label(self) -> str:
        """Return the class that its label states; "" where it states none."""
        return self.planned.qos

    @property
    def finished(self) -> bool:
        """Return whether it has ended."""
        return self.planned.finished

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
    planned = read_agent_pod(pod)
    ending = metadata.get("deletionTimestamp") is not None
    if not planned.has_cgroup:
        findings.append(
            f"{name}: uid {shown(planned.uid)} is none that a kubelet gives; the pod is not measured"
        )
    return NodePod(
        planned=planned,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        qos=qos_class(pod),
        priority_class=priority_class(pod),
        request=request,
        cpus=cpus,
        ending=ending,
        koordlet=labels(pod).get(KOORD_APP) == KOORDLET,
        object_uid=metadata.get("uid") or "",
        work=_work(pod),
        leaving=read_candidate(pod) if ending else None,
        findings=tuple(findings),
    )


def _work(pod: Mapping[str, Any]) -> PodRequest | None:
    """Return what a pod requests that is no online work; what cannot be read counts as online work."""
    priority_class = class_of(pod)
    if not priority_class:
        return None
    try:
        return PodRequest(spec(pod).get("priority") or 0, requests_of(pod, priority_class))
    except QuantityError:
        return None
