"""Taking what was published off the nodes, before the controller is switched off."""

from threading import Event
from typing import Final

from webhook.capacity.estimate import estimate
from webhook.capacity.sloconfig import Configuration, strategy_of
from webhook.controller.publication import apply_body, offered
from webhook.controller.state import State
from webhook.kube.client import APPLY_PATCH
from webhook.kube.lease import DURATION, Lease
from webhook.kube.paths import NODES, member
from webhook.protocol import CAPACITY_MANAGER

_SECONDS: Final = 60
"""For which nobody publishes afterwards: by then the controller is to be gone."""

_OFF: Final = Configuration()


def withdraw(state: State, lease: Lease, stop: Event) -> list[str]:
    """Take our fields off all nodes; return the nodes that keep some, because bound pods request them.

    Whoever published until now stops when it sees that the Lease is another's.

    Args:
        state: everything in it has been read.
        lease: of those who publish.
        stop: ends the wait for the last of them.

    Raises:
        ApiError: a call was refused.
    """
    lease.seize(_SECONDS)
    stop.wait(DURATION)
    kept = []
    for (_, name), known in sorted(state.nodes.values.items()):
        if not known.owned:
            continue
        strategy = strategy_of(_OFF, known.node.labels, known.node.annotations)
        capacity = estimate(known.node, None, state.pods.on_node(name), strategy, state.now())
        body = apply_body(known, capacity, state.now())
        query = {"fieldManager": CAPACITY_MANAGER, "force": "false"}
        path = f"{member(NODES, name)}/status"
        state.api.call("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)
        if offered(capacity):
            kept.append(name)
    return kept
