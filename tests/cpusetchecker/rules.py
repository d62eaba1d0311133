"""The rules of CPU sets, written again and apart from the webhook: what is wrong with a cluster's state.

Some rules hold at every moment, also between a ledger's write and the binding it was written for; the others
once everything is at rest and the grace time is over. Reads of several kinds are not atomic: pods are read
before the ledgers and again after them, and only what both lists say of a pod is held against a ledger. A
single list, and a single ledger, is of one moment and judged as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.cpusetchecker.facts import (
    STATUS,
    CPUSetRequest,
    NodeTopology,
    Object,
    UnreadableError,
    cpulist,
    read_request,
)


class Violation(NamedTuple):
    """A rule that is broken."""

    rule: str
    subject: str
    text: str


class Seen(NamedTuple):
    """One look at a cluster.

    Attributes:
        topologies: the nodes looked at; None for a node without a topology.
        opted_in: the namespaces whose pods get CPU sets.
        pods: all of them, read before the ledgers.
        ledgers: NodeCPUAllocations.
        later: all pods, read after the ledgers.
        reported: UIDs of the pods that Events tell about.
        young: UIDs of the pods that were made a moment ago: kube-scheduler is not through with them.
        stuck: UIDs of the pods whose set cannot be put right, as Events say.
        fail_closed: no binding goes by the webhook (failurePolicy Fail).
        steady: neither requests nor CPUs change. Else a set may wait to follow them, and until a pod has got
            another one, its ledger holds both.
    """

    topologies: Mapping[str, NodeTopology | None]
    opted_in: frozenset[str]
    pods: Sequence[Object]
    ledgers: Sequence[Object]
    later: Sequence[Object]
    reported: frozenset[str] = frozenset()
    young: frozenset[str] = frozenset()
    stuck: frozenset[str] = frozenset()
    fail_closed: bool = False
    steady: bool = True


class Holding(NamedTuple):
    """CPUs that somebody holds on a node."""

    node: str
    subject: str
    qos: str
    cpus: frozenset[int]


def at_every_moment(seen: Seen) -> list[Violation]:
    """Return what must not even be so while bindings, deletions and restarts go on."""
    held, found = _annotated(seen)
    found += _shared("held twice", held.values())
    for ledger in seen.ledgers:
        if ledger["metadata"]["name"] in seen.topologies:
            found += _ledger(ledger, seen)
    found += _disagreeing(seen, held)
    if seen.fail_closed:
        found += [Violation("no set", _name(pod), "is bound without") for pod in _without_set(seen, held)]
    return found


def at_rest(seen: Seen) -> list[Violation]:
    """Return what is wrong once nothing is under way and the grace time is over."""
    held, _ = _annotated(seen)
    entries = {(uid, node): cpus for node, uid, cpus in _entries(seen)}
    found = at_every_moment(seen)
    taken = {node: frozenset[int]().union(*_held_on(node, entries)) for node in seen.topologies}
    for pod in _without_set(seen, held):
        topology = seen.topologies[pod["spec"]["nodeName"]]
        room = topology is not None and _room(read_request(pod), topology, taken[pod["spec"]["nodeName"]])
        if room or pod["metadata"]["uid"] not in seen.reported:
            text = f"is bound without; there is {'room' if room else 'no room, but no Event says so'}"
            found.append(Violation("no set", _name(pod), text))
    bound = {(pod["metadata"]["uid"], pod["spec"]["nodeName"]) for pod in seen.pods if _live(pod)}
    for uid, node in sorted(set(entries) - bound):
        found.append(
            Violation("orphan", f"{node}: {uid}", "is in the ledger, but no such pod is bound there")
        )
    for pod in seen.pods:
        found += _unbound(pod, seen, taken)
        found += _not_moved(pod, seen, held, taken)
    return found


def _live(pod: Object) -> bool:
    """Whether it is bound and not at its end: a pod that is only being deleted still runs."""
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return bool(pod["spec"].get("nodeName")) and not ended


def _annotated(seen: Seen) -> tuple[dict[str, Holding], list[Violation]]:
    """Return the sets of live pods by UID, and what is wrong with each by itself."""
    held, found = {}, []
    for pod in seen.pods:
        if not _live(pod) or pod["spec"]["nodeName"] not in seen.topologies:
            continue
        asked = read_request(pod)
        try:
            status = json.loads(pod["metadata"].get("annotations", {}).get(STATUS, "{}"))
            cpus = cpulist(status.get("cpuset", ""))
        except UnreadableError as error:
            found.append(Violation("unreadable", _name(pod), str(error)))
            continue
        if not cpus:
            continue
        holding = Holding(pod["spec"]["nodeName"], _name(pod), asked.qos, cpus)
        held[pod["metadata"]["uid"]] = holding
        topology = seen.topologies[holding.node]
        if pod["metadata"]["namespace"] not in seen.opted_in or not asked.wants_set:
            found.append(Violation("uninvited", holding.subject, f"has CPUs {_text(cpus)} but asks for none"))
        elif len(cpus) * 1000 != asked.milli and _judged(pod["metadata"]["uid"], holding.node, seen):
            text = f"asks for {asked.milli}m and has {len(cpus)} CPUs"
            found.append(Violation("count", holding.subject, text))
        if topology is None:
            found.append(Violation("no topology", holding.subject, holding.node))
            continue
        if not _judged(pod["metadata"]["uid"], holding.node, seen):
            continue
        if wrong := _misplaced(holding, topology):
            found += wrong
            continue
        for policy in asked.must_obey(topology):
            if not topology.obeys(cpus, policy):
                found.append(Violation("policy", holding.subject, f"{_text(cpus)} is not {policy}"))
        found += _amounts(holding, topology, status.get("numaNodeResources", []))
    return held, found


def _judged(uid: str, node: str, seen: Seen) -> bool:
    """Whether a set has to be right now: not while things change, nor where Event and condition name it."""
    said = [
        each
        for ledger in seen.ledgers
        if ledger["metadata"]["name"] == node
        for each in ledger.get("status", {}).get("conditions", ())
    ]
    told = uid in seen.stuck and any(each["type"] == "Ready" and each["status"] == "False" for each in said)
    return seen.steady and not told


def _not_moved(
    pod: Object, seen: Seen, held: Mapping[str, Holding], taken: Mapping[str, frozenset[int]]
) -> Iterator[Violation]:
    """Yield a pod that Event and condition name as one on the wrong CPUs, though it could have others."""
    holding = held.get(pod["metadata"]["uid"])
    topology = seen.topologies[holding.node] if holding is not None else None
    if holding is None or topology is None or not _misplaced(holding, topology):
        return
    if _judged(pod["metadata"]["uid"], holding.node, seen):
        return
    if _room(read_request(pod), topology, taken[holding.node] - holding.cpus):
        yield Violation("not moved", holding.subject, f"{_text(holding.cpus)}; {holding.node} has room")


def _misplaced(holding: Holding, topology: NodeTopology) -> list[Violation]:
    """CPUs that the node has not, or not for pods."""
    found = []
    if unknown := holding.cpus - frozenset(topology.cores):
        found.append(Violation("unknown CPU", holding.subject, f"{_text(unknown)} of {holding.node}"))
    if closed := holding.cpus & topology.closed:
        found.append(Violation("reserved", holding.subject, f"{_text(closed)} of {holding.node}"))
    return [*found]


def _amounts(holding: Holding, topology: NodeTopology, stated: Sequence[Object]) -> list[Violation]:
    """``numaNodeResources`` has as many CPUs of each NUMA node as the set."""
    real = Counter(topology.cores[cpu][1] for cpu in holding.cpus)
    told = {each["node"]: Decimal(each["resources"]["cpu"]) for each in stated}
    if told == dict(real) and len(told) == len(stated):
        return []
    text = f"{_text(holding.cpus)} is {dict(real)} by NUMA node, stated is {stated}"
    return [Violation("NUMA amounts", holding.subject, text)]


def _shared(rule: str, holdings: Iterable[Holding]) -> Iterator[Violation]:
    """Yield each pair that has a CPU in common: only BE may lie under another set, and not under LSE's."""
    owners: dict[tuple[str, int], list[Holding]] = {}
    for holding in holdings:
        for cpu in holding.cpus:
            owners.setdefault((holding.node, cpu), []).append(holding)
    told = set()
    for (node, cpu), several in sorted(owners.items()):
        for index, one in enumerate(several):
            for other in several[:index]:
                allowed = "BE" in {one.qos, other.qos} and "LSE" not in {one.qos, other.qos}
                if not allowed and (one.subject, other.subject) not in told:
                    told.add((one.subject, other.subject))
                    text = f"CPU {cpu} of {node}: {one.qos or 'no class'} and {other.qos or 'no class'}"
                    yield Violation(rule, f"{one.subject} and {other.subject}", text)


