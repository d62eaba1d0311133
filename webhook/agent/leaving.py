"""Whether an agent that ends leaves its node for good: its DaemonSet says so.

A rollout, an eviction, a node that restarts: the next agent goes on where this one ended. Only a DaemonSet
that is gone, is being deleted, or has the mode observe means that nobody will.
"""

import http
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from webhook.agent.plan.agentpod import Mode
from webhook.kube.client import ApiError, Client
from webhook.kube.paths import collection, member
from webhook.pods.pod import annotations
from webhook.protocol import ANNOTATION_AGENT

ANSWER_SECONDS: Final = 5.0
"""For one answer: an agent that ends has a minute."""

_AGAIN_SECONDS: Final = 1.0
_FOREGROUND: Final = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
_log = logging.getLogger(__name__)


class RemovalError(Exception):
    """The agents are not gone; the message says why, and the remedy."""


def why_leaving(api: Client, daemonset: tuple[str, str]) -> str:
    """Return why what was written is to be given back; "" where it is to stay, also without an answer.

    Args:
        api: the API server.
        daemonset: namespace and name of what this agent is a pod of.
    """
    named = f"DaemonSet {'/'.join(daemonset)}"
    try:
        found = api.find(_path(daemonset), timeout=ANSWER_SECONDS)
    except ApiError as error:
        _log.warning("%s: nobody says whether it stays, so all that was written stays: %s", named, error)
        return ""
    if found is None:
        return f"{named} is gone"
    if (found.get("metadata") or {}).get("deletionTimestamp") is not None:
        return f"{named} is being deleted"
    if annotations(found).get(ANNOTATION_AGENT) == Mode.OBSERVE:
        return f"{named} has the mode {Mode.OBSERVE}"
    return ""


def remove(
    api: Client,
    daemonset: tuple[str, str],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Delete the agents' DaemonSet, and wait until its pods have given back what they wrote.

    Args:
        api: the API server.
        daemonset: its namespace and name; none of that name is fine.
        seconds: to wait at most.
        clock: seconds that never go back.
        sleep: waits.

    Raises:
        RemovalError: it was not deleted, or pods of it are left.
    """
    path, until = _path(daemonset), clock() + seconds
    try:
        api.call("DELETE", path, body=_FOREGROUND)
    except ApiError as error:
        if error.status == http.HTTPStatus.NOT_FOUND:
            return
        raise RemovalError(f"the agents stay: {error}") from None
    left, problem = True, ""
    while left and clock() < until:
        sleep(_AGAIN_SECONDS)
        try:
            left, problem = _stands(api.find(path)), ""
        except ApiError as error:
            problem = f": {error}"
    if left:
        namespace, _ = daemonset
        raise RemovalError(
            f"after {seconds:.0f} seconds agents are left that have not said that they gave back what they "
            f"wrote{problem}; see on which nodes: kubectl -n {namespace} get pods -o wide -l "
            "app.kubernetes.io/component=agent"
        )


def _stands(found: Mapping[str, Any] | None) -> bool:
    """Whether it is there, and is not another one that somebody has made meanwhile."""
    return found is not None and "deletionTimestamp" in (found.get("metadata") or {})


def _path(daemonset: tuple[str, str]) -> str:
    namespace, name = daemonset
    return member(collection("apps/v1", "daemonsets", namespace), name)
