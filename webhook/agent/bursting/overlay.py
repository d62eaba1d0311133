"""Raised quotas put into the plan of their pods; pure.

The cgroup of a pod gets what its containers get more, so that they are below it; at its base a quota is not
planned: it is the kubelet's, and what stood before is written back.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from webhook.agent.bursting.decision import Raised, Raises
from webhook.agent.plan.burst import QUOTA_BURST, Quotas
from webhook.agent.plan.plan import Plan, PodPlan, Targets
from webhook.agent.plan.target import Knob, Target, Why

WHOLE: Final = ""
"""In the place of a container's name: the pod's own cgroup."""


def of_pod(quotas: Quotas, raises: Raises) -> Raised | None:
    """Return what the cgroup of a pod is to have; None where it is not raised.

    Args:
        quotas: of the pod.
        raises: of its containers, and of itself.
    """
    if quotas.pod is None or not raises:
        return None
    if quotas.whole:  # its containers share its limit, and need no more than each of them has
        quota = max(quotas.pod, *(each.quota for each in raises.values()))
    else:
        quota = quotas.pod + sum(each.quota - base_of(quotas, name) for name, each in raises.items())
    quota = min(quotas.most(quotas.pod), quota)
    *_, last = raises.values()
    inputs = {**last.inputs, "limit": str(quotas.pod), "most": str(quotas.most(quotas.pod))}
    inputs.pop("from", None)
    return Raised(quota, inputs | {"raised": ", ".join(name or "the pod" for name in raises)})


def base_of(quotas: Quotas, name: str) -> int:
    """Return the quota of a container, or of the pod, that is not raised."""
    return quotas.containers[name] if name else quotas.pod or 0


def with_raised(plan: Plan, raises: Mapping[str, tuple[Quotas, Raises]]) -> Plan:
    """Return the plan with raised quotas in it, by the uid of the pod, whose quotas come with them."""
    if not raises:
        return plan
    return replace(
        plan,
        pods=tuple(
            _raised(each, *raises[each.pod.uid]) if each.pod.uid in raises else each for each in plan.pods
        ),
    )


def _raised(planned: PodPlan, quotas: Quotas, raises: Raises) -> PodPlan:
    above = of_pod(quotas, raises)
    return replace(
        planned,
        at_pod=planned.at_pod + (_targets(planned, above) if above is not None else ()),
        at_containers={
            name: targets + (_targets(planned, raises[name]) if name in raises else ())
            for name, targets in planned.at_containers.items()
        },
    )


def _targets(planned: PodPlan, raised: Raised) -> Targets:
    return (Target(Knob.QUOTA, raised.quota, Why(QUOTA_BURST, planned.pod.name, raised.inputs)),)