def _ledger(ledger: Object, seen: Seen) -> Iterator[Violation]:
    """Yield what is wrong with one ledger, which was written as a whole."""
    node = ledger["metadata"]["name"]
    topology = seen.topologies[node]
    entries = ledger.get("spec", {}).get("allocations", [])
    if topology is None:
        if entries:
            yield Violation("no topology", node, f"{len(entries)} entries in its ledger")
        return
    twice = [uid for uid, count in Counter(entry["podUID"] for entry in entries).items() if count > 1]
    if twice:
        yield Violation("ledger held twice", node, f"entries of the same pod: {twice}")
    holdings = []
    for entry in entries:
        subject = f"ledger of {node}: {entry['namespace']}/{entry['name']}"
        try:
            cpus = cpulist(entry["cpuset"])
        except UnreadableError as error:
            yield Violation("unreadable", subject, str(error))
            continue
        holding = Holding(node, subject, entry["qosClass"], cpus)
        holdings.append(holding)
        judged = _judged(entry["podUID"], node, seen)
        wrong = _misplaced(holding, topology) if judged else []
        yield from wrong
        if not cpus:
            yield Violation("count", subject, "holds no CPU")
        elif judged and not wrong and entry.get("required") and not topology.obeys(cpus, entry["bindPolicy"]):
            yield Violation("policy", subject, f"{entry['cpuset']} is not {entry['bindPolicy']}")
    yield from _shared("ledger held twice", holdings)
    if seen.steady:
        yield from _summary(ledger, topology, holdings)


