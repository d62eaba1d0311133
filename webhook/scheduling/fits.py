"""CPU sets that pods would get, node by node, remembered as long as nothing has changed on the node.

Held are the entries of the ledger, the sets of pods that it does not know, what was scored for other pods a
moment ago, and what pods would get that are nominated to the node and go before the one in question.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final, Protocol

from webhook.binding.caches import Nodes, awaits_binding
from webhook.binding.grant import Claim
from webhook.binding.ledger import Entry, Ledger
from webhook.binding.recovery import is_finished, with_unknown
from webhook.cpuset.allocation import BindPolicy
from webhook.kube.indexer import Indexer
from webhook.pods.nodetopology import NodeTopology, NodeTopologyError
from webhook.pods.pod import spec
from webhook.pods.resourcespec import CPUSetRequest, ResourceSpecError, read_resource_spec
from webhook.pods.resourcestatus import StatusError, given_cpus
from webhook.scheduling.setfit import NO_TOPOLOGY, Fit, fit, holding

Object = Mapping[str, Any]

_MOST_REQUESTS: Final = 16


class KnownLedgers(Protocol):
    """Ledgers as they are known."""

    def known(self, node: str) -> Ledger | None:
        """Return the ledger of a node; None: there is none."""


class Watched(Protocol):
    """What binding watches; see ``binding.state.State``."""

    @property
    def nodes(self) -> Nodes:
        """Nodes and their topologies."""

    @property
    def pods(self) -> Indexer[Object]:
        """LSE and LSR pods."""

    @property
    def ledgers(self) -> KnownLedgers:
        """Who holds which CPUs."""

    @property
    def now(self) -> Callable[[], dt.datetime]:
        """The time of day."""


@dataclass(slots=True)
class _Known:
    """What was found of a node, and what of: of other objects something else would be found."""

    made_of: tuple[object, ...]
    ledger: Ledger
    fits: dict[CPUSetRequest, Fit] = field(default_factory=dict)


@dataclass(eq=False)
class Fits:
    """Made of what binding watches, of what is held on a node for a moment, and of the default policy."""

    _state: Watched
    _held: Callable[[str], tuple[Entry, ...]]
    _default: BindPolicy
    _known: dict[str, _Known] = field(default_factory=dict, init=False)
    _nominated: Mapping[str, list[Object]] = field(default_factory=dict, init=False)
    _nominated_revision: int = field(default=-1, init=False)

    def of(self, node: str, claim: Claim, priority: int, without: frozenset[str]) -> Fit:
        """Return what a pod would get on a node.

        Args:
            node: its name.
            claim: the pod.
            priority: ``spec.priority`` of the pod.
            without: uids of pods that are gone by then.
        """
        try:
            topology = self._state.nodes.topology_of(node)
        except NodeTopologyError as error:
            return Fit(NO_TOPOLOGY, str(error))
        known, now = self._of(node, topology), self._state.now()
        first = self._before(node, claim, priority)
        special = first or without or claim.carried is not None or claim.uid in known.ledger.entries
        if special:
            ledger = known.ledger.without(without) if without else known.ledger
            return fit(claim, topology, holding(ledger, topology, first, now=now), now=now)
        found = known.fits.get(claim.request)
        if found is None:
            if len(known.fits) >= _MOST_REQUESTS:
                known.fits.clear()
            found = known.fits[claim.request] = fit(claim, topology, known.ledger, now=now)
        return found

    def leaving(self, node: str) -> frozenset[str]:
        """Return the uids of pods on a node that are being deleted and hold CPUs until then."""
        pods = self._state.pods.on_node(node)
        return frozenset(
            pod["metadata"]["uid"]
            for pod in pods
            if pod["metadata"].get("deletionTimestamp") and not is_finished(pod)
        )

    def forget_deleted(self) -> None:
        """Drop what was found of Nodes that do not exist any more."""
        for name in [name for name in list(self._known) if ("", name) not in self._state.nodes.nodes.values]:
            self._known.pop(name, None)

    def _of(self, node: str, topology: NodeTopology) -> _Known:
        ledger, pods, held = self._state.ledgers.known(node), self._state.pods.on_node(node), self._held(node)
        known = self._known.get(node)
        made_of = (topology, ledger, pods, held)
        if known is None or not all(map(is_, known.made_of, made_of)):
            valid = ledger is not None and ledger.node_uid == topology.uid
            base = ledger if ledger is not None and valid else Ledger(node, topology.uid)
            base = with_unknown(base, pods, now=self._state.now())
            known = self._known[node] = _Known(made_of, base.with_entries(*held) if held else base)
        return known

    def _before(self, node: str, claim: Claim, priority: int) -> list[Claim]:
        """Return the pods that are nominated to a node and go before one of this priority."""
        pods = self._state.pods
        if pods.revision != self._nominated_revision:
            self._nominated_revision = pods.revision
            nominated: dict[str, list[Object]] = {}
            for pod in list(pods.values.values()):
                if (to := pod["status"].get("nominatedNodeName")) and awaits_binding(pod):
                    nominated.setdefault(to, []).append(pod)
            self._nominated = nominated
        if node not in self._nominated:
            return []
        there = [
            pod
            for pod in self._nominated[node]
            if pod["metadata"]["uid"] != claim.uid and (spec(pod).get("priority") or 0) >= priority
        ]
        there.sort(key=lambda pod: -(spec(pod).get("priority") or 0))
        return [each for pod in there if (each := self._claim(pod)) is not None]

    def _claim(self, pod: Object) -> Claim | None:
        try:
            request = read_resource_spec(pod, self._default)
        except ResourceSpecError:
            return None
        return claim_of(pod, request) if request is not None else None


def claim_of(pod: Object, request: CPUSetRequest) -> Claim:
    """Return what a pod asks for at binding."""
    metadata = pod["metadata"]
    try:
        carried = given_cpus(pod)
    except StatusError:
        carried = None
    return Claim(metadata["uid"], metadata["namespace"], metadata["name"], request, carried)
