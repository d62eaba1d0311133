"""What should stand in the cgroups of a node's pods.

Everything that a rule decides is put together here. Which files hold it, and in which order they are
written, is decided where it is written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from webhook.agent.plan.agentpod import AgentPod, Mode
from webhook.agent.plan.burst import PodBurst, Quotas, missing_burst, pod_burst
from webhook.agent.plan.limits import LEAST_SHARES, LimitsError, PodLimits, pod_limits
from webhook.agent.plan.memoryqos import (
    UNPROTECTED,
    PodMemory,
    Protection,
    missing,
    name_of,
    pod_memory,
    sums,
)
from webhook.agent.plan.placement import OWN_CPUS, CPUSets, Placement, cpu_sets
from webhook.agent.plan.processes import of_processes
from webhook.agent.plan.settings import DEFAULTS, Settings
from webhook.agent.plan.target import UNLIMITED, Knob, Target, Why
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.pod import containers
from webhook.protocol import KubeQoS, QoSClass

IDLE: Final = "idle"
NO_QUOTA: Final = "own-cpus-without-quota"

Targets = tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class PodPlan:
    """What should stand in the cgroups of one pod.

    Attributes:
        pod: the pod.
        at_pod: of its own cgroup.
        at_containers: of its containers, by name.
        at_others: of cgroups below it that are of no container that is known: the sandbox, or a container
            that started a moment ago.
        of_processes: of each process of its containers.
        protection: of its memory, of which the groups above have the sums.
        shares: its weight among others of its class, also while it is idle.
        quotas: that the kubelet writes, and that may be raised while it is throttled; None: none.
    """

    pod: AgentPod
    at_pod: Targets = ()
    at_containers: Mapping[str, Targets] = field(default_factory=dict)
    at_others: Targets = ()
    of_processes: Targets = ()
    protection: Protection = UNPROTECTED
    shares: int = LEAST_SHARES
    quotas: Quotas | None = None

    def of_container(self, container_id: str) -> Targets:
        """Return the targets of the cgroup that the runtime named by this id."""
        name = self.pod.containers.get(container_id)
        return self.at_others if name is None else self.at_containers.get(name, self.at_others)

    def quota_of_container(self, container_id: str) -> int | None:
        """Return the quota of that cgroup as the kubelet writes it, if it may be raised."""
        name = self.pod.containers.get(container_id, "")
        return None if self.quotas is None else self.quotas.containers.get(name)


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What should stand in the cgroup of all pods of a class.

    Attributes:
        qos: the class; Guaranteed has no group of its own and stands for that of all pods.
        targets: of that group.
    """

    qos: KubeQoS
    targets: Targets = ()

    @property
    def name(self) -> str:
        """Return whose group it is, where a pod's name stands otherwise."""
        return name_of(self.qos)


@dataclass(frozen=True, slots=True)
class Plan:
    """What should stand in the cgroups of a node's pods.

    Attributes:
        pods: by name; pods that are ignored are not among them.
        ignored: those, without a plan: what was written to them before is still to be given back.
        cpus: how the node's CPUs are shared out.
        findings: what could not be done as it was asked, and why.
        classes: the groups above pods.
    """

    pods: tuple[PodPlan, ...]
    cpus: CPUSets
    findings: tuple[str, ...] = ()
    classes: tuple[ClassPlan, ...] = ()
    ignored: tuple[PodPlan, ...] = ()

    @property
    def all_pods(self) -> tuple[PodPlan, ...]:
        """Return the pods whose cgroups are looked at: those with a plan, and those that are ignored."""
        return self.pods + self.ignored


