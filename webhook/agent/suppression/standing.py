"""What pods of class BE have at present, by their files: from there suppression goes on."""

from webhook.agent.plan.plan import Plan
from webhook.agent.plan.target import UNLIMITED, Knob
from webhook.agent.suppression.decision import Decision
from webhook.agent.suppression.overlay import suppressible
from webhook.agent.writing.present import Present
from webhook.slo.keys import CFS_QUOTA, CPUSET


def standing(plan: Plan, policy: str, present: Present) -> Decision | None:
    """Return what the pods that are suppressed have together; None where there is none, or no bound."""
    uids = suppressible(plan, policy)
    pods = [each.pod for each in plan.pods if each.pod.uid in uids]
    if policy == CFS_QUOTA:
        quotas = [present.quota(present.group(pod)) for pod in pods]
        known = [quota for quota in quotas if quota is not None and quota != UNLIMITED]
        return Decision(CFS_QUOTA, quota=sum(known)) if known and len(known) == len(quotas) else None
    # Sets of their own, not effective ones: in version 2 an empty set is that of the group above.
    found = [present.value(Knob.CPUS, group) for pod in pods for group in present.groups(pod)]
    sets = [each for each in found if isinstance(each, frozenset)]
    cpus = frozenset[int]().union(*sets) & plan.cpus.state.be_pool()
    return Decision(CPUSET, cpus) if cpus and all(sets) else None
