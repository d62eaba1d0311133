"""What is wrong with entries and ledgers, and what has to be done about it: pure."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from webhook.binding.ledger import READY, Entry, Ledger
from webhook.binding.nodetopology import NodeTopology
from webhook.binding.recovery import is_finished, node_of
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.qos import QoS
from webhook.kube.conditions import Condition

_SHOWN: Final = 5
_BOUND: Final = (QoS.LSE, QoS.LSR)


class Check(Enum):
    """Whether an entry is right, by what is watched: fine, not to be judged yet, or to be checked live."""

    FINE = "fine"
    WAIT = "wait"
    CHECK = "check"


def first_check(entry: Entry, node: str, pod: Mapping[str, Any] | None, *, age: float, grace: float) -> Check:
    """Return whether an entry has to be checked against the live pod.

    Args:
        entry: of the ledger.
        node: whose ledger it is.
        pod: as it is watched; None: it is not known.
        age: of the entry, in seconds.
        grace: seconds that an entry may stand without its pod being bound.
    """
    if pod is None or pod["metadata"].get("uid") != entry.uid:
        return Check.CHECK
    if not node_of(pod) and not is_finished(pod):
        return Check.CHECK if age > grace else Check.WAIT
    return Check.FINE if node_of(pod) == node and not is_finished(pod) else Check.CHECK


def reason_to_drop(
    entry: Entry, node: str, pod: Mapping[str, Any] | None, *, age: float, grace: float
) -> str | None:
    """Return why an entry has to be dropped, judged by the live pod (None: deleted); None: it stays."""
    if pod is None:
        return "its pod is gone"
    bound = node_of(pod)
    if (pod.get("metadata") or {}).get("uid") != entry.uid:
        reason = "its pod is gone, and another one has its name"
    elif is_finished(pod):
        reason = "its pod has finished"
    elif bound == node:
        return None
    elif bound:
        reason = f"its pod is bound to {bound}"
    elif age > grace:
        reason = f"its pod was not bound within {grace:g} s"
    else:
        return None
    return reason


def overlaps(entries: Iterable[Entry]) -> list[tuple[Entry, Entry, frozenset[int]]]:
    """Return the pairs of entries that both hold some CPUs, and these CPUs."""
    owner: dict[int, Entry] = {}
    pairs: dict[tuple[str, str], tuple[Entry, Entry, set[int]]] = {}
    for entry in entries:
        for cpu in sorted(entry.cpus):
            first = owner.setdefault(cpu, entry)
            if first is not entry:
                pairs.setdefault((first.uid, entry.uid), (first, entry, set()))[2].add(cpu)
    return [(one, other, frozenset(cpus)) for one, other, cpus in pairs.values()]


def to_be_moved(ledger: Ledger) -> frozenset[str]:
    """Return the uids of the pods that hold CPUs which other pods held before them."""
    moved = set()
    for one, other, _ in overlaps(ledger.entries.values()):
        later = max(one, other, key=lambda entry: (entry.allocated_at, entry.uid))
        moved.add(later.uid)
    return frozenset(moved)


def condition(ledger: Ledger, node: NodeTopology, unrepaired: Mapping[str, str]) -> Condition:
    """Return the condition Ready of a ledger.

    Args:
        ledger: the node's.
        node: its topology.
        unrepaired: pods of the node whose CPU set is missing or wrong, each with the reason.
    """
    problems: list[str] = []
    reason = ""
    for one, other, cpus in overlaps(ledger.entries.values()):
        reason = reason or "HeldTwice"
        problems.append(f"{one.pod} and {other.pod} both hold {format_cpulist(cpus)}")
    for pod, why in sorted(unrepaired.items()):
        reason = reason or "Unrepaired"
        problems.append(f"{pod}: {why}")
    reserved = node.reservations
    not_for_pods = reserved.reserved | reserved.kubelet_pinned | reserved.kubelet_reserved
    if reserved.system_exclusive:
        not_for_pods |= reserved.system
    for entry in ledger.entries.values():
        missing = entry.cpus - node.cpu_topology.position.keys()
        if missing:
            reason = reason or "UnknownCPUs"
            problems.append(f"{entry.pod} holds {format_cpulist(missing)}, which the node does not have")
        if entry.qos in _BOUND and entry.cpus & not_for_pods:
            reason = reason or "Reserved"
            problems.append(
                f"{entry.pod} holds {format_cpulist(entry.cpus & not_for_pods)}, which are reserved"
            )
    for problem in node.problems:
        reason = reason or "Unreadable"
        problems.append(problem)
    status = "False" if reason else "True"
    message = "; ".join(problems[:_SHOWN]) or "no CPU is held twice, and every pod has its CPU set"
    if len(problems) > _SHOWN:
        message += f"; and {len(problems) - _SHOWN} more"
    return Condition(READY, status, reason or "Consistent", message[:1000])
