"""What is wrong with entries and ledgers, and what has to be done about it: pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from webhook.binding.ledger import READY, Entry, Ledger
from webhook.binding.recovery import is_finished, node_of
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.qos import QoS
from webhook.cpuset.topology import Topology
from webhook.kube.conditions import Condition
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.pod import is_mirror

_SHOWN: Final = 5
_BOUND: Final = (QoS.LSE, QoS.LSR)


def reason_to_drop(
    entry: Entry, node: str, pod: Mapping[str, Any] | None, *, age: float, grace: float
) -> str | None:
    """Return why an entry has to be dropped, judged by its pod; None: it stays.

    Args:
        entry: of the ledger.
        node: whose ledger it is.
        pod: None: there is none.
        age: of the entry, in seconds.
        grace: seconds that an entry may stand without its pod being bound.
    """
    if pod is None:
        return "its pod is gone"
    bound, reason = node_of(pod), None
    if (pod.get("metadata") or {}).get("uid") != entry.uid:
        reason = "its pod is gone, and another one has its name"
    elif is_finished(pod):
        reason = "its pod has finished"
    elif is_mirror(pod):
        reason = "its pod shows a static one, which it does not reach"
    elif bound and bound != node:
        reason = f"its pod is bound to {bound}"
    elif not bound and age > grace:
        reason = f"its pod was not bound within {grace:g} s"
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


def wrongs(ledger: Ledger, node: NodeTopology, movable: Callable[[Entry], bool]) -> dict[str, str]:
    """Return why pods cannot stay on their CPUs, by uid: a CPU does not exist, is reserved, or is another's.

    Nor on CPUs that a policy does not allow any more since others came or went: one that its entry requires,
    or the node's as it is now. What a node demands is asked of the node: what an entry says of it is old when
    the node has changed, and one that was rebuilt from its pod says nothing of it.

    Of two pods that hold one CPU it is the one that can be moved, else the later one.

    Args:
        ledger: the node's.
        node: its topology.
        movable: whether the pod of an entry can be given other CPUs.
    """
    found: dict[str, list[str]] = {}
    reserved = not_for_pods(node)
    exists = node.cpu_topology.position.keys()
    for entry in ledger.entries.values():
        if missing := entry.cpus - exists:
            text = f"its CPUs {format_cpulist(missing)} do not exist on {node.name}"
            found.setdefault(entry.uid, []).append(text)
        else:
            for policy in _demanded(entry, node):
                if not _obeys(node.cpu_topology, entry.cpus, policy):
                    text = (
                        f"its CPUs {format_cpulist(entry.cpus)} are not {policy} on {node.name} as it is now"
                    )
                    found.setdefault(entry.uid, []).append(text)
        if entry.qos in _BOUND and (taken := entry.cpus & reserved):
            text = f"its CPUs {format_cpulist(taken)} are reserved on {node.name}"
            found.setdefault(entry.uid, []).append(text)
    for one, other, cpus in overlaps(ledger.entries.values()):
        first, last = sorted((one, other), key=lambda each: (movable(each), each.allocated_at, each.uid))
        text = f"its CPUs {format_cpulist(cpus)} are held by {first.pod}, too"
        found.setdefault(last.uid, []).append(text)
    return {uid: "; ".join(texts) for uid, texts in found.items()}


def _demanded(entry: Entry, node: NodeTopology) -> tuple[BindPolicy, ...]:
    """Return the policies that a set has to obey, the pod's before the node's; no set obeys two at once."""
    own = (entry.policy,) if entry.required else ()
    of_node = (node.bind_policy,) if entry.qos in _BOUND else ()
    return tuple(dict.fromkeys(own + of_node))


def _obeys(topology: Topology, cpus: frozenset[int], policy: BindPolicy) -> bool:
    """Whether a set is whole cores (FullPCPUs), or one CPU of each core (SpreadByPCPUs)."""
    mask = topology.mask(cpus)
    cores = [core for core in topology.core_masks if core & mask]
    if policy is BindPolicy.FULL_PCPUS:
        return all(core & mask == core for core in cores)
    return policy is not BindPolicy.SPREAD_BY_PCPUS or len(cores) == len(cpus)


def not_for_pods(node: NodeTopology) -> frozenset[int]:
    """Return the CPUs that no LSE or LSR pod may hold."""
    given = node.reservations
    cpus = given.reserved | given.kubelet_pinned | given.kubelet_reserved
    return cpus | given.system if given.system_exclusive else cpus


def condition(ledger: Ledger, node: NodeTopology, unrepaired: Mapping[str, str]) -> Condition:
    """Return the condition Ready of a ledger.

    Args:
        ledger: the node's.
        node: its topology.
        unrepaired: pods of the node whose CPU set is missing or wrong, each with the reason.
    """
    found = [
        ("HeldTwice", f"{one.pod} and {other.pod} both hold {format_cpulist(cpus)}")
        for one, other, cpus in overlaps(ledger.entries.values())
    ]
    found += [("Unrepaired", f"{pod}: {why}") for pod, why in sorted(unrepaired.items())]
    reserved = not_for_pods(node)
    for entry in ledger.entries.values():
        if missing := entry.cpus - node.cpu_topology.position.keys():
            unknown = f"{entry.pod} holds {format_cpulist(missing)}, which the node does not have"
            found.append(("UnknownCPUs", unknown))
        if entry.qos in _BOUND and (taken := entry.cpus & reserved):
            found.append(("Reserved", f"{entry.pod} holds {format_cpulist(taken)}, which are reserved"))
    found += [("Unreadable", problem) for problem in node.problems]
    if not found:
        return Condition(READY, "True", "Consistent", "no CPU is held twice, and every pod has its CPU set")
    message = "; ".join(problem for _, problem in found[:_SHOWN])
    if len(found) > _SHOWN:
        message += f"; and {len(found) - _SHOWN} more"
    return Condition(READY, "False", found[0][0], message[:1000])
