"""Taking what was published off the nodes, before the controller is switched off."""

from http import HTTPStatus
from threading import Event
from typing import Final, NamedTuple

from webhook.capacity.estimate import estimate
from webhook.capacity.sloconfig import Configuration, strategy_of
from webhook.controller.publication import apply_body, offered
from webhook.controller.state import State
from webhook.kube.client import APPLY_PATCH, ApiError
from webhook.kube.lease import DURATION, Lease
from webhook.kube.paths import NODES, member
from webhook.protocol import CAPACITY_MANAGER

_SECONDS: Final = 60
"""For which nobody publishes afterwards: by then the controller is to be gone."""

_SEIZE_AGAIN: Final = 10.0
_OFF: Final = Configuration()


class Withdrawal(NamedTuple):
    """What is left on nodes: those on which pods are bound, and those that refused, with the reason."""

    kept: list[str]
    refused: list[str]


def withdraw(state: State, lease: Lease, stop: Event) -> Withdrawal:
    """Take our fields off all nodes.

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
    for (_, name), known in sorted(state.nodes.values.items(), key=lambda item: item[0]):
        if not known.owned:
            continue
        if state.clock() - seized > _SEIZE_AGAIN:
            lease.seize(_SECONDS)
            seized = state.clock()
        strategy = strategy_of(_OFF, known.node.labels, known.node.annotations)
        capacity = estimate(known.node, None, state.pods.on_node(name), strategy, state.now())
        body = apply_body(known, capacity, state.now())
        query = {"fieldManager": CAPACITY_MANAGER, "force": "false"}
        path = f"{member(NODES, name)}/status"
        try:
            state.api.call("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)
        except ApiError as error:
            if error.of_server:
                raise
            if error.status != HTTPStatus.NOT_FOUND:  # the node was deleted
                found.refused.append(f"{name}: {error}")
        else:
            found.kept.extend([name] if offered(capacity) else [])
    lease.seize(_SECONDS)
    return found
