"""What is wrong with entries and ledgers: pure, from what is known to what has to be done."""

import datetime as dt
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from webhook.binding.ledger import READY, Condition, Entry, Ledger
from webhook.binding.nodetopology import NodeTopology
from webhook.binding.recovery import is_finished, node_of
from webhook.cpuset import QoS, format_cpulist
from webhook.kube.timestamps import timestamp

_SHOWN: Final = 5
_BOUND: Final = (QoS.LSE, QoS.LSR)


class Look(Enum):
    """How sure it is, by what is watched, that an entry is right."""

    FINE = "fine"
    WAIT = "wait"
    CHECK = "check"


def first_look(entry: Entry, node: str, pod: Mapping[str, Any] | None, *, age: float, grace: float) -> Look:
    """Say whether an entry has to be checked against the live pod.

    Args:
        entry: of the ledger.
        node: whose ledger it is.
        pod: as it is watched; None: nothing is known of it.
        age: seconds for which the entry has been there.
        grace: seconds that an entry may be without its pod being bound.
    """
    if pod is None or pod["metadata"].get("uid") != entry.uid:
        return Look.CHECK
    if not node_of(pod) and not is_finished(pod):
        return Look.CHECK if age > grace else Look.WAIT
    return Look.FINE if node_of(pod) == node and not is_finished(pod) else Look.CHECK


def reason_to_drop(
    entry: Entry, node: str, pod: Mapping[str, Any] | None, *, age: float, grace: float
) -> str | None:
    """Say why an entry has to go, judged by the live pod (None: there is none); None: it stays."""
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
    """Return the pairs of entries that hold a CPU both."""
    owner: dict[int, Entry] = {}
    pairs: dict[tuple[str, str], tuple[Entry, Entry, set[int]]] = {}
    for entry in entries:
        for cpu in sorted(entry.cpus):
            first = owner.setdefault(cpu, entry)
            if first is not entry:
                pairs.setdefault((first.uid, entry.uid), (first, entry, set()))[2].add(cpu)
    return [(one, other, frozenset(cpus)) for one, other, cpus in pairs.values()]


def to_be_moved(ledger: Ledger) -> frozenset[str]:
    """Return the uids of the pods that hold CPUs which others held before them."""
    moved = set()
    for one, other, _ in overlaps(ledger.entries.values()):
        later = max(one, other, key=lambda entry: (entry.allocated_at, entry.uid))
        moved.add(later.uid)
    return frozenset(moved)


def condition(
    ledger: Ledger, machine: NodeTopology, unrepaired: Mapping[str, str], *, now: dt.datetime
) -> Condition:
    """Return the condition Ready of a ledger.

    Args:
        ledger: the node's.
        machine: the node.
        unrepaired: pods of the node that lack their set, or have one that cannot be, each with why.
        now: for a condition whose status changes.
    """
    problems: list[str] = []
    reason = ""
    for one, other, cpus in overlaps(ledger.entries.values()):
        reason = reason or "HeldTwice"
        problems.append(f"{one.pod} and {other.pod} both hold {format_cpulist(cpus)}")
    for pod, why in sorted(unrepaired.items()):
        reason = reason or "Unrepaired"
        problems.append(f"{pod}: {why}")
    reserved = machine.reservations
    spoken_for = reserved.reserved | reserved.kubelet_pinned | reserved.kubelet_reserved
    if reserved.system_exclusive:
        spoken_for |= reserved.system
    for entry in ledger.entries.values():
        missing = entry.cpus - machine.topology.position.keys()
        if missing:
            reason = reason or "UnknownCPUs"
            problems.append(f"{entry.pod} holds {format_cpulist(missing)}, which the machine does not have")
        if entry.qos in _BOUND and entry.cpus & spoken_for:
            reason = reason or "Reserved"
            problems.append(
                f"{entry.pod} holds {format_cpulist(entry.cpus & spoken_for)}, which are reserved"
            )
    for problem in machine.problems:
        reason = reason or "Unreadable"
        problems.append(problem)
    status = "False" if reason else "True"
    message = "; ".join(problems[:_SHOWN]) or "every CPU set keeps to the rules"
    if len(problems) > _SHOWN:
        message += f"; and {len(problems) - _SHOWN} more"
    before = next((each for each in ledger.conditions if each.type == READY), None)
    since = before.since if before is not None and before.status == status else timestamp(now)
    return Condition(READY, status, reason or "AsItShouldBe", message[:1000], since)
