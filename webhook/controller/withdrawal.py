"""Taking everything away that was published and made, before the controller is switched off."""

from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from threading import Event
from typing import Final, NamedTuple

from webhook.capacity.estimate import estimate
from webhook.capacity.sloconfig import Configuration, strategy_of
from webhook.controller.caches import KnownNode
from webhook.controller.nodeslos import empty_body
from webhook.controller.publication import offered, publish
from webhook.controller.state import NODEMETRICS, NODESLOS, State
from webhook.kube.apply import apply
from webhook.kube.client import ApiError
from webhook.kube.lease import DURATION, Lease
from webhook.kube.paths import member
from webhook.protocol import CAPACITY_MANAGER

_SECONDS: Final = 60
"""For which nobody publishes afterwards: by then the controller is to be gone."""

_SEIZE_AGAIN: Final = 10.0
_OFF: Final = Configuration()


class Withdrawal(NamedTuple):
    """What is left: on nodes to which batch pods are bound; and what refused, with the reason."""

    kept: list[str]
    refused: list[str]


def withdraw(state: State, lease: Lease, stop: Event) -> Withdrawal:
    """Take our fields off all nodes, and the NodeMetrics and NodeSLOs that we made with them.

    Whoever published until now stops when it sees that the Lease is another's.

    Args:
        state: everything in it has been read.
        lease: of those who publish.
        stop: ends the wait for the last of them.

    Raises:
        ApiError: the API server did not answer, or refused everything.
    """
    lease.seize(_SECONDS)
    stop.wait(DURATION)
    found, seized = Withdrawal([], []), state.clock()
    for what, take in _steps(state, found.kept):
        if state.clock() - seized > _SEIZE_AGAIN:
            lease.seize(_SECONDS)
            seized = state.clock()
        try:
            take()
        except ApiError as error:
            if error.of_server:
                raise
            if error.status != HTTPStatus.NOT_FOUND:  # it was deleted
                found.refused.append(f"{what}: {error}")
    lease.seize(_SECONDS)
    return found


def _steps(state: State, kept: list[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is to be done, and with which object."""
    for (_, name), known in sorted(state.nodes.values.items(), key=lambda item: item[0]):
        if known.owned:
            yield name, partial(_off_node, state, known, kept)
    for (_, name), slo in sorted(state.nodeslos.values.items()):
        path = member(NODESLOS, name)
        if slo.owned and slo.shared:
            yield f"NodeSLO {name}", partial(apply, state.api, path, empty_body(name), CAPACITY_MANAGER)
        elif slo.owned:
            yield f"NodeSLO {name}", partial(_delete, state, path, slo.uid)
    for (_, name), metric in sorted(state.metrics.values.items(), key=lambda item: item[0]):
        if metric.uid:
            yield f"NodeMetric {name}", partial(_delete, state, member(NODEMETRICS, name), metric.uid)


def _off_node(state: State, known: KnownNode, kept: list[str]) -> None:
    node = known.node
    strategy = strategy_of(_OFF, node.labels, node.annotations)
    capacity = estimate(node, None, state.pods.on_node(node.name), strategy, state.now())
    publish(state.api, known, capacity, state.now())
    if offered(capacity):
        kept.append(node.name)


def _delete(state: State, path: str, uid: str) -> None:
    """Delete an object, unless another one has its name by now."""
    state.api.call("DELETE", path, body={"preconditions": {"uid": uid}})
