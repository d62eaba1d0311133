"""A decision put into the plan of the pods that are suppressed; pure.

These are pods of class BE on the BE pool: no pod without a class, none with mid resources or priority, none
that runs on CPUs of its own, and none that the agent may not write to; by quotas none with limits of cpu
that the runtime writes. Nothing above pods is touched.
"""

from collections.abc import Iterator
from dataclasses import replace

from webhook.agent.plan.agentpod import AgentPod, Mode
from webhook.agent.plan.placement import BE_POOL
from webhook.agent.plan.plan import Plan, PodPlan, Targets
from webhook.agent.plan.target import PERIOD, UNLIMITED, Knob, Target, Why
from webhook.agent.suppression.decision import Decision
from webhook.agent.suppression.division import Claim, divide
from webhook.pods.pod import containers
from webhook.pods.qosclass import priority_class
from webhook.protocol import CPU, MID, PROD, KubeQoS, QoSClass
from webhook.slo.keys import CFS_QUOTA, CPUSET

SUPPRESSION = "suppression"
"""The rule: BE work gives way while others need the machine."""


def suppressible(plan: Plan, policy: str) -> frozenset[str]:
    """Return the uids of the pods that a decision of this policy holds for."""
    return frozenset(each.pod.uid for each in plan.pods if _is_suppressed(each, plan, policy))


def unlike_koordlet(plan: Plan, policy: str) -> list[str]:
    """Return which pods koordlet would suppress and this agent does not, and the other way round.

    Koordlet writes the group of all BestEffort pods, whatever their class.
    """
    mine = suppressible(plan, policy)
    found = []
    for each in plan.pods:
        below = each.pod.kube_qos is KubeQoS.BEST_EFFORT
        kind = f"class {each.pod.qos}" if each.pod.qos else "no class"
        if below and each.pod.uid not in mine:
            found.append(f"{each.pod.name}: koordlet would suppress it, of {kind}, with the besteffort group")
        elif not below and each.pod.uid in mine:
            found.append(f"{each.pod.name}: koordlet would not suppress it: it is {each.pod.kube_qos}")
    return found


def online(plan: Plan) -> list[AgentPod]:
    """Return the pods for which others give way: LSR, LS and those that count as one, of the class prod.

    LSE pods are alone on their CPUs: whatever waits there waits for them.
    """
    return [
        each.pod
        for each in plan.pods
        if each.pod.counts_as in (QoSClass.LSR, QoSClass.LS) and priority_class(each.pod.value) == PROD
    ]


def suppressed(plan: Plan, decision: Decision | None, *, kubelet_static: bool = False) -> Plan:
    """Return the plan with a decision in it; None: nothing is suppressed.

    Args:
        plan: without it.
        decision: what the pods that are suppressed get.
        kubelet_static: the kubelet's CPU manager has the policy static: it starts containers on CPUs of its
            choice, and pods' groups have to contain them.
    """
    if decision is None:
        return plan
    chosen = [each for each in plan.pods if _is_suppressed(each, plan, decision.policy)]
    if decision.policy == CPUSET:
        made = {
            each.pod.uid: _on(each, decision, kubelet_static=kubelet_static)
            for each in chosen
            if decision.cpus
        }
    else:
        made = {each.pod.uid: each for each in _with_quotas(chosen, decision)}
    return replace(plan, pods=tuple(made.get(each.pod.uid, each) for each in plan.pods))


def _is_suppressed(planned: PodPlan, plan: Plan, policy: str) -> bool:
    pod = planned.pod
    if pod.qos != QoSClass.BE or pod.mode is not Mode.ENFORCE or not pod.has_cgroup:
        return False
    placement = plan.cpus.placements.get(pod.uid)
    if placement is not None and placement.rule != BE_POOL:
        return False
    if policy == CFS_QUOTA and _has_quotas_of_its_own(pod):
        return False
    return priority_class(pod.value) != MID


def _has_quotas_of_its_own(pod: AgentPod) -> bool:
    """Whether the runtime gives containers quotas: below a pod with a smaller one they could not start."""
    return any(CPU in each.quantities("limits") for each in containers(pod.value))


def _on(planned: PodPlan, decision: Decision, *, kubelet_static: bool) -> PodPlan:
    """Return a pod's plan on other CPUs."""
    here = Target(Knob.CPUS, decision.cpus, Why(SUPPRESSION, planned.pod.name, decision.inputs))
    return replace(
        planned,
        at_pod=_other(planned.at_pod, *(() if kubelet_static else (here,))),
        at_containers={name: _other(targets, here) for name, targets in planned.at_containers.items()},
        at_others=_other(planned.at_others, here),
    )


def _other(targets: Targets, *instead: Target) -> Targets:
    """Return targets with others of the same settings in their place."""
    knobs = {each.knob for each in instead}
    return (*(each for each in targets if each.knob not in knobs), *instead)


def _with_quotas(chosen: list[PodPlan], decision: Decision) -> Iterator[PodPlan]:
    """Yield the plans of pods with their parts of a common quota."""
    claims = [Claim(each.shares, _quota(each.at_pod)) for each in chosen]
    weights = sum(each.weight for each in claims)
    for planned, claim, part in zip(chosen, claims, divide(decision.quota, claims), strict=True):
        inputs = {**decision.inputs, "weight": f"{claim.weight} of {weights}"}
        if part == claim.limit:
            inputs["limit"] = str(part)
        why = Why(SUPPRESSION, planned.pod.name, inputs)
        here = Target(Knob.PERIOD, PERIOD, why), Target(Knob.QUOTA, part, why)
        yield replace(
            planned,
            at_pod=_other(planned.at_pod, *here),
            at_containers={
                # A group of version 1 may not have more than the one above it.
                name: _other(targets, *here) if (_quota(targets) or 0) > part else targets
                for name, targets in planned.at_containers.items()
            },
        )


def _quota(targets: Targets) -> int | None:
    found = next((each.value for each in targets if each.knob is Knob.QUOTA), UNLIMITED)
    return found if isinstance(found, int) and found != UNLIMITED else None
