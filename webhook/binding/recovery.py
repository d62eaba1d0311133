"""Ledger entries recovered from the annotations of a node's pods: pure.

A set in a pod's annotation is a fact, whatever its size: koord-scheduler wrote it, or this webhook before
the ledger was deleted, and the pod runs on it. Finished pods hold nothing.

But users write annotations, too, and so a pod is believed as many CPUs as it asks for. It may have been made
smaller a moment before its ledger was lost: where the reconciler puts sets right, the other CPUs that its
annotation names are held until then, if nobody else has them.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from webhook.binding.ledger import Entry, Ledger
from webhook.cpuset.allocation import BindPolicy, Exclusive
from webhook.pods.nodes.nodetopology import NodeTopology
from webhook.pods.pod import FINISHED, labels, spec
from webhook.pods.quantities import QuantityError
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, believed_cpus, excess, given_cpus
from webhook.protocol import LABEL_QOS_CLASS, QOS_CLASSES

_THREADS: Final = 8
"""Of a core; without them, which are off then, the ids of a machine's CPUs end so much earlier."""


class Recovered(NamedTuple):
    """What annotations of pods say.

    Attributes:
        entries: with the CPUs that each pod is believed.
        problems: what is wrong with the annotations.
        beyond: the further CPUs that those among them name that ask for a set, by uid.
    """

    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()
    beyond: Mapping[str, frozenset[int]] = MappingProxyType({})


def is_finished(pod: Mapping[str, Any]) -> bool:
    """Whether a pod has ended and runs on no CPU any more."""
    return (pod.get("status") or {}).get("phase") in FINISHED


def node_of(pod: Mapping[str, Any]) -> str:
    """Return the node that a pod is bound to, "" while it is not."""
    return spec(pod).get("nodeName") or ""


def recover(pods: Iterable[Mapping[str, Any]], node: str, *, now: dt.datetime) -> Recovered:
    """Return the entries of the pods that are bound to a node and name a set."""
    entries, problems, beyond = [], [], {}
    for pod in pods:
        if node_of(pod) != node or is_finished(pod):
            continue
        metadata = pod.get("metadata") or {}
        name = f"{metadata.get('namespace')}/{metadata.get('name')}"
        try:
            cpus, named = believed_cpus(pod), given_cpus(pod)
            problem = excess(pod)
        except (StatusError, QuantityError) as error:
            problems.append(f"{name}: {error}")
            continue
        if problem:
            problems.append(f"{name}: {problem}")
        if cpus and named:
            entries.append(entry := entry_of(pod, cpus, now=now))
            if problem and _request(pod) is not None:  # then the reconciler puts it right
                beyond[entry.uid] = named - cpus
    return Recovered(tuple(entries), tuple(problems), beyond)


def shared(ledger: Ledger, uids: Iterable[str]) -> list[Entry]:
    """Return those of a ledger's entries, by uid, of which another one has a CPU, too."""
    holders = Counter(cpu for each in ledger.entries.values() for cpu in each.cpus)
    entries = [ledger.entries[uid] for uid in uids]
    return [each for each in entries if any(holders[cpu] > 1 for cpu in each.cpus)]


def unheld(cpus: frozenset[int], ledger: Ledger, node: NodeTopology, *, but: str) -> frozenset[int]:
    """Return of the CPUs that an annotation names those that nobody else has, and that the node may have.

    Its CPUs may be off for a while, and a pod runs there again when they are back.

    Args:
        cpus: that an annotation names.
        ledger: of the node.
        node: as it is.
        but: the uid of the pod.
    """
    taken = frozenset[int]().union(*(each.cpus for uid, each in ledger.entries.items() if uid != but))
    ids = _THREADS * (max(node.cpu_topology.position, default=0) + 1)
    return frozenset(cpu for cpu in cpus - taken if cpu < ids)


def with_beyond(
    ledger: Ledger,
    beyond: Mapping[str, frozenset[int]],
    node: NodeTopology,
    opted_in: Callable[[str], bool | None],
) -> Ledger:
    """Return a ledger whose entries have these CPUs, too, as far as nobody else has them.

    Args:
        ledger: of the node.
        beyond: by the uids of entries.
        node: it.
        opted_in: whether sets are put right in a namespace; where they are not, an entry gets no more.
    """
    for uid, cpus in beyond.items():
        entry = ledger.entries[uid]
        if opted_in(entry.namespace):
            more = unheld(cpus, ledger, node, but=uid)
            ledger = ledger.with_entries(entry._replace(cpus=entry.cpus | more))
    return ledger


def with_unknown(
    ledger: Ledger,
    pods: Iterable[Mapping[str, Any]],
    node: NodeTopology,
    opted_in: Callable[[str], bool | None],
    *,
    but: str = "",
    now: dt.datetime,
) -> Ledger:
    """Return the ledger of a node with the sets of pods there that it does not know.

    Args:
        ledger: of the node.
        pods: some of which may run there.
        node: it.
        opted_in: whether sets are put right in a namespace.
        but: the uid of a pod that is left out.
        now: the time of day.
    """
    unknown = [pod for pod in pods if pod["metadata"]["uid"] not in ledger.entries]
    unknown = [pod for pod in unknown if pod["metadata"]["uid"] != but]
    if not unknown:
        return ledger
    found = recover(unknown, ledger.node, now=now)
    return with_beyond(ledger.with_entries(*found.entries), found.beyond, node, opted_in)


def entry_of(pod: Mapping[str, Any], cpus: frozenset[int], *, now: dt.datetime) -> Entry:
    """Return the entry of a pod that has a set; policies as the pod asks for, where that can be read."""
    metadata, request = pod.get("metadata") or {}, _request(pod)
    qos = labels(pod).get(LABEL_QOS_CLASS, "")
    return Entry(
        uid=metadata.get("uid", ""),
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        qos=qos if qos in QOS_CLASSES else "",
        cpus=cpus,
        policy=request.policy if request else BindPolicy.NONE,
        required=request.required if request else False,
        exclusive=request.exclusive if request else Exclusive.NONE,
        allocated_at=now.replace(microsecond=0),
    )


def _request(pod: Mapping[str, Any]) -> CPUSetRequest | None:
    """Return the set that a pod asks for; None: none, or nobody can read which."""
    try:
        return read_resource_spec(pod)
    except ResourceSpecError:
        return None