def _summary(ledger: Object, topology: NodeTopology, holdings: Sequence[Holding]) -> Iterator[Violation]:
    """Yield where the status, written with the entries, says another sum."""
    # A CPU that is offline is held, and is none of the machine's.
    held = frozenset[int]().union(*(holding.cpus for holding in holdings)) & topology.cores.keys()
    free = topology.free(held)
    right = {
        "cpus": len(topology.cores),
        "allocated": len(held),
        "free": len(free),
        "wholeCoresFree": len(topology.whole(free)),
        "pods": len(holdings),
    }
    told = ledger.get("status", {})
    for field, value in right.items():
        if told.get(field) != value:
            text = f"status.{field} is {told.get(field)}, not {value}"
            yield Violation("summary", f"ledger of {ledger['metadata']['name']}", text)


def _entries(seen: Seen) -> Iterator[tuple[str, str, frozenset[int]]]:
    """Yield node, pod UID and CPUs of each entry that can be read."""
    for ledger in seen.ledgers:
        for entry in ledger.get("spec", {}).get("allocations", []):
            try:
                cpus = cpulist(entry["cpuset"])
            except UnreadableError:
                cpus = frozenset()
            if ledger["metadata"]["name"] in seen.topologies:
                yield ledger["metadata"]["name"], entry["podUID"], cpus


def _disagreeing(seen: Seen, held: Mapping[str, Holding]) -> Iterator[Violation]:
    """Yield live pods, before and after the ledgers were read, whose set is not the one in the ledger."""
    after, _ = _annotated(seen._replace(pods=seen.later))
    entries = {(uid, node): cpus for node, uid, cpus in _entries(seen)}
    written_ledgers = {ledger["metadata"]["name"] for ledger in seen.ledgers}
    for uid, holding in held.items():
        if not seen.steady and holding.node not in written_ledgers:
            continue  # somebody has deleted it
        written = entries.get((uid, holding.node))
        agrees = written == holding.cpus or (
            not seen.steady and written is not None and written > holding.cpus
        )
        if after.get(uid) == holding and not agrees:
            told = "nothing" if written is None else _text(written)
            text = f"has CPUs {_text(holding.cpus)}; the ledger of {holding.node} says {told}"
            yield Violation("disagree", holding.subject, text)


def _without_set(seen: Seen, held: Mapping[str, Holding]) -> Iterator[Object]:
    """Yield live pods that are to have a set and have none."""
    for pod in seen.pods:
        if (
            _live(pod)
            and pod["spec"]["nodeName"] in seen.topologies
            and pod["metadata"]["namespace"] in seen.opted_in
            and pod["metadata"]["uid"] not in held
            and read_request(pod).wants_set
        ):
            yield pod


def _held_on(node: str, entries: Mapping[tuple[str, str], frozenset[int]]) -> list[frozenset[int]]:
    return [cpus for (_, where), cpus in entries.items() if where == node]


def _room(asked: CPUSetRequest, topology: NodeTopology, taken: frozenset[int]) -> bool:
    """Whether a set for the request can be had there."""
    policies = set(asked.must_obey(topology))
    return len(policies) <= 1 and topology.fits(topology.free(taken), asked.milli, "".join(policies))


def _unbound(pod: Object, seen: Seen, taken: Mapping[str, frozenset[int]]) -> Iterator[Violation]:
    """Yield a pod that kube-scheduler has left, unless it found no node or the node it chose has no room."""
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    if spec.get("nodeName") or namespace not in seen.opted_in or spec["schedulerName"] != "default-scheduler":
        return
    conditions = {each["type"]: each for each in pod.get("status", {}).get("conditions", ())}
    said = conditions.get("PodScheduled", {})
    if said.get("reason") == "Unschedulable" or pod["metadata"]["uid"] in seen.young:
        return
    message = said.get("message", "")
    named = [node for node in seen.topologies if _mentions(message, node)]
    if not named:
        yield Violation("left over", _name(pod), f"no reason is told: {said}")
    for node in named:
        topology = seen.topologies[node]
        asked = read_request(pod)
        if not asked.wants_set or (topology and _room(asked, topology, taken[node])):
            yield Violation("left over", _name(pod), f"{node} has room; the scheduler was told: {message}")


def _mentions(message: str, node: str) -> bool:
    """Whether the name stands there as a word: names of nodes begin alike."""
    words = message.replace('"', " ").replace(",", " ").replace(":", " ").replace(";", " ").split()
    return node in {word.strip(".()'") for word in words}


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _text(cpus: Iterable[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
