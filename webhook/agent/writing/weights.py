"""By which formula a node's runtime writes weights of version 2: its own containers say so."""

from collections.abc import Iterable
from typing import Final

from webhook.agent.machine.hierarchy import Hierarchy
from webhook.agent.plan.limits import shares_of
from webhook.agent.plan.plan import PodPlan
from webhook.agent.plan.settings import Weights
from webhook.agent.plan.target import Knob
from webhook.agent.writing.cgroupfiles import CgroupFiles
from webhook.agent.writing.files import file_of, weights_by
from webhook.pods.pod import containers
from webhook.pods.quantities import QuantityError, milli, text_of
from webhook.protocol import CPU

_LEAST: Final = 100  # milli-cores: with less, the formulas may agree


def runtime_weights(plans: Iterable[PodPlan], hierarchy: Hierarchy, files: CgroupFiles) -> Weights | None:
    """Return the formula; None in version 1, and where no container says.

    A container says it by the weight that it has for its CPU request, if the agent plans none for it.
    """
    file = file_of(Knob.SHARES, hierarchy.version)
    if hierarchy.version == 1 or file is None:
        return None
    for plan in plans:
        requests = _requests(plan)
        if not requests:
            continue
        for number, group in hierarchy.containers(hierarchy.pod(plan.pod.kube_qos, plan.pod.uid)).items():
            shares = requests.get(plan.pod.containers.get(number, ""))
            path = hierarchy.file(file.controller, group, file.name)
            if shares is None or path is None:
                continue
            try:
                found = weights_by({shares: int(files.read(path))})
            except (OSError, ValueError):
                continue
            if found is not None:
                return found
    return None


def _requests(plan: PodPlan) -> dict[str, int]:
    """Return the shares of a pod's containers, by name, where the formulas differ for them."""
    found = {}
    for each in containers(plan.pod.value):
        planned = {target.knob for target in plan.at_containers.get(each.name, ())}
        requested = each.quantities("requests").get(CPU)
        try:
            amount = milli(text_of(requested)) if requested is not None else 0
        except QuantityError:
            continue
        if Knob.SHARES not in planned and amount >= _LEAST:
            found[each.name] = shares_of(amount)
    return found
