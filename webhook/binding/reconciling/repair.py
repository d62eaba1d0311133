"""Repairs bound pods: annotation, ledger entry, request and machine have to agree.

What a pod runs on stays in the ledger until its annotation names other CPUs: first the ledger holds
both sets, then the pod is patched, then the ledger lets the old CPUs go. A write that is refused for
one pod costs that pod: an Event and the ledger's condition say so, and it is tried again later.
"""

import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.binding.binder import Binder
from webhook.binding.grant import Claim
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.metrics import BindingMetrics
from webhook.binding.reconciling.adjustment import Adjustment, adjust, as_it_is, both
from webhook.binding.reconciling.audit import wrongs
from webhook.binding.recovery import entry_of, is_finished, node_of
from webhook.binding.state import Deadline, State
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist
from webhook.kube.client import MERGE_PATCH, ApiError
from webhook.kube.events import NORMAL, WARNING, Event, EventRecorder
from webhook.kube.paths import pod as pod_path
from webhook.pods.nodes.nodetopology import NodeTopology, NodeTopologyError
from webhook.pods.quantities import QuantityError
from webhook.pods.requests import pod_request
from webhook.pods.resourcespec import BOUND_CLASSES, CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, believed_cpus, excess, given_cpus, resource_status
from webhook.protocol import ANNOTATION_RESOURCE_STATUS, CPU

REPAIRED: Final = "CPUSetRepaired"
MISSING: Final = "CPUSetMissing"
AGAIN_SECONDS: Final = 15.0
"""A repair that failed is tried again after this long, or when the pod, its entry or its node changes."""

LONGEST_SECONDS: Final = 240.0
"""The wait for a pod whose patch is refused again and again; it doubles up to this."""

_log = logging.getLogger(__name__)
_Key = tuple[str, str]


def retry_seconds(refusals: int) -> float:
    """Return how long an object waits whose writes were refused so many times in a row."""
    return min(AGAIN_SECONDS * 2.0 ** min(max(0, refusals - 1), 8), LONGEST_SECONDS)


class _Circumstances(NamedTuple):
    """What decides whether a pod needs a repair."""

    pod: object
    entry: Entry | None
    topology: NodeTopology | None
    wrong: str
    opted_in: bool


class _Settled(NamedTuple):
    """A pod that needs no repair, or got none until some moment, under these circumstances."""

    under: _Circumstances
    until: float | None
    refusals: int = 0


class _Node(NamedTuple):
    """What is wrong with the entries of a ledger, with the ledger and topology of which this is true."""

    ledger: Ledger | None
    topology: NodeTopology | None
    wrong: Mapping[str, str]


