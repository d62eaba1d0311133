"""How much CPU BE pods can get: what the cgroups of these pods allow them together."""

from collections.abc import Iterable
from typing import Final

from webhook.agent.plan.target import PERIOD, UNLIMITED
from webhook.agent.writing.present import Present

_CORE: Final = 1000


def be_limit(present: Present, groups: Iterable[str]) -> int | None:
    """Return in milli-cores what pods can get: the CPUs of them all, and their quotas where each has one.

    The group of all BestEffort pods is not asked: suppression is written to the pods' own.

    Args:
        present: of the node.
        groups: of the pods, which may be gone by now.

    Returns:
        None where nothing could be read.
    """
    cpus: set[int] = set()
    quotas: list[int] = []
    for group in groups:
        mine, quota = present.cpus(group), present.quota(group)
        if mine is not None and quota is not None:
            cpus |= mine
            quotas.append(quota)
    if not cpus:
        return None
    everyone = len(cpus) * _CORE
    return everyone if UNLIMITED in quotas else min(everyone, sum(quotas) * _CORE // PERIOD)
