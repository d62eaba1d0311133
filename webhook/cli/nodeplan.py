"""The pods of manifests on one node: what ``cpuset plan`` shows."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from webhook.admission.podedit import Denied, check_shape
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import NotEnoughCpusError
from webhook.cpuset.qos import QoS
from webhook.cpuset.sharing import NodeState, Pod
from webhook.cpuset.topology import Topology
from webhook.pods.apiserver.defaulting import default_pod_requests, default_requests
from webhook.pods.manifests.podtemplates import Object, PodOf, WorkloadError
from webhook.pods.pod import FINISHED, labels, spec
from webhook.pods.priority import BUILTIN
from webhook.pods.resourcespec import ResourceSpecError, node_pod
from webhook.pods.resourcestatus import StatusError, given_cpus
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


class Chosen(NamedTuple):
    """The pods of a manifest that run on one node, or could, and what is said of the others."""

    pods: list[PodOf]
    notes: list[str]


def choose(subjects: Iterable[PodOf], node: str | None) -> Chosen:
    """Return the pods that are bound to a node or to none; finished ones run on no CPU.

    Raises:
        WorkloadError: no node is named, and the pods are bound to several.
    """
    pods, notes = [], []
    elsewhere = 0
    for subject in subjects:
        bound = _node_of(subject)
        if subject.phase in FINISHED:
            notes.append(f"{subject.origin} has finished, ignored")
        elif node is not None and bound not in ("", node):
            elsewhere += 1
        else:
            pods.append(subject)
    if elsewhere:
        notes.append(f"{elsewhere} pods of other nodes, ignored")
    nodes = sorted({_node_of(subject) for subject in pods} - {""})
    if len(nodes) > 1:
        first = ", ".join(nodes[:3]) + (", …" if len(nodes) > 3 else "")  # noqa: PLR2004 — on a line
        raise WorkloadError(f"the pods are bound to {len(nodes)} nodes ({first}): name one with --node")
    return Chosen(pods, notes)


def place(state: NodeState, subjects: Sequence[PodOf]) -> list[Placed]:
    """Assign pods to a node, in their order, each as often as it has replicas.

    Pods that hold CPUs already keep them.

    Raises:
        WorkloadError: a pod cannot be read, there are too few CPUs for it, or there are more than MAX_PODS.
        CpuSetError: a pod would leave the others too few CPUs.
    """
    placed: list[Placed] = []
    several = len({subject.namespace for subject in subjects}) > 1
    stored = [(subject, _as_stored(subject)) for subject in subjects]
    state.hold(_holders(state.topology, stored, several=several))
    held = state.pods()
    for subject, pod in stored:
        if len(placed) + subject.replicas > MAX_PODS:
            raise WorkloadError(
                f"{subject.origin}: with its {subject.replicas} pods there are more than {MAX_PODS}: "
                "plan fewer pods"
            )
        qos = labels(pod).get(LABEL_QOS_CLASS, "")
        at = _name(subject, several=several)
        for number in range(subject.replicas):
            name = at + (f"-{number}" if subject.replicas > 1 else "")
            uid = f"{subject.kind} {name}"
            try:
                if uid not in held:
                    state.assign(node_pod(pod, uid))
            except (ResourceSpecError, NotEnoughCpusError) as error:
                raise WorkloadError(f"{subject.origin}: {error}") from None
            placed.append(Placed(name, qos if qos in QOS_CLASSES else "", uid))
    return placed


def cpus_of(state: NodeState, placed: Placed, best_effort: frozenset[int]) -> str:
    """Return the CPUs that a pod runs on, as a cpulist."""
    pooled = state.pods()[placed.uid].qos is QoS.BE
    return format_cpulist(best_effort if pooled else state.cpus_of(placed.uid))


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


def _node_of(subject: PodOf) -> str:
    """Return the node that a pod is bound to, "" where it is not."""
    return str(spec(subject.pod).get("nodeName") or "")


def _name(subject: PodOf, *, several: bool) -> str:
    """Return a pod's name in the plan; ``several``: its pods are of several namespaces."""
    return f"{subject.namespace}/{subject.name}" if several and subject.namespace else subject.name


def _holders(
    topology: Topology, stored: Iterable[tuple[PodOf, Object]], *, several: bool
) -> list[tuple[Pod, frozenset[int]]]:
    """Return the pods whose annotation names CPUs that they run on, and these CPUs."""
    found: dict[str, tuple[Pod, frozenset[int]]] = {}
    for subject, pod in stored:
        uid = f"{subject.kind} {_name(subject, several=several)}"
        try:
            cpus = given_cpus(pod) if subject.kind == "Pod" else None
        except StatusError as error:
            raise WorkloadError(f"{subject.origin}: {error}") from None
        if cpus is None:
            continue
        if missing := cpus - topology.position.keys():
            raise WorkloadError(
                f"{subject.origin}: its annotation names CPUs {format_cpulist(missing)}, which the machine "
                "does not have: give the topology of the pod's node"
            )
        if uid in found:
            raise WorkloadError(f"{subject.origin}: is in the manifests twice")
        qos = QoS.LSE if labels(pod).get(LABEL_QOS_CLASS) == QoS.LSE else QoS.LSR
        found[uid] = Pod(uid, qos, len(cpus) * 1000), cpus
    return list(found.values())


def _as_stored(subject: PodOf) -> Object:
    """Return the pod as the API server stores it: with default requests and the priority of its class."""
    pod = subject.pod
    default_requests(pod)
    try:
        check_shape(pod)
    except Denied as error:
        raise WorkloadError(f"{subject.origin}: {error}") from None
    default_pod_requests(pod)
    spec = pod["spec"]
    known = BUILTIN.get(spec.get("priorityClassName") or "")
    if spec.get("priority") is None and known is not None:
        spec["priority"] = known.value
    return pod
