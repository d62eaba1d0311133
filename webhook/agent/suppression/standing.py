"""What pods of class BE have at present, by their files: from there suppression goes on."""

from collections.abc import Iterator

from webhook.agent.hierarchy import Hierarchy
from webhook.agent.plan.agentpod import AgentPod
from webhook.agent.plan.plan import Plan
from webhook.agent.plan.target import UNLIMITED, Knob, Value
from webhook.agent.suppression.decision import Decision
from webhook.agent.suppression.overlay import suppressible
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of, parse
from webhook.slo.keys import CFS_QUOTA, CPUSET


def standing(plan: Plan, policy: str, hierarchy: Hierarchy, files: CgroupFiles) -> Decision | None:
    """Return what the pods that are suppressed have together; None where there is none, or no bound."""
    uids = suppressible(plan, policy)
    pods = [each.pod for each in plan.pods if each.pod.uid in uids]
    if policy == CFS_QUOTA:
        quotas = [_quota(pod, hierarchy, files) for pod in pods]
        known = [quota for quota in quotas if quota is not None]
        return Decision(CFS_QUOTA, quota=sum(known)) if known and len(known) == len(quotas) else None
    sets = [each for pod in pods for each in _sets(pod, hierarchy, files)]
    cpus = frozenset[int]().union(*sets) & plan.cpus.state.be_pool()
    # In version 2 an empty set is that of the group above.
    return Decision(CPUSET, cpus) if cpus and all(sets) else None


def _sets(pod: AgentPod, hierarchy: Hierarchy, files: CgroupFiles) -> Iterator[frozenset[int]]:
    """Yield the sets of a pod's containers, or its own where it has none."""
    group = hierarchy.pod(pod.kube_qos, pod.uid)
    known = [below for number, below in hierarchy.containers(group).items() if number in pod.containers]
    for each in known or [group]:
        found = _value(Knob.CPUS, each, hierarchy, files)
        if isinstance(found, frozenset):
            yield found


def _quota(pod: AgentPod, hierarchy: Hierarchy, files: CgroupFiles) -> int | None:
    found = _value(Knob.QUOTA, hierarchy.pod(pod.kube_qos, pod.uid), hierarchy, files)
    return found if isinstance(found, int) and found != UNLIMITED else None


def _value(knob: Knob, group: str, hierarchy: Hierarchy, files: CgroupFiles) -> Value | None:
    """Return what a file says; None: there is none, or it cannot be read."""
    file = file_of(knob, hierarchy.version)
    path = hierarchy.file(file.controller, group, file.name) if file is not None else None
    try:
        return None if path is None else parse(knob, files.read(path), hierarchy.version)
    except (OSError, ValueError):
        return None