@dataclass(eq=False)
class Repair:
    """Checks bound LSE and LSR pods, and repairs them where the rules allow.

    Attributes:
        opted_in: whether the pods of a namespace are to get CPU sets.
        default: what a pod's bind policy ``Default`` means.
    """

    _state: State
    _binder: Binder
    _events: EventRecorder
    _metrics: BindingMetrics
    _: KW_ONLY
    opted_in: Callable[[str], bool]
    default: BindPolicy = BindPolicy.FULL_PCPUS
    _settled: dict[_Key, _Settled] = field(default_factory=dict, init=False)
    _problems: dict[str, dict[_Key, str]] = field(default_factory=dict, init=False)
    _nodes: dict[str, _Node] = field(default_factory=dict, init=False)
    _opted_in: dict[str, bool] = field(default_factory=dict, init=False)

    def due(self, pod: Mapping[str, Any]) -> bool:
        """Whether a bound pod may need a repair: it was not checked yet, or something of it changed."""
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        now = self._circumstances(pod)
        known = self._settled.get(key)
        if known is not None and known.under.opted_in is not now.opted_in:
            self._nodes.pop(node_of(pod), None)  # another pod can be moved now
            now = self._circumstances(pod)
        waits = known is not None and (known.until is None or self._state.clock() < known.until)
        if known is not None and waits and known.under == now:
            return False
        if not self._agrees(now):
            return True
        self._settle(key, node_of(pod), _Settled(now, None))
        return False

    def settled(self, pod: Mapping[str, Any]) -> bool:
        """Whether a bound pod is to be left alone until something of it changes."""
        metadata = pod["metadata"]
        known = self._settled.get((metadata["namespace"], metadata["name"]))
        return known is not None and known.until is None

    def namespaces_changed(self) -> bool:
        """Whether a namespace of known pods has opted in or out since this was asked last."""
        before = self._opted_in
        self._opted_in = {name: self.opted_in(name) for name in before}
        return before != self._opted_in

    def repair(self, known: Mapping[str, Any], deadline: Deadline) -> None:
        """Repair one pod; raises ApiError or OutOfTimeError where its state cannot be known.

        Args:
            known: the pod as it is watched; the live one is what counts.
            deadline: for the repair.
        """
        metadata = known["metadata"]
        key = (metadata["namespace"], metadata["name"])
        before = self._settled.get(key)
        refusals = before.refusals if before is not None else 0
        # Until the watch brings what was written, or, where nothing could be, for a while.
        self._settle(key, "", _Settled(self._circumstances(known), self._again(0), refusals))
        pod = self._state.live_pod(*key, deadline)
        if pod is None or pod["metadata"]["uid"] != metadata["uid"] or is_finished(pod):
            return
        try:
            problem = self._repaired(pod, deadline)
            refusals = 0
        except (NodeTopologyError, QuantityError, ResourceSpecError) as error:
            problem = str(error)
        except ApiError as error:
            if error.of_server:
                del self._settled[key]  # the loop has a wait of its own
                raise
            problem, refusals = str(error), refusals + 1
        # An answer of the rules holds until something changes; elsewhere nobody waits for room.
        now = self._circumstances(known)
        until = self._again(refusals) if now.opted_in or refusals or not problem else None
        self._settle(key, node_of(pod), _Settled(now, until, refusals), problem)
        if problem:
            self._record(pod, WARNING, MISSING, problem)
            self._metrics.repairs.labels("failed").inc()

    def unrepaired(self, node: str) -> dict[str, str]:
        """Return the pods of a node that could not be repaired, each with the reason."""
        found = self._problems.get(node)
        return {f"{namespace}/{name}": why for (namespace, name), why in found.items()} if found else {}

    def forget(self, known: Container[_Key]) -> None:
        """Forget the pods that are not known any more."""
        for key in [key for key in self._settled if key not in known]:
            del self._settled[key]
            for problems in self._problems.values():
                problems.pop(key, None)

    def _settle(self, key: _Key, node: str, settled: _Settled, problem: str = "") -> None:
        self._settled[key] = settled
        if problem:
            self._problems.setdefault(node, {})[key] = problem
        elif node in self._problems:
            self._problems[node].pop(key, None)

    def _again(self, refusals: int) -> float:
        return self._state.clock() + retry_seconds(refusals)

    def _circumstances(self, pod: Mapping[str, Any]) -> _Circumstances:
        metadata, name = pod["metadata"], node_of(pod)
        node, uid = self._node(name), metadata["uid"]
        entry = node.ledger.entries.get(uid) if node.ledger is not None else None
        opted_in = self._opted_in[metadata["namespace"]] = self.opted_in(metadata["namespace"])
        return _Circumstances(pod, entry, node.topology, node.wrong.get(uid, ""), opted_in)

    def _node(self, name: str) -> _Node:
        """What is wrong on a node; found out once for each version of its ledger and topology."""
        ledger = self._state.ledgers.known(name)
        try:
            topology = self._state.nodes.topology_of(name)
        except NodeTopologyError:
            topology = None
        known = self._nodes.get(name)
        if known is None or known.ledger is not ledger or known.topology is not topology:
            wrong = wrongs(ledger, topology, self._movable) if ledger and topology else {}
            known = self._nodes[name] = _Node(ledger, topology, wrong)
        return known

    def _movable(self, entry: Entry) -> bool:
        return entry.qos in BOUND_CLASSES and self.opted_in(entry.namespace)

    def _agrees(self, now: _Circumstances) -> bool:
        """Whether a pod's annotation, entry and request agree, and nothing is wrong with the entry."""
        pod: Any = now.pod
        try:
            given = given_cpus(pod)
            if given is None and now.entry is None:
                return not now.opted_in or read_resource_spec(pod, self.default) is None
            if now.wrong or now.entry is None or given != now.entry.cpus:
                return False
            return len(given) * 1000 == pod_request(pod, CPU)
        except (StatusError, ResourceSpecError, QuantityError):
            return False

    def _repaired(self, pod: Mapping[str, Any], deadline: Deadline) -> str:
        """Repair a pod; return what cannot be repaired, or ""."""
        node, asked = node_of(pod), self._read(pod)
        given = asked.given
        step = _Step(Adjustment(None))

        def prepared(topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            nonlocal step
            step = self._prepare(pod, asked, topology, stored)
            if step.during is None or step.during == step.before:
                return stored if rebuilt else None
            return stored.with_entries(step.during)

        self._binder.change(node, prepared, deadline=deadline)
        entry, problem = step.adjustment.entry, step.adjustment.problem
        if entry is None:
            return problem
        if asked.request is None or asked.stated == entry.cpus:
            self._conclude(node, step, entry, deadline)
            if step.before != entry:
                self._metrics.repairs.labels("entered").inc()
            return problem
        try:
            patched = self._patched(pod, step, entry)
        except ApiError as error:
            if not error.of_server and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self._conclude(node, step, step.kept(given, asked.stated), deadline)
            raise
        if patched:
            self._conclude(node, step, entry, deadline)
            self._say(pod, step, entry, asked.stated)
        return problem

    def _read(self, pod: Mapping[str, Any]) -> "_Asked":
        """What a pod has and asks for, as far as it can be read."""
        stated, given, request, problem = None, None, None, ""
        try:
            stated, cpus, problem = given_cpus(pod), believed_cpus(pod), excess(pod)
            given = entry_of(pod, cpus, now=self._state.now()) if cpus else None
        except (StatusError, QuantityError) as error:
            problem = str(error)
        if self.opted_in(pod["metadata"]["namespace"]):
            try:
                request = read_resource_spec(pod, self.default)
            except ResourceSpecError as error:
                problem = str(error)
        return _Asked(stated, given, request, problem)

    def _prepare(
        self, pod: Mapping[str, Any], asked: "_Asked", topology: NodeTopology, stored: Ledger
    ) -> "_Step":
        """What a pod is to hold by a ledger, and until it does."""
        metadata, now = pod["metadata"], self._state.now()
        before = stored.entries.get(metadata["uid"])
        if asked.request is None:
            found = as_it_is(pod, asked.stated, asked.given, before, asked.problem)
            if found.entry is not None:
                wrong = self._wrong(stored.with_entries(found.entry), topology, found.entry)
                found = found._replace(problem="; ".join(filter(None, (found.problem, wrong))))
            return _Step(found, before, found.entry, topology)
        claim = Claim(metadata["uid"], metadata["namespace"], metadata["name"], asked.request)
        wrong = self._wrong(stored, topology, before) if before is not None else ""
        given = asked.given
        if before is not None and given is not None and given.cpus != asked.stated:
            given = None  # no edit: the pod became smaller, or somebody claims too much
        found = adjust(claim, given, topology, stored, wrong=wrong, now=now)
        return _Step(found, before, both(found.entry, asked.stated, before, topology, stored), topology)

    def _wrong(self, ledger: Ledger, topology: NodeTopology, entry: Entry) -> str:
        return wrongs(ledger, topology, self._movable).get(entry.uid, "")

    def _patched(self, pod: Mapping[str, Any], step: "_Step", entry: Entry) -> bool:
        """Write the annotation; False: the pod has changed, and the watch brings it. Raises ApiError."""
        metadata, topology = pod["metadata"], step.topology
        assert topology is not None  # noqa: S101 — there is an entry, so the node was read
        exist = entry.cpus & topology.cpu_topology.position.keys()
        if not exist:
            return False
        change = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {ANNOTATION_RESOURCE_STATUS: resource_status(topology.cpu_topology, exist)},
            }
        }
        path = pod_path(metadata["namespace"], metadata["name"])
        try:
            self._state.api.call("PATCH", path, body=change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                return False
            raise
        return True

    def _conclude(self, node: str, step: "_Step", entry: Entry | None, deadline: Deadline) -> None:
        """Let go what was held while the pod had one set and was to get another."""
        during = step.during
        if during is None or during == entry:
            return
        uid = during.uid

        def concluded(_topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            if stored.entries.get(uid) != during:
                return stored if rebuilt else None
            return stored.without([uid]) if entry is None else stored.with_entries(entry)

        self._binder.change(node, concluded, deadline=deadline)

    def _say(
        self, pod: Mapping[str, Any], step: "_Step", entry: Entry, stated: frozenset[int] | None
    ) -> None:
        """Count a repair, and record the Event about it."""
        cpus, node = format_cpulist(entry.cpus), node_of(pod)
        if stated is None:
            what = "annotated" if step.before is not None else "allocated"
            message = f"got CPUs {cpus} of {node} after it was bound"
        else:
            sizes_differ = len(stated) != len(entry.cpus)
            what = "annotated" if entry == step.before else "resized" if sizes_differ else "moved"
            why = step.adjustment.why or f"{node} does not give that many"
            message = f"has CPUs {cpus} of {node} instead of {format_cpulist(stated)}: {why}"
        self._metrics.repairs.labels(what).inc()
        self._record(pod, NORMAL, REPAIRED, message)

    def _record(self, pod: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        if kind == WARNING:
            _log.warning("%s/%s: %s", metadata["namespace"], metadata["name"], message)
        self._events.record(
            Event(metadata["namespace"], metadata["name"], metadata["uid"], kind, reason, message)
        )


class _Asked(NamedTuple):
    """What a pod has, and what it asks for.

    Attributes:
        stated: the CPUs that its annotation names; None: it names none.
        given: the entry that these stand for.
        request: None: its CPUs are not ours to give.
        problem: what cannot be read; "" where all can.
    """

    stated: frozenset[int] | None
    given: Entry | None
    request: CPUSetRequest | None
    problem: str


class _Step(NamedTuple):
    """A repair under way.

    Attributes:
        adjustment: what the pod is to hold in the end.
        before: its entry as it was.
        during: its entry until the pod has been patched: with what it has, and with what it is to have.
        topology: of the node; None: it was not read.
    """

    adjustment: Adjustment
    before: Entry | None = None
    during: Entry | None = None
    topology: NodeTopology | None = None

    def kept(self, given: Entry | None, stated: frozenset[int] | None) -> Entry | None:
        """Return what it holds where its annotation stays as it is: what it held, and what that names."""
        entry, during = self.before or given, self.during
        if entry is None or during is None or stated is None:
            return entry
        return entry._replace(cpus=entry.cpus | (stated & during.cpus))
