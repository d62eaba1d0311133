"""What is written into a node's status, and when it is worth a write.

Figures and the annotations about them are one server-side apply, never forced: a field that
somebody else owns stays as it is.
"""

import datetime as dt
import json
from collections.abc import Mapping
from math import inf
from typing import Any, Final

from webhook.capacity.estimate import Capacity, State
from webhook.capacity.strategy import Strategy
from webhook.controller.caches import KnownNode
from webhook.eviction.offers import state_of
from webhook.kube.apply import apply, remove
from webhook.kube.client import Client
from webhook.kube.paths import NODES, member
from webhook.kube.timestamps import timestamp
from webhook.pods.quantities import NANO
from webhook.protocol import (
    ANNOTATION_CAPACITY,
    ANNOTATION_ORIGIN_ALLOCATABLE,
    BATCH,
    CAPACITY_MANAGER,
    TRANSLATION,
)

LEAST_SECONDS: Final = 10.0
"""Between two writes of one node."""

_LONGEST: Final = 2048  # bytes of the annotation
_MILLI: Final = NANO // 1000
_BATCH: Final = tuple(TRANSLATION[BATCH].values())


def offered(capacity: Capacity) -> dict[str, int]:
    """Return the figures that belong on the node."""
    return {name: figure.offered for name, figure in capacity.figures.items() if figure.offered is not None}


def due_in(known: KnownNode, capacity: Capacity, strategy: Strategy, since: float | None) -> float:
    """Return in how many seconds a node has to be written: 0: now, infinity: not while nothing changes.

    At once when a resource appears or disappears, when one changes by more than
    ``resourceDiffThreshold``, and when bound pods need more than is published; after
    ``updateTimeThresholdSeconds`` if anything differs.

    Args:
        known: the node as it stands.
        capacity: what it should offer.
        strategy: its thresholds.
        since: seconds since this process wrote it last; None: it never did.
    """
    wanted, there = offered(capacity), known.node.published
    if not wanted or (capacity.state is State.OFF and not known.owned):
        return 0.0 if known.owned else inf
    least = LEAST_SECONDS
    if known.owned and wanted.keys() == there.keys() and not _far(wanted, there, capacity, strategy):
        if wanted == there and state_of(known.annotation) == capacity.state:
            return inf
        least = max(least, float(strategy.values["updateTimeThresholdSeconds"]))
    return 0.0 if since is None else max(0.0, least - since)


def _far(wanted: Mapping[str, int], there: Mapping[str, int], capacity: Capacity, strategy: Strategy) -> bool:
    """Whether a figure is so far from what stands there that it cannot wait."""
    threshold = strategy.values["resourceDiffThreshold"]
    return any(
        abs(value - there[name]) > there[name] * threshold or there[name] < capacity.figures[name].floor
        for name, value in wanted.items()
    )


def publish(api: Client, known: KnownNode, capacity: Capacity, now: dt.datetime) -> dict[str, Any]:
    """Write a node's figures, or take everything off that is ours; return the node. Raises ApiError."""
    path = f"{member(NODES, known.node.name)}/status"
    if offered(capacity):
        return apply(api, path, apply_body(known, capacity, now), CAPACITY_MANAGER)
    return remove(api, path, known.uid, known.fields, CAPACITY_MANAGER)


def apply_body(known: KnownNode, capacity: Capacity, now: dt.datetime) -> dict[str, Any]:
    """Return the object to apply; what it leaves out and is ours is removed."""
    wanted = {name: str(value) for name, value in offered(capacity).items()}
    origin = {name: str(capacity.figures[name].origin) for name in _BATCH if name in wanted}
    annotations = {
        ANNOTATION_ORIGIN_ALLOCATABLE: _json({"resources": origin}),
        ANNOTATION_CAPACITY: annotation(capacity, now),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": known.node.name, "uid": known.uid, "annotations": annotations},
        "status": {"capacity": wanted, "allocatable": wanted},
    }


def annotation(capacity: Capacity, now: dt.datetime) -> str:
    """Return our annotation: policy, state and the terms of batch-cpu and batch-memory, at most 2 KiB.

    Terms are left out, the last ones first, where it would be longer.
    """
    found: dict[str, Any] = {
        "state": capacity.state,
        "policy": capacity.policy,
        "at": timestamp(now),
        **({"why": capacity.why} if capacity.why else {}),
        **({} if capacity.age is None else {"metricAgeSeconds": round(capacity.age.total_seconds())}),
        "terms": {
            name: {
                term.name: term.amount // 10**6 if "cpu" in name else term.amount // 10**9
                for term in figure.terms
            }
            for name, figure in capacity.figures.items()
            if name in _BATCH and figure.offered is not None
        },
    }
    while len(text := _json(found)) > _LONGEST and found["terms"]:
        found["terms"].popitem()
    return text


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
