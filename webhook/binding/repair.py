"""Pods that are bound and do not have what the ledger says, or the other way round.

The ledger is made to agree with the pods as far as the rules allow, and the pods with the
ledger otherwise: at the end both say the same, and no CPU is held twice.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Container, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from webhook.binding.binder import Binder
from webhook.binding.events import NORMAL, WARNING, Events, Told
from webhook.binding.grant import Claim, Refusal
from webhook.binding.judgement import overlaps
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.machine import Machine, MachineError
from webhook.binding.metrics import BindingMetrics
from webhook.binding.resourcestatus import StatusError, given_cpus, resource_status
from webhook.binding.seed import believed_cpus, entry_of, is_finished, node_of
from webhook.binding.wish import WishError, read_wish
from webhook.cluster.api import MERGE_PATCH, Api, ApiError
from webhook.cpuset import BindPolicy, CpuSetError, format_cpulist
from webhook.protocol import ANNOTATION_RESOURCE_STATUS

REPAIRED: Final = "CPUSetRepaired"
MISSING: Final = "CPUSetMissing"
CONFLICT: Final = "CPUSetConflict"
AGAIN_SECONDS: Final = 15.0
"""What could not be repaired is tried again after so long, or when the pod or its entry changes."""

_log = logging.getLogger(__name__)
_Key = tuple[str, str]


class _Settled(NamedTuple):
    """What a pod was found to be, by what was known of it then."""

    pod: object
    entry: object
    opted_in: bool
    until: float | None
    problem: str = ""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Repair:
    """Looks at bound LSE and LSR pods, and puts right what can be."""

    def __init__(
        self,
        api: Api,
        binder: Binder,
        events: Events,
        *,
        opted_in: Callable[[str], bool],
        default: BindPolicy = BindPolicy.FULL_PCPUS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        """Take who gives CPUs; ``opted_in`` says of a namespace whether its pods are to get any."""
        self.metrics: BindingMetrics | None = None
        self._api = api
        self._binder = binder
        self._events = events
        self._opted_in = opted_in
        self._default = default
        self._clock = clock
        self._now = now
        self._settled: dict[_Key, _Settled] = {}

    def due(self, pod: Mapping[str, Any], ledger: Ledger | None) -> bool:
        """Whether a bound pod has to be looked at: nothing of it is known, or it or its entry changed."""
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        entry = ledger.entries.get(metadata["uid"]) if ledger is not None else None
        opted_in = self._opted_in(metadata["namespace"])
        known = self._settled.get(key)
        if known is not None and (known.pod, known.entry, known.opted_in) == (pod, entry, opted_in):
            return known.until is not None and self._clock() >= known.until
        if not self._agrees(pod, entry, opted_in=opted_in):
            return True
        self._settled[key] = _Settled(pod, entry, opted_in, None)
        return False

    def put_right(self, known: Mapping[str, Any], end: float) -> None:
        """Repair one pod; raises ApiError, OutOfTimeError or MachineError.

        Args:
            known: the pod as it is watched; the live one is what counts.
            end: when it has to be done, on the clock.
        """
        metadata = known["metadata"]
        key = (metadata["namespace"], metadata["name"])
        pod = self._live(*key)
        if pod is None or pod["metadata"]["uid"] != metadata["uid"] or is_finished(pod):
            return
        problem = ""
        try:
            problem = self._repaired(pod, end)
        except MachineError as error:
            problem = str(error)
        except WishError as error:
            problem = str(error)
        if problem:
            self._tell(pod, WARNING, MISSING, problem)
            if self.metrics is not None:
                self.metrics.repaired("failed")
        opted_in = self._opted_in(metadata["namespace"])
        # Until what was written is heard of, or, where nothing could be, for a while.
        until = self._clock() + AGAIN_SECONDS
        entry = self._entry(node_of(pod), metadata["uid"])
        self._settled[key] = _Settled(known, entry, opted_in, until, problem)

    def unrepaired(self, node: str) -> dict[str, str]:
        """Return the pods of a node that could not be repaired, each with why."""
        return {
            f"{namespace}/{name}": settled.problem
            for (namespace, name), settled in self._settled.items()
            if settled.problem and node_of(_mapping(settled.pod)) == node
        }

    def forget(self, known: Container[_Key]) -> None:
        """Forget the pods that are no more."""
        for key in [key for key in self._settled if key not in known]:
            del self._settled[key]

    def _agrees(self, pod: Mapping[str, Any], entry: Entry | None, *, opted_in: bool) -> bool:
        try:
            given = given_cpus(pod)
        except StatusError:
            return not opted_in  # elsewhere it is somebody else's to put right
        if given is None and entry is None:
            if not opted_in:
                return True
            try:
                return read_wish(pod, self._default) is None
            except WishError:
                return False
        return entry is not None and given == entry.cpus

    def _repaired(self, pod: Mapping[str, Any], end: float) -> str:
        """Put right what is wrong with a pod; return what cannot be, or ""."""
        node, uid = node_of(pod), pod["metadata"]["uid"]
        opted_in = self._opted_in(pod["metadata"]["namespace"])
        unreadable = ""
        try:
            given = believed_cpus(pod)
        except StatusError as error:
            given, unreadable = None, str(error)
            if not opted_in:
                return unreadable
        problem = ""

        def agreed(_machine: Machine, stored: Ledger, begun: bool) -> Ledger | None:  # noqa: FBT001 — Change
            nonlocal problem
            problem = ""
            entry = stored.entries.get(uid)
            if given is None or (entry is not None and entry.cpus == given):
                return stored if begun else None
            wanted = (
                entry._replace(cpus=given) if entry is not None else entry_of(pod, given, now=self._now())
            )
            after = stored.with_entries(wanted)
            others = [
                (other if one.uid == uid else one, cpus)
                for one, other, cpus in overlaps(after.entries.values())
                if uid in {one.uid, other.uid}
            ]
            if others:
                other, cpus = others[0]
                problem = f"its CPUs {format_cpulist(cpus)} are {other.pod}'s, by the ledger of {node}"
                if entry is not None:
                    return None
            return after

        written = self._binder.change(node, agreed, end=end)
        if written is not None and not problem:
            self._count("entered")
        entry = self._entry(node, uid)
        if given is not None and (entry is None or entry.cpus == given):
            return problem
        if not opted_in:
            return problem
        return self._annotated(pod, end) or ""

    def _annotated(self, pod: Mapping[str, Any], end: float) -> str:
        """Give a pod the set that the ledger has for it, or a new one; return why not, or ""."""
        metadata = pod["metadata"]
        wish = read_wish(pod, self._default)
        if wish is None:
            return ""
        node = node_of(pod)
        claim = Claim(metadata["uid"], metadata["namespace"], metadata["name"], wish)
        decided = self._binder.bind(claim, node, end=end)
        if isinstance(decided, Refusal):
            return decided.message
        try:
            status = resource_status(self._binder.machine(node, end).topology, decided.entry.cpus)
        except (KeyError, CpuSetError):
            return f"its CPUs {format_cpulist(decided.entry.cpus)} are not of this machine"
        change = {
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {ANNOTATION_RESOURCE_STATUS: status},
            }
        }
        path = f"/api/v1/namespaces/{quote(metadata['namespace'], safe='')}/pods/{quote(metadata['name'], safe='')}"
        try:
            self._api.call("PATCH", path, body=change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                return ""  # it changed meanwhile: the watch will tell, and the entry stands
            raise
        self._count("annotated" if decided.again else "allocated")
        told = f"got CPUs {format_cpulist(decided.entry.cpus)} of {node} after it was bound"
        self._tell(pod, NORMAL, REPAIRED, told)
        return ""

    def _entry(self, node: str, uid: str) -> Entry | None:
        ledger = self._binder.known(node)
        return ledger.entries.get(uid) if ledger is not None else None

    def _live(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}"
        try:
            return self._api.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _tell(self, pod: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        if kind == WARNING:
            _log.warning("%s/%s: %s", metadata["namespace"], metadata["name"], message)
        self._events.tell(
            Told(metadata["namespace"], metadata["name"], metadata["uid"], kind, reason, message)
        )

    def _count(self, what: str) -> None:
        if self.metrics is not None:
            self.metrics.repaired(what)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
