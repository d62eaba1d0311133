"""Repairs bound pods whose annotation and ledger entry differ.

The ledger is made to agree with the pods as far as the rules allow, and the pods with the
ledger otherwise: at the end both say the same, and no CPU is held twice.
"""

import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.binding.audit import overlaps, to_be_moved
from webhook.binding.binder import Binder
from webhook.binding.grant import Claim, Refusal
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.metrics import BindingMetrics
from webhook.binding.nodetopology import NodeTopology, NodeTopologyError
from webhook.binding.recovery import believed_cpus, entry_of, excess, is_finished, node_of
from webhook.binding.state import Deadline, State
from webhook.cpuset.allocation import BindPolicy
from webhook.cpuset.cpulist import format_cpulist
from webhook.cpuset.errors import CpuSetError
from webhook.kube.client import MERGE_PATCH, ApiError
from webhook.kube.events import NORMAL, WARNING, Event, EventRecorder
from webhook.kube.paths import pod as pod_path
from webhook.pods.quantities import QuantityError
from webhook.pods.resourcespec import ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus, resource_status
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

REPAIRED: Final = "CPUSetRepaired"
MISSING: Final = "CPUSetMissing"
AGAIN_SECONDS: Final = 15.0
"""A repair that failed is tried again after this long, or when the pod or its entry changes."""

_log = logging.getLogger(__name__)
_Key = tuple[str, str]