def make_plan(pods: Iterable[AgentPod], node: NodeTopology, settings: Settings = DEFAULTS) -> Plan:
    """Plan the cgroups of a node.

    Args:
        pods: of the node; those that have finished have no cgroups and hold nothing.
        node: its CPUs, reservations and policies.
        settings: what is switched on, and what the node is like.
    """
    alive = sorted(
        (pod for pod in pods if not pod.finished),
        key=lambda pod: (pod.name, pod.uid),
    )
    sets = cpu_sets(alive, node, cpu_manager=settings.cpu_manager)
    findings = [*node.problems, *(f"NodeSLO: {each}" for each in settings.slo.findings), *missing(settings)]
    findings += missing_burst(settings)
    findings += [*(each for pod in alive for each in pod.findings), *sets.findings]
    planned = [
        _pod_plan(pod, sets.placements.get(pod.uid), settings, findings)
        for pod in alive
        if pod.mode is not Mode.IGNORE
    ]
    above = sums(((each.pod, each.protection) for each in planned), settings)
    classes = tuple(ClassPlan(kind, above.get(kind, ())) for kind in KubeQoS)
    ignored = tuple(PodPlan(pod) for pod in alive if pod.mode is Mode.IGNORE)
    return Plan(tuple(planned), sets, tuple(findings), classes, ignored)


def _pod_plan(pod: AgentPod, placement: Placement | None, settings: Settings, findings: list[str]) -> PodPlan:
    limits, memory, burst = PodLimits(), PodMemory(), PodBurst()
    own = settings.cpusets and placement is not None and placement.rule == OWN_CPUS
    try:
        limits = pod_limits(pod, settings, findings) if settings.limits else limits
        memory = pod_memory(pod, settings)
        burst = burst if own else pod_burst(pod, settings, findings)  # such a pod has no quota
    except LimitsError as error:
        findings.append(str(error))
    at_pod = [*limits.pod, *memory.pod, *burst.pod]
    shares = next((each.value for each in limits.pod if each.knob is Knob.SHARES), LEAST_SHARES)
    names = [each.name for each in containers(pod.value)]
    everywhere: list[Target] = []
    if settings.cpusets and placement is not None:
        cpus = Target(Knob.CPUS, placement.cpus, Why(placement.rule, pod.name, placement.inputs))
        everywhere.append(cpus)
        # Under the policy static the kubelet gives containers sets that the pod's cgroup has to contain.
        if not settings.kubelet_static:
            at_pod.append(cpus)
        if own:
            lifted = Target(Knob.QUOTA, UNLIMITED, Why(NO_QUOTA, pod.name, placement.inputs))
            at_pod = [each for each in at_pod if each.knob not in (Knob.PERIOD, Knob.QUOTA)] + [lifted]
            limits = limits._replace(containers=dict.fromkeys(names, (lifted,)))
    if settings.idle and pod.qos == QoSClass.BE:
        if pod.kube_qos is KubeQoS.BEST_EFFORT:
            # While a cgroup is idle, the kernel keeps its shares at the least and refuses others.
            at_pod = [each for each in at_pod if each.knob is not Knob.SHARES]
            at_pod.append(Target(Knob.IDLE, 1, Why(IDLE, pod.name, {"class": pod.qos})))
        else:
            findings.append(
                f"{pod.name}: of class {pod.qos} and {pod.kube_qos}: it does not become idle, for the "
                "kubelet could not resize it any more"
            )
    if settings.shares_counted and any(each.knob is Knob.SHARES for each in at_pod):
        at_pod = [each for each in at_pod if each.knob is not Knob.SHARES]
        findings.append(
            f"{pod.name}: its cgroup keeps the shares that the kubelet gave it: from Kubernetes 1.36 on "
            "others would count as CPU that it requests; those of its containers are written"
        )
    return PodPlan(
        pod,
        tuple(at_pod),
        {
            name: (
                *everywhere,
                *limits.containers.get(name, ()),
                *memory.containers.get(name, ()),
                *burst.containers.get(name, ()),
            )
            for name in names
        },
        tuple(everywhere),
        of_processes(pod, settings, findings),
        memory.protection,
        shares if isinstance(shares, int) else LEAST_SHARES,
        None if limits.containers else burst.quotas,  # these quotas are by another rule
    )


def changed(before: Plan | None, after: Plan) -> frozenset[str]:
    """Return the uids of the pods, and the classes, for which another plan holds than before."""
    old = {each.pod.uid: each for each in before.all_pods} if before is not None else {}
    classes = {each.qos: each.targets for each in before.classes} if before is not None else {}
    return frozenset(
        {each.pod.uid for each in after.all_pods if old.get(each.pod.uid) != each}
        | {str(each.qos) for each in after.classes if classes.get(each.qos, ()) != each.targets}
    )
