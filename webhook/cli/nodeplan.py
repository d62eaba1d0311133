"""The pods of manifests on one node: what ``cpuset plan`` shows."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from webhook.admission.podedit import Denied, check_shape
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState
from webhook.pods.defaulting import default_requests
from webhook.pods.pod import labels
from webhook.pods.podtemplates import PodOf, WorkloadError
from webhook.pods.priority import BUILTIN
from webhook.pods.resourcespec import ResourceSpecError, node_pod
from webhook.protocol import LABEL_QOS_CLASS, QOS_CLASSES

MAX_PODS: Final = 8192


class Placed(NamedTuple):
    """A pod on the node.

    Attributes:
        name: with the namespace where the plan has pods of several: ``shop/web-0``.
        qos: the QoS class that the pod states, "" where it states none that is known.
        uid: of the pod in the node's state.
    """

    name: str
    qos: str
    uid: str


def place(state: NodeState, subjects: Sequence[PodOf]) -> list[Placed]:
    """Assign pods to a node, in their order, each as often as it has replicas.

    Raises:
        WorkloadError: a pod cannot be read, or there are more than MAX_PODS.
        CpuSetError: a pod does not fit onto the node.
    """
    placed: list[Placed] = []
    several = len({subject.namespace for subject in subjects}) > 1
    for subject in subjects:
        if len(placed) + subject.replicas > MAX_PODS:
            raise WorkloadError(
                f"{subject.origin}: with its {subject.replicas} pods there are more than {MAX_PODS}: "
                "plan fewer pods"
            )
        pod = _as_stored(subject)
        qos = labels(pod).get(LABEL_QOS_CLASS, "")
        at = f"{subject.namespace}/" if several and subject.namespace else ""
        for number in range(subject.replicas):
            name = f"{at}{subject.name}" + (f"-{number}" if subject.replicas > 1 else "")
            uid = f"{subject.kind} {name}"
            try:
                state.assign(node_pod(pod, uid))
            except ResourceSpecError as error:
                raise WorkloadError(f"{subject.origin}: {error}") from None
            placed.append(Placed(name, qos if qos in QOS_CLASSES else "", uid))
    return placed


def cpus_of(state: NodeState, placed: Placed, best_effort: frozenset[int]) -> str:
    """Return the CPUs that a pod runs on, as a cpulist."""
    return format_cpulist(best_effort if placed.qos == QoS.BE else state.cpus_of(placed.uid))


def as_data(state: NodeState, placed: Iterable[Placed], best_effort: frozenset[int]) -> dict[str, Any]:
    """Return a plan as plain data."""
    return {
        "pods": [
            {"name": pod.name, "qos": pod.qos, "cpuset": cpus_of(state, pod, best_effort)} for pod in placed
        ],
        "sharedPool": format_cpulist(state.shared_pool()),
        "bePool": format_cpulist(state.be_pool()),
        "be": format_cpulist(best_effort),
    }


def _as_stored(subject: PodOf) -> dict[str, Any]:
    """Return the pod as the API server stores it: with default requests and the priority of its class."""
    pod = subject.pod
    default_requests(pod)
    try:
        check_shape(pod)
    except Denied as error:
        raise WorkloadError(f"{subject.origin}: {error}") from None
    spec = pod["spec"]
    known = BUILTIN.get(spec.get("priorityClassName") or "")
    if spec.get("priority") is None and known is not None:
        spec["priority"] = known.value
    return pod