class _Settled(NamedTuple):
    """A pod that needs no repair, or got none, as it and its entry were then."""

    pod: object
    entry: object
    opted_in: bool
    until: float | None


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
    _problems: dict[_Key, tuple[str, str]] = field(default_factory=dict, init=False)
    _moving: dict[str, tuple[Ledger, frozenset[str]]] = field(default_factory=dict, init=False)

    def due(self, pod: Mapping[str, Any], ledger: Ledger | None) -> bool:
        """Whether a bound pod may need a repair: it was not checked yet, or it or its entry changed."""
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        entry = ledger.entries.get(metadata["uid"]) if ledger is not None else None
        opted_in = self.opted_in(metadata["namespace"])
        known = self._settled.get(key)
        twice = entry is not None and opted_in and entry.uid in self._moved(ledger)
        if known is not None and (known.pod, known.entry, known.opted_in) == (pod, entry, opted_in):
            return twice if known.until is None else self._state.clock() >= known.until
        if twice or not self._agrees(pod, entry, opted_in=opted_in):
            return True
        self._settled[key] = _Settled(pod, entry, opted_in, None)
        self._problems.pop(key, None)
        return False

    def repair(self, known: Mapping[str, Any], deadline: Deadline) -> None:
        """Repair one pod; raises ApiError or OutOfTimeError.

        Args:
            known: the pod as it is watched; the live one is what counts.
            deadline: for the repair.
        """
        metadata = known["metadata"]
        key = (metadata["namespace"], metadata["name"])
        pod = self._state.live_pod(*key, deadline)
        if pod is None or pod["metadata"]["uid"] != metadata["uid"] or is_finished(pod):
            return
        try:
            problem = self._repaired(pod, deadline)
        except (NodeTopologyError, QuantityError, ResourceSpecError) as error:
            problem = str(error)
        opted_in = self.opted_in(metadata["namespace"])
        # Until the watch brings what was written, or, where nothing could be, for a while.
        until = self._state.clock() + AGAIN_SECONDS
        entry = self._entry(node_of(pod), metadata["uid"])
        self._settled[key] = _Settled(known, entry, opted_in, until)
        if problem:
            self._problems[key] = (node_of(pod), problem)
            self._record(pod, WARNING, MISSING, problem)
            self._metrics.repairs.labels("failed").inc()
        else:
            self._problems.pop(key, None)

    def unrepaired(self, node: str) -> dict[str, str]:
        """Return the pods of a node that could not be repaired, each with the reason."""
        return {
            f"{namespace}/{name}": problem
            for (namespace, name), (where, problem) in self._problems.items()
            if where == node
        }

    def forget(self, known: Container[_Key]) -> None:
        """Forget the pods that are not known any more."""
        for key in [key for key in self._settled if key not in known]:
            del self._settled[key]
            self._problems.pop(key, None)

    def _moved(self, ledger: Ledger | None) -> frozenset[str]:
        """The pods of a ledger that need other CPUs; computed once for each version of it."""
        if ledger is None:
            return frozenset()
        known = self._moving.get(ledger.node)
        if known is None or known[0] is not ledger:
            known = self._moving[ledger.node] = (ledger, to_be_moved(ledger))
        return known[1]

    def _agrees(self, pod: Mapping[str, Any], entry: Entry | None, *, opted_in: bool) -> bool:
        try:
            given = given_cpus(pod)
        except StatusError:
            return not opted_in  # elsewhere it is left to its author
        if given is None and entry is None:
            if not opted_in:
                return True
            try:
                return read_resource_spec(pod, self.default) is None
            except ResourceSpecError:
                return False
        return entry is not None and given == entry.cpus

    def _repaired(self, pod: Mapping[str, Any], deadline: Deadline) -> str:
        """Repair a pod; return what cannot be repaired, or ""."""
        node, uid = node_of(pod), pod["metadata"]["uid"]
        opted_in = self.opted_in(pod["metadata"]["namespace"])
        try:
            given, wrong = believed_cpus(pod), excess(pod)
        except StatusError as error:
            given, wrong = None, str(error)
            if not opted_in:
                return wrong
        other: Entry | None = None

        def agreed(_topology: NodeTopology, stored: Ledger, rebuilt: bool) -> Ledger | None:  # noqa: FBT001 — Change
            nonlocal other
            entry = stored.entries.get(uid)
            if given is None:
                return stored if rebuilt else None
            wanted = entry._replace(cpus=given) if entry else entry_of(pod, given, now=self._state.now())
            after = stored.with_entries(wanted)
            pairs = overlaps(after.entries.values())
            rivals = (one if two.uid == uid else two for one, two, _ in pairs if uid in {one.uid, two.uid})
            other = next(rivals, None)
            if entry == wanted or (other is not None and (opted_in or entry is not None)):
                return stored if rebuilt else None
            return after

        if self._binder.change(node, agreed, deadline=deadline) is not None and other is None:
            self._metrics.repairs.labels("entered").inc()
        entry = self._entry(node, uid)
        if opted_in and (wrong or given is None or other is not None or entry is None or entry.cpus != given):
            reassign = other is not None and entry is not None and entry.cpus == given
            return self._annotated(pod, deadline, reassign=reassign)
        if other is not None and given is not None:
            return f"its CPUs {format_cpulist(given & other.cpus)} are held by {other.pod}, too"
        return wrong

    def _annotated(self, pod: Mapping[str, Any], deadline: Deadline, *, reassign: bool) -> str:
        """Give a pod the set that the ledger has for it, or a new one; return why it gets none, or ""."""
        metadata = pod["metadata"]
        request = read_resource_spec(pod, self.default)
        if request is None:
            return ""
        node = node_of(pod)
        claim = Claim(metadata["uid"], metadata["namespace"], metadata["name"], request)
        decided = self._binder.bind(claim, node, deadline=deadline, reassign=reassign)
        if isinstance(decided, Refusal):
            return decided.message
        try:
            status = resource_status(decided.node.cpu_topology, decided.entry.cpus)
        except (KeyError, CpuSetError):
            return f"its CPUs {format_cpulist(decided.entry.cpus)} do not exist on {node}"
        change = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {ANNOTATION_RESOURCE_STATUS: status},
            }
        }
        path = pod_path(metadata["namespace"], metadata["name"])
        try:
            self._state.api.call("PATCH", path, body=change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                return ""  # it changed meanwhile: the watch brings it, and the entry stays
            raise
        self._metrics.repairs.labels("annotated" if decided.existing else "allocated").inc()
        message = f"got CPUs {format_cpulist(decided.entry.cpus)} of {node} after it was bound"
        self._record(pod, NORMAL, REPAIRED, message)
        return ""

    def _entry(self, node: str, uid: str) -> Entry | None:
        ledger = self._state.ledgers.known(node)
        return ledger.entries.get(uid) if ledger is not None else None

    def _record(self, pod: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        if kind == WARNING:
            _log.warning("%s/%s: %s", metadata["namespace"], metadata["name"], message)
        self._events.record(
            Event(metadata["namespace"], metadata["name"], metadata["uid"], kind, reason, message)
        )
