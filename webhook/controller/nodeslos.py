"""NodeSLOs, kept as the ConfigMap says: one for each node, by server-side apply, removed with its node."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.controller.caches import KnownNode, KnownSLO
from webhook.controller.metrics import CapacityMetrics
from webhook.controller.state import NODESLOS
from webhook.controller.state import State as Watched
from webhook.kube.apply import CONFLICT_SECONDS, Pauses, apply
from webhook.kube.client import ApiError
from webhook.kube.lease import Lease
from webhook.kube.ownerreferences import owned_by_node
from webhook.kube.paths import member
from webhook.protocol import CAPACITY_MANAGER, NODESLO_API_VERSION, NODESLO_KIND
from webhook.slo.strategies import Strategies, canonical, spec_of

_MOST_A_ROUND: Final = 50
"""Writes after which figures have their turn: where 1,000 nodes are new, they would wait for a minute."""

_log = logging.getLogger(__name__)


class _Seen(NamedTuple):
    """What a NodeSLO depends on, and what stands there; it is looked at again when one is another object."""

    node: KnownNode
    strategies: Strategies
    slo: KnownSLO | None


@dataclass(eq=False)
class NodeSLOs:
    """Keeps them while this replica is the one that publishes."""

    _watched: Watched
    _lease: Lease
    _metrics: CapacityMetrics
    _seen: dict[str, _Seen] = field(default_factory=dict, init=False)
    _applied: dict[str, bytes] = field(default_factory=dict, init=False)
    _pauses: Pauses = field(init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        self._pauses = Pauses(self._watched.clock)

    def step(self) -> None:
        """Bring each NodeSLO up to date; raises ApiError where the API server does not answer."""
        watched = self._watched
        strategies = watched.strategies
        if strategies is None or not watched.nodeslos.synced:
            return
        for name in [each for each in self._seen if ("", each) not in watched.nodes.values]:
            for of in (self._seen, self._applied):
                of.pop(name, None)
            self._pauses.forget(name)
        left = _MOST_A_ROUND
        for key, node in list(watched.nodes.values.items()):
            name, slo, last = key[1], watched.nodeslos.values.get(key), self._seen.get(key[1])
            if last is not None and last.node is node and last.slo is slo and last.strategies is strategies:
                continue
            if not self._pauses.over(name):
                continue
            if left == 0 or not self._lease.elected():
                return
            left -= self._keep(name, _Seen(node, strategies, slo))

    def forget(self) -> None:
        """Forget what was seen: another replica may have written meanwhile."""
        self._seen.clear()
        self._applied.clear()

    def _keep(self, name: str, seen: _Seen) -> bool:
        """Write a NodeSLO if that is due; return whether it was tried."""
        spec = spec_of(seen.strategies, seen.node.node.labels)
        wanted = canonical(spec)
        if not self._is_due(name, seen.slo, wanted):
            self._seen[name] = seen
            return False
        watched = self._watched
        try:
            answer = apply(
                watched.api, member(NODESLOS, name), _body(name, seen.node.uid, spec), CAPACITY_MANAGER
            )
        except ApiError as error:
            self._refused(name, error)
            return True
        self._metrics.nodeslo_writes.inc()
        self._applied[name] = wanted
        watched.nodeslos.learn(answer, seen.slo)
        return True

    def _is_due(self, name: str, slo: KnownSLO | None, wanted: bytes) -> bool:
        """Whether it has to be written: fields that somebody else added do not make it so each time."""
        if slo is None or not slo.owned:
            return True
        return slo.spec != wanted and (self._applied.get(name) != wanted or not slo.has(wanted))

    def _refused(self, name: str, error: ApiError) -> None:
        """One node's refusal costs that node only; without an answer the round ends."""
        owners = self._pauses.refused(name, error)
        if error.status == HTTPStatus.NOT_FOUND:  # the cluster has not the kind
            return
        self._metrics.refused.labels("conflict" if owners else "other").inc()
        if owners:
            _log.warning(
                "NodeSLO %s: it belongs to %s: it is left alone for %g minutes; switch one of the two off",
                name,
                " and ".join(owners),
                CONFLICT_SECONDS / 60,
            )
        else:
            _log.warning("NodeSLO %s: %s", name, error)


def empty_body(name: str) -> Mapping[str, Any]:
    """Return what is applied to give up every field that is ours."""
    return {"apiVersion": NODESLO_API_VERSION, "kind": NODESLO_KIND, "metadata": {"name": name}}


def _body(name: str, node_uid: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = {"name": name, "ownerReferences": owned_by_node(name, node_uid)}
    return {**empty_body(name), "metadata": metadata, "spec": spec}
